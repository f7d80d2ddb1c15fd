#!/bin/sh
# Install what the tests need into .venv and run them; arguments go to pytest.
#
#   sh scripts/test.sh                            all but those marked slow
#   sh scripts/test.sh --slow                     all
#   sh scripts/test.sh tests/store/test_files.py -k key
#
# Tests on real recordings read the folder $NMFAB_SAMPLES, else ../shared/samples; without either
# they are skipped by name.
set -eu
cd "$(dirname "$0")/.."
sh scripts/install.sh tests

slow=no
for argument; do
    shift
    if [ "$argument" = --slow ]; then slow=yes; else set -- "$@" "$argument"; fi
done
[ "$slow" = yes ] || set -- -m "not slow" "$@"

# Sums depend on the number of threads in their last bits, and several tests compare bits.
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec .venv/bin/python -m pytest "$@"
