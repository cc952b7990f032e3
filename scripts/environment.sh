# Sourced by scripts/train and scripts/test. Sets `python` to an interpreter that has this project installed.
#
#   use_environment <extra>     <extra> is "" or "[test]"
#
# An active virtual environment that has the project is used unchanged. Otherwise .venv is created in the checkout and the
# project is installed into .venv. A change of pyproject.toml causes a new install.
# The variable PYTHON names the interpreter for .venv. Without PYTHON the newest known version on PATH is taken.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

find_python() {
    local name found
    for name in ${PYTHON:-} python3.14 python3.13 python3.12 python3.11 python3.10 python3 python; do
        if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || python --version 2>/dev/null) || found="no Python"
    echo "error: Python 3.10 or later with venv is needed, and PATH has $found; install Python 3.12 and its venv package" \
        "(Debian, Ubuntu: apt install python3-venv)" >&2
    return 1
}

has_project() { # <python> <extra>
    "$1" - "$2" 2>/dev/null <<'EOF'
import sys
from importlib.metadata import distribution

distribution("mnist-lite")
for name in ["pytest", "ruff", "mypy", "import-linter"] if sys.argv[1] else []:
    distribution(name)
EOF
}

use_environment() {
    local extra=$1 wanted stamp base
    if [ -n "${VIRTUAL_ENV:-}" ] && [ "$VIRTUAL_ENV" != "$top/.venv" ] && has_project "$VIRTUAL_ENV/bin/python" "$extra"; then
        python=$VIRTUAL_ENV/bin/python
        return
    fi
    python=$top/.venv/bin/python
    stamp=$top/.venv/installed$extra  # holds the hash of the pyproject.toml that was installed
    if ! "$python" -m pip --version > /dev/null 2>&1; then
        base=$(find_python) || return 1
        echo "creating .venv with $("$base" --version) ..." >&2
        "$base" -m venv --clear "$top/.venv" || return 1
    fi
    wanted=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$top/pyproject.toml")
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "installing mnist-lite$extra into .venv; torch is large, so the first install takes minutes ..." >&2
        "$python" -m pip install --quiet --disable-pip-version-check --editable "$top$extra" >&2 || return 1
        echo "$wanted" > "$top/.venv/installed" && echo "$wanted" > "$stamp"
        echo "installed; for the other commands, type this once in each new terminal: source $top/.venv/bin/activate" >&2
    fi
}
