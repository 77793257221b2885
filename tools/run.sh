#!/bin/sh
# What `make run` starts once everything is built: the server, on the first start the demo, and what to do next.
# Settings from the environment: PORT (9001), HOST (127.0.0.1), DATA (./data), DEMO (1).
set -eu

port=${PORT:-9001} host=${HOST:-127.0.0.1} data=${DATA:-./data} demo=${DEMO:-1}
program=build/sightglass
url=http://localhost:$port
out=$(mktemp)
server=

finish() {
    trap - INT TERM HUP PIPE EXIT
    [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
    rm -f "$out"
    exit "$1"
}
trap 'finish 0' INT TERM HUP PIPE
trap 'finish 1' EXIT

# The photos of Debian's package darknet, taken out of it: installing it would bring a graphics stack along.
find_photos() {
    for photos in /usr/share/darknet/data build/photos/usr/share/darknet/data; do
        [ -f "$photos/dog.jpg" ] && return
    done
    echo "Fetching the sample photos (Debian package darknet, 3 MB)"
    mkdir -p build/photos
    if (cd build/photos && apt-get -o APT::Sandbox::User=root download -qq darknet && dpkg -x darknet_*.deb . && rm -f darknet_*.deb); then return; fi
    echo "The sample photos could not be fetched; starting without the demo. \`apt-get update\` may help, then \`make run\` again." >&2
    demo=0
}

key_of() { sed -n "s/^$1 //p" "$data/first-key" 2>/dev/null | head -n 1; }

# One photo through the API; prints its inference id.
infer() {
    { printf '{"model_id": "coco/24", "source": "demo", "source_info": "%s", "image": {"type": "base64", "value": "' "$2"
      base64 -w0 "$photos/$1.jpg"
      printf '"}}'; } |
        curl -sS --fail-with-body -H "Authorization: Bearer $key" -H 'Content-Type: application/json' --data-binary @- \
            "$url/infer/object_detection" | sed -n 's/.*"inference_id": *"\([^"]*\)".*/\1/p'
}

attach() {
    id=$1
    shift
    entries=
    for pair; do
        entries="$entries${entries:+, }{\"inference_ids\": [\"$id\"], \"field_name\": \"${pair%%=*}\", \"field_value\": \"${pair#*=}\"}"
    done
    curl -sS --fail-with-body -o /dev/null -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
        --data "{\"data\": [$entries]}" "$url/demo/inference-stats/metadata"
}

run_demo() {
    key=$("$program" keys add --data "$data" --workspace demo --name first)
    (umask 077 && echo "demo $key" >> "$data/first-key")
    tries=0
    until curl -s -o /dev/null --fail -H "Authorization: Bearer $key" "$url/api/v1/session"; do
        tries=$((tries + 1))
        [ $tries -lt 50 ] || { echo "The new key of the workspace demo is not taken." >&2; return 1; }
        sleep 0.1
    done
    echo "Running the demo model on the sample photos"
    id=$(infer dog yard) && attach "$id" camera_location=canada line=1 shift=early serial_number=A1001 expected=dog
    id=$(infer person farm) && attach "$id" camera_location=emea line=2 shift=early serial_number=A1002 expected=person
    id=$(infer horses farm) && attach "$id" camera_location=emea line=2 shift=late serial_number=A1003
    id=$(infer giraffe park) && attach "$id" camera_location=united_states line=3 shift=late
    id=$(infer kite beach)
    id=$(infer eagle park) && attach "$id" camera_location=canada line=1 shift=night serial_number=A1006 expected=bird
    echo "$id" > "$data/demo"
}

tell() {
    workspace=$1 id=$2
    key=$(key_of "$workspace")
    echo
    if [ -n "$key" ]; then
        echo "Sign in:  $url/ui/#key=$key"
        [ "$workspace" = default ] || [ -z "$(key_of default)" ] || echo "Your own: $url/ui/#key=$(key_of default)   (workspace default, empty)"
    else
        echo "Sign in:  $url/ui/ with your key; a new one:  $program keys add --data $data --workspace $workspace"
        key=YOUR_KEY
    fi
    cat <<TEXT

Run the model on a picture:
  base64 -w0 ${photos:-PICTURE_FOLDER}/dog.jpg | curl -H 'Content-Type: application/json' --data-binary @- '$url/coco/24?api_key=$key'
Attach metadata to an inference:
  curl '$url/$workspace/inference-stats/metadata' -H 'Content-Type: application/json' --data '{"api_key": "$key", "data": [{"inference_ids": ["$id"], "field_name": "camera_location", "field_value": "canada"}]}'
Look at it:
  curl '$url/api/v1/$workspace/inferences/$id?api_key=$key'

TEXT
    case $host in
        127.* | localhost) echo "Only this machine can reach it. For others: make run HOST=0.0.0.0, then http://$(hostname):$port/ui/ (no TLS: a trusted network only)." ;;
        *) echo "From another machine: http://$(hostname):$port/ui/ (no TLS: a trusted network only)." ;;
    esac
    echo "Data is in $data. Ctrl-C ends."
}

photos=
[ "$demo" = 0 ] || [ -f "$data/demo" ] || find_photos
for known in /usr/share/darknet/data build/photos/usr/share/darknet/data; do
    [ -n "$photos" ] || ! [ -f "$known/dog.jpg" ] || photos=$known
done

"$program" serve --data "$data" --listen "$host:$port" --keep-images none,demo=all > "$out" &
server=$!
until grep -q '^listening on' "$out"; do
    kill -0 "$server" 2>/dev/null || { server=; finish 1; }
    sleep 0.05
done
cat "$out"
[ "$demo" = 0 ] || [ -f "$data/demo" ] || run_demo
if [ -f "$data/demo" ]; then
    tell demo "$(cat "$data/demo")"
else
    tell default 00000000-0000-4000-8000-000000000001
fi
wait "$server" || { server=; finish 1; }
server=
finish 0
