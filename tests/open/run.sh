#!/bin/sh
# Segments read by npm apache-arrow. SEGMENT_FILES names the built segment_files.c, SIGHTGLASS_BIN the program (default:
# the one built with it). Exit code 0 only if every test passes.
set -eu
SEGMENT_FILES=$(realpath "$SEGMENT_FILES")
SIGHTGLASS_BIN=$(realpath "${SIGHTGLASS_BIN:-$(dirname "$SEGMENT_FILES")/../sightglass}")
export SEGMENT_FILES SIGHTGLASS_BIN
cd "$(dirname "$0")"
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-progress >/dev/null
exec node --test segments.test.mjs server.test.mjs
