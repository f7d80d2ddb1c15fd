#!/bin/sh
# Install nmfab into .venv, with the versions of constraints.txt.
#
#   sh scripts/install.sh           nmfab and what it runs on
#   sh scripts/install.sh tests     the same, and what its tests need
#   sh scripts/install.sh lint      ruff alone
#
# Nothing is done where it has been done and setup.cfg, pyproject.toml and constraints.txt are the
# same. PYTHON names the interpreter (python3); pip's own variables hold, so that
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu gets a torch without CUDA's gigabytes.
set -eu
cd "$(dirname "$0")/.."

what=${1:-nmfab}
case $what in
    nmfab | tests | lint) ;;
    *) echo "install.sh: unknown part '$what': there are nmfab, tests, lint" >&2; exit 2 ;;
esac

wanted="$(cat setup.cfg pyproject.toml constraints.txt | cksum) $(pwd)"
stamp=.venv/installed-$what
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null 2>&1; then
    echo "install.sh: $python was not found: install Python 3.11 or newer, or name one by PYTHON=..." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "install.sh: $("$python" --version 2>&1) is too old: nmfab needs Python 3.11 or newer;" \
        "name one by PYTHON=python3.13 sh scripts/demo.sh" >&2
    exit 1
fi

# A folder without a working pip is what an interrupted or moved installation leaves.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "Making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
fi

install() {
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt "$@"
}
install --upgrade pip

if [ "$what" = lint ]; then
    echo "Installing ruff into .venv"
    install ruff
else
    # torch first and by its version: where pip is offered a build for the CPU it takes that one.
    echo "Installing $(grep '^torch==' constraints.txt) into .venv (the largest part)"
    install "$(grep '^torch==' constraints.txt)"
    if [ "$what" = tests ]; then
        echo "Installing nmfab and what its tests need into .venv (some minutes)"
        install -e '.[tests]'
        echo "$wanted" >.venv/installed-nmfab
    else
        echo "Installing nmfab into .venv (some minutes)"
        install -e .
    fi
fi
echo "$wanted" >"$stamp"
