#!/bin/sh
# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# demo.sh [demo|clean]: the demo, or its end, in the environment of the tests where there is one, else in a smaller one. On a
# bare machine that is made while the hosts' image is built, which takes a Python and nothing else.
set -eu
cd "$(dirname "$0")/../.."
what=${1:-demo}
venv=.venv
[ .venv/made -nt pyproject.toml ] || venv=.venv-demo

make_venv() {
    tests/support/tooling/make-venv.sh "$venv" "" "" demo
}

has_python() {
    python3 -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null
}

if [ $venv = .venv-demo ]; then
    if [ "$what" = demo ] && ! [ $venv/made -nt pyproject.toml ] && has_python; then
        # First what apt installs: two of it at once refuse each other.
        python3 -m tests.lab.prepare packages
        make_venv &
        image=0
        python3 -m tests.lab.prepare image || image=$?
        wait $!
        [ $image = 0 ] || exit $image
    fi
    make_venv
fi
export PATH="$PWD/$venv/bin:$PATH"
exec $venv/bin/python -m "tests.lab.$what"
