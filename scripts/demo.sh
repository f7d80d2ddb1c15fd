#!/bin/sh
# See nmfab work: install it into .venv, run the experiments on the embedded dataset, and print
# their tables, on six tracks each: as many as a paired test needs. A second run computes nothing
# that the first one left in cache/. Plans of models that take longer (convolutive, ntd) are left
# out: experiments/mss.py -s 'convolutive/dataset=demo' -c -d computes and shows one.
set -eu
cd "$(dirname "$0")/.."
sh scripts/install.sh

show() {
    experiment=experiments/$1.py
    shift
    plans=
    for plan; do plans="$plans${plans:+,}\"$plan/dataset=demo\""; done
    echo
    echo "== $experiment: computing on the embedded dataset"
    .venv/bin/python "$experiment" -s "[$plans]" --tracks 6 -c 2
    .venv/bin/python "$experiment" -s "[$plans]" --tracks 6 -d
}

show msa nmf nn_fac ranks random baselines
show mss nmf is nn_fac rank grouped baselines dictionary
show transcription harmonic is seeds blind nn_fac dictionary oracle baselines
