#!/bin/sh
# Create the virtual environment $1 with the Python named in $PYTHON, or the first one that is new enough.
set -eu
venv=$1

new_enough() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Debian splits the parts that venv needs from the interpreter.
has_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

python=
first=
for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3}; do
    if new_enough "$candidate"; then
        : "${first:=$candidate}"
        if has_venv "$candidate"; then
            python=$candidate
            break
        fi
    fi
done

if [ -z "$first" ]; then
    echo "localbox needs Python 3.11 or later. Found none; name one with: make PYTHON=/path/to/python ..." >&2
    exit 1
fi

if [ -z "$python" ]; then
    package=$("$first" -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package"
    fi
    if ! has_venv "$first"; then
        echo "$first cannot make virtual environments. On Debian and Ubuntu: apt-get install $package" >&2
        exit 1
    fi
    python=$first
fi

# --clear: a venv left half made by an interrupted run would fail in strange ways later.
"$python" -m venv --clear "$venv"
