#!/bin/sh
# Makes a virtual environment with the packages of a lock file and this checkout in it.
#
#   scripts/venv.sh DIR LOCK BELOW [optional]
#
# Takes $PYTHON if it is from 3.10 to below 3.BELOW, else the first such Python on PATH. Where there is none it
# says so and fails, or with "optional" succeeds. A finished environment has a file DIR/ready, newer than LOCK.
set -eu

dir=$1 lock=$2 below=$3 optional=${4:-}
log=$dir/install.log

say() { printf '%s\n' "$*" >&2; }

version='import sys; print("%d.%d.%d" % sys.version_info[:3])'
suitable="import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, $below))"

python='' without_venv='' seen=''
for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10; do
    found=$("$candidate" -c "$version" 2>/dev/null) || continue
    if ! "$candidate" -c "$suitable"; then
        seen="$seen $candidate ($found)"
    elif ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        without_venv=$candidate
    else
        python=$candidate
        break
    fi
done

if [ -z "$python" ]; then
    say "$dir needs Python 3.10 to 3.$((below - 1)), and there is none on this machine's PATH."
    [ -z "$seen" ] || say "Not suitable:$seen."
    [ -z "$without_venv" ] || say "$without_venv would do but lacks the module venv (Debian, Ubuntu: apt install python3-venv)."
    say "Install one, or name one that is not on PATH: make ${GOALS:-test} PYTHON=/path/to/python3.$((below - 1))"
    [ "$optional" = optional ] && exit 0
    exit 1
fi

say "Making $dir with Python $found and the packages of $lock ..."
rm -rf "$dir"
if ! "$python" -m venv "$dir" >&2; then
    say "$python could not make a virtual environment (Debian, Ubuntu: apt install python3-venv)."
    exit 1
fi

# uv installs in seconds what takes pip a minute. pip is the fall-back: it knows this machine's pip.conf, uv does not.
with_uv() {
    "$dir/bin/python" -m pip install --quiet "$(grep '^uv==' "$lock")" &&
        "$dir/bin/uv" pip install --quiet --python "$dir/bin/python" --requirement "$lock" &&
        "$dir/bin/uv" pip install --quiet --python "$dir/bin/python" --no-deps --editable .
}
with_pip() {
    "$dir/bin/python" -m pip install --no-deps --requirement "$lock" &&
        "$dir/bin/python" -m pip install --no-deps --editable .
}
if ! { with_uv || with_pip; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    say "The packages could not be installed (all of the output: $log)."
    say "Is there a network connection, and does pip reach a package index? Then try again."
    exit 1
fi
touch "$dir/ready"
