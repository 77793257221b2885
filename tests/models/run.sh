#!/bin/sh
# Compares the converted demo model with its original. Exit code 0 only if every test passes.
set -eu
cd "$(dirname "$0")"
for dir in ../../models .; do
	[ "$dir/node_modules/.package-lock.json" -nt "$dir/package-lock.json" ] || npm ci --prefix "$dir"
done
exec node --test models.test.mjs
