#!/bin/sh
# Segments read by npm apache-arrow. SEGMENT_FILES names the built segment_files.c. Exit code 0 only if every test passes.
set -eu
SEGMENT_FILES=$(realpath "$SEGMENT_FILES")
export SEGMENT_FILES
cd "$(dirname "$0")"
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-progress >/dev/null
exec node --test segments.test.mjs
