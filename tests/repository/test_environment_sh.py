"""Which Python ``scripts/train`` and ``scripts/test`` take. Stand-ins for Python are on PATH, and nothing is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

STAND_IN = """#!/bin/sh
# Runs the given code as Python {version}, with or without the module venv.
if [ "$1" = --version ]; then echo "Python {version}"; exit 0; fi
exec {real} -c 'import sys
sys.version_info = ({tuple},)
if not {venv}: sys.modules["venv"] = None
exec(sys.argv[1])' "$2"
"""


def stand_in(folder: Path, name: str, version: str, venv: bool = True) -> None:
    text = STAND_IN.format(version=version, real=sys.executable, tuple=version.replace(".", ", "), venv=venv)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name).chmod(0o755)


def find_python(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "bash").symlink_to("/bin/bash")
    (folder / "dirname").symlink_to("/usr/bin/dirname")
    (folder / "sh").symlink_to("/bin/sh")
    command = ["/bin/bash", "-c", 'source "$0" && find_python', str(REPOSITORY / "scripts" / "environment.sh")]
    env = {**os.environ, "PATH": str(folder), "PYTHON": "", **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("pythons", "expected"),
    [
        ({"python3.10": "3.10.13", "python3.14": "3.14.0", "python3": "3.9.2"}, "python3.14"),
        ({"python3.12": "3.12.1", "python3.13": "3.13.0"}, "python3.13"),
        ({"python3": "3.14.2"}, "python3"),
        ({"python3": "3.8.10", "python": "3.11.7"}, "python"),
        ({"python": "3.15.0"}, "python"),
    ],
)
def test_the_newest_known_python_is_taken(pythons, expected, tmp_path: Path):
    for name, version in pythons.items():
        stand_in(tmp_path, name, version)
    result = find_python(tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{expected}\n", "")


@pytest.mark.parametrize(("variable", "expected"), [("python3.11", "python3.11"), ("python3.9", "python3.14")])
def test_the_variable_python_comes_first_if_it_is_new_enough(variable, expected, tmp_path: Path):
    for name in ("python3.9", "python3.11", "python3.14"):
        stand_in(tmp_path, name, name.removeprefix("python") + ".0")
    assert find_python(tmp_path, PYTHON=variable).stdout == f"{expected}\n"


@pytest.mark.parametrize(
    ("pythons", "venv", "message"),
    [
        ({"python3": "3.9.18"}, True, "PATH has Python 3.9.18"),
        ({"python": "2.7.18"}, True, "PATH has Python 2.7.18"),
        ({"python3": "3.12.1"}, False, "PATH has Python 3.12.1"),
        ({}, True, "PATH has no Python"),
    ],
)
def test_without_a_suitable_python_one_line_says_what_to_install(pythons, venv, message, tmp_path: Path):
    for name, version in pythons.items():
        stand_in(tmp_path, name, version, venv)
    result = find_python(tmp_path)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("error: Python 3.10 or later with venv is needed, and")
    assert message in result.stderr and "install Python" in result.stderr
