#!/bin/sh
# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# make-venv.sh DIR [PYTHON [CONSTRAINTS [EXTRA]]]: a virtual environment with our package (editable), its
# development tools or what another extra of it names, and the collection autoglm.recovery as a link to this checkout, in the place where
# Ansible looks for collections without being told. Plain sh, because Python may be what is missing.
set -eu

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/../../.." && pwd)
venv=$1
python=${2:-}
constraints=${3:-$checkout/.ci/constraints.txt}
extra=${4:-dev}
unset PYTHONDONTWRITEBYTECODE # without bytecode every later start of Ansible compiles all its modules again

stop() {
    echo "make-venv: $*" >&2
    exit 1
}

# The real path of an interpreter that runs. A pyenv shim may be on PATH and yet refuse to start.
runs() {
    "$1" -c 'import sys; assert sys.version_info >= (3, 11); print(sys.executable)' 2>/dev/null
}

has_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

find_python() {
    for name in python3.11 python3 python3.12 python3.13 python3.14 /usr/bin/python3; do
        runs "$name" && return
    done
    return 1
}

install_debian() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "installing the Debian package(s) $*"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    { apt-get install -qy --no-install-recommends "$@" || { apt-get update -q && apt-get install -qy --no-install-recommends "$@"; }; } \
        >"$log" 2>&1 </dev/null || { tail -n 5 "$log" >&2; rm -f "$log"; return 1; }
    rm -f "$log"
}

if [ -n "$python" ]; then
    python=$(runs "$python") || stop "$python is not a Python of version 3.11 or newer that starts."
elif ! python=$(find_python); then
    install_debian python3 python3-venv && python=$(find_python) ||
        stop "Python 3.11 or newer is needed: on Debian 12 or later run 'apt-get install python3 python3-venv' as root, elsewhere see https://www.python.org/downloads/."
fi
if ! has_venv "$python"; then
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    install_debian "$package" || true
    has_venv "$python" || stop "$python has no venv module: on Debian or Ubuntu run 'apt-get install $package' as root."
fi

# One at a time: `make demo` and `make test` may be started together in a fresh clone.
if [ -z "${MAKE_VENV_LOCKED:-}" ] && command -v flock >/dev/null; then
    MAKE_VENV_LOCKED=1 exec flock "$checkout/pyproject.toml" "$0" "$venv" "$python" "$constraints" "$extra"
fi
if [ "$venv/made" -nt "$checkout/pyproject.toml" ] && [ "$venv/made" -nt "$constraints" ] && [ "$venv/made" -nt "$0" ]; then
    exit 0 # the one we waited for has made it
fi

started=$(date +%s)
echo "making $venv with $("$python" -V): our package, Ansible and what $extra needs (about a minute) ..."
# Scripts in an environment name it by its full path: one that was moved, or whose Python has gone, starts anew.
clear=--clear
if [ "$(cat "$venv/made" 2>/dev/null)" = "$checkout" ] && "$venv/bin/python" -c '' 2>/dev/null; then clear=; fi
rm -f "$venv/made"
"$python" -m venv $clear "$venv"
"$venv/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --no-input \
    --constraint "$constraints" --editable "$checkout[$extra]" </dev/null
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/ansible_collections/autoglm"
rm -rf "$site/ansible_collections/autoglm/recovery"
ln -s "$checkout" "$site/ansible_collections/autoglm/recovery"
echo "$checkout" >"$venv/made"
echo "made $venv in $(($(date +%s) - started)) s: $("$venv/bin/python" -m pip list 2>/dev/null | awk '$1 == "ansible-core" {print $1, $2}')"
