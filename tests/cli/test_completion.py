"""Completion with the TAB key, in a real bash. The scripts for zsh and fish run where these shells are installed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mnist_lite.cli.commands import COMMANDS
from mnist_lite.cli.completion import SCRIPTS
from tests.conftest import RunCommand, write_file

MODELS = ["step1 ", "step2 ", "step3 ", "step4 ", "step5 "]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A shell finds ``mnist-lite`` first on PATH."""
    script = write_file(tmp_path / "bin" / "mnist-lite", f'#!/bin/sh\nexec {sys.executable} -m mnist_lite "$@"\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def shell(*command: str, environment: dict[str, str]) -> str:
    result = subprocess.run(
        command, cwd=environment["HOME"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.stderr == "" and result.returncode == 0, result.stderr
    return result.stdout


def complete_in_bash(line: str, environment: dict[str, str]) -> list[str]:
    """What bash puts in the place of the part of the last word after ``=``."""
    part = line.rpartition(" ")[2].rpartition("=")[2]
    script = f"""{SCRIPTS["bash"]}
        [[ $(complete -p mnist-lite) == *" -F _mnist_lite mnist-lite" ]] || exit 3
        COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}
        _mnist_lite mnist-lite {shlex.quote(part)} ""
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return [reply for reply in shell("bash", "--norc", "-c", script, environment=environment).splitlines() if reply]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mnist-lite ", [f"{name} " for name in COMMANDS]),
        ("mnist-lite tr", ["train "]),
        ("mnist-lite train model=st", MODELS),
        ("mnist-lite train optim", ["optimizer.", "optimizer="]),
        ("mnist-lite summary model=step3 form", ["format="]),
        ("mnist-lite train model=era4 model.drop", ["model.dropout="]),
        ("mnist-lite train optimizer=sgd optimizer.mom", ["optimizer.momentum="]),
        ("mnist-lite train -m hydra/launcher=loc", ["local "]),
        ("mnist-lite train --config-dir mine model=ti", ["tiny "]),
        ("mnist-lite train resume=ru", []),  # then bash completes names of files
        ("mnist-lite compare ru", []),
        ("mnist-lite unknown mo", []),
    ],
)
def test_bash_completes_commands_files_and_keys(line: str, expected: list[str], environment, tmp_path: Path):
    write_file(tmp_path / "mine" / "model" / "tiny.yaml", "layers: [{conv: 10}]\n")
    assert complete_in_bash(line, environment) == expected


def test_the_candidates_need_no_torch(tmp_path: Path):
    code = """
import sys
from mnist_lite.__main__ import main
sys.argv = ["mnist-lite", "completion", "query", "mnist-lite train model=step"]
try:
    main()
finally:
    print("torch" in sys.modules)
"""
    output = shell(sys.executable, "-c", code, environment={**os.environ, "HOME": str(tmp_path)})
    assert output.splitlines() == [*(f"model={name.strip()}" for name in MODELS), "False"]


def test_the_command_prints_the_script(call: RunCommand):
    for name, script in SCRIPTS.items():
        assert call("completion", name).stdout == script
    assert call("completion", "csh").returncode == 2


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_of_each_shell_is_valid(name: str, environment, tmp_path: Path):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    script = write_file(tmp_path / "script", SCRIPTS[name])
    shell(name, "-n", str(script), environment=environment)


def test_an_unknown_shell_is_one_line(run_command: RunCommand):
    done = run_command("completion", "powershell")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown shell 'powershell'; allowed: bash, fish, zsh\n"
