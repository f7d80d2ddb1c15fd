#!/bin/sh
# Write constraints.txt anew: the newest versions that setup.cfg admits, as pip resolves them in an
# empty environment (Python 3.11, the oldest that is supported), torch apart.
#
#   PYTHON=python3.11 sh scripts/pin.sh
#
# torch stays as it is pinned; to change it, edit its line in constraints.txt first, and that of
# triton to the version that torch for CUDA asks for.
set -eu
cd "$(dirname "$0")/.."

torch=$(grep -E '^(torch|triton)==' constraints.txt)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
pip="$folder/venv/bin/python -m pip"
$pip install --quiet --upgrade pip
# two words, one for each
# shellcheck disable=SC2086
$pip install --quiet $torch
$pip install --quiet -e '.[tests,lint]'
{
    echo "# Every version that nmfab is tested with, written by: PYTHON=python3.11 sh scripts/pin.sh"
    # pip too: what comes with older Pythons takes twice as long to resolve all this.
    $pip freeze --all --exclude-editable --exclude torch --exclude triton --exclude setuptools
    echo "$torch"
    # What librosa asks for where Python no longer has it.
    for package in audioop-lts standard-aifc standard-chunk standard-sunau; do
        $pip download --quiet --no-deps --only-binary=:all: --python-version 3.13 \
            --dest "$folder" "$package"
    done
    for wheel in "$folder"/*.whl; do
        basename "$wheel" | sed 's/_/-/; s/^\([a-z-]*\)-\([0-9.]*\)-.*/\1==\2 ; python_version >= "3.13"/'
    done
} >"$folder/constraints.txt"
cp "$folder/constraints.txt" constraints.txt
