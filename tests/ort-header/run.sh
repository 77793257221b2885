#!/bin/sh
# Proves src/infer/ort.h against the published header of the same ONNX Runtime release, and that the proof would see a
# function moved to another place. The headers: the folder given, or else from the npm package in package.json (128 MB).
set -eu
cd "$(dirname "$0")"
headers=${1:-"node_modules/com.github.asus4.onnxruntime/Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers"}
if [ $# -eq 0 ] && ! [ node_modules/.package-lock.json -nt package-lock.json ]; then
	echo "ort-header: fetching the published header (128 MB)"
	npm ci
fi

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
prove() { # the folder with infer/ort.h
	${CC:-cc} -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$1" -isystem "$headers" proof.c -o "$temp/proof" && "$temp/proof"
}

prove ../../src
places=$(sed -n 's/^    X(\([0-9]*\), .*/\1/p' ../../src/infer/ort.h)
count=0 missed=0
mkdir "$temp/infer"
for place in $places; do
	sed "s/^    X($place, /    X($((place + 1)), /" ../../src/infer/ort.h >"$temp/infer/ort.h"
	if prove "$temp" 2>"$temp/errors" || ! grep -q 'is at another place' "$temp/errors"; then
		echo "ort-header: the proof did not see the function at place $place moved"
		missed=$((missed + 1))
	fi
	count=$((count + 1))
done
[ "$count" -gt 0 ] || { echo "ort-header: found no places in src/infer/ort.h"; exit 1; }
echo "ort-header: $count functions at their places; $((count - missed)) of $count moves were seen"
[ "$missed" -eq 0 ]
