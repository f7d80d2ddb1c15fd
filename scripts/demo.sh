#!/bin/sh
# See nmfab work: install it into .venv, run the experiments on the embedded dataset, and print
# their tables, on six tracks each: as many as a paired test needs. A second run computes nothing
# that the first one left in cache/.
set -eu
cd "$(dirname "$0")/.."
sh scripts/install.sh

for task in msa mss transcription; do
    experiment=experiments/$task.py
    [ -f "$experiment" ] || continue
    echo
    echo "== $experiment: computing on the embedded dataset"
    .venv/bin/python "$experiment" -s '{"dataset":"demo"}' --tracks 6 -c 2
    .venv/bin/python "$experiment" -s '{"dataset":"demo"}' --tracks 6 -d
done
