#!/bin/sh
# Speaks the demo callers' lines with flite's free voices (needs the Debian packages flite and sox).
# Each line of lines.txt becomes voices/VOICE/the-line.wav: 8 kHz mu-law, what a phone hears, trimmed of silence. One that
# is there already is kept; delete it to have it spoken anew.
set -eu
cd "$(dirname "$0")"
for voice in slt rms awb kal16; do
    mkdir -p "voices/$voice"
    while IFS= read -r line; do
        name=$(printf '%s' "$line" | tr ' ' '-' | tr -cd "a-z0-9-")
        [ -e "voices/$voice/$name.wav" ] && continue
        flite -voice "$voice" -t "$line" -o "/tmp/$voice.wav"
        sox "/tmp/$voice.wav" -r 8000 -c 1 -e mu-law "voices/$voice/$name.wav" \
            silence 1 0.02 0.5% reverse silence 1 0.02 0.5% reverse norm -6
    done <lines.txt
done
