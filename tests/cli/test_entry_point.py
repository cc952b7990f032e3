"""``mnist-lite``: one name for all commands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from mnist_lite import __version__
from mnist_lite.__main__ import main
from mnist_lite.cli.commands import COMMANDS
from mnist_lite.config import overrides
from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "src" / "mnist_lite"
PYPROJECT = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def mnist_lite(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of ``mnist-lite <arguments>``, run in this process."""
    monkeypatch.setattr("mnist_lite.__main__.begin", lambda: None)
    monkeypatch.setattr(sys, "argv", ["mnist-lite", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_console_script_has_the_name_of_the_distribution():
    (name,) = re.findall(r'^\[project\]\nname = "(.*)"$', PYPROJECT, re.MULTILINE)
    (target,) = re.findall(rf'^{name} = "(.*)"$', PYPROJECT, re.MULTILINE)
    assert EntryPoint(name, target, "console_scripts").load() is main
    (version,) = re.findall(r'^version = "(.*)"$', PYPROJECT, re.MULTILINE)
    assert version == __version__


def test_every_command_is_a_short_module_and_every_such_module_is_a_command():
    modules = {}
    for path in PACKAGE.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.parse(text).body):
            modules[path.stem] = len(text.splitlines())
    assert set(modules) == {"__main__", *(name.replace("-", "_") for name in COMMANDS)}
    assert max(modules.values()) < 40


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_without_a_command_the_commands_are_listed(arguments, monkeypatch, capsys):
    assert mnist_lite(monkeypatch, *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, command in COMMANDS.items():
        assert [line for line in lines if line.split() == [name, *command.summary.split()]]
    assert max(map(len, lines)) <= 80


def test_the_version_is_that_of_mnist_lite(monkeypatch, capsys):
    for arguments in (["--version"], ["train", "--version"], ["train", "model=step3", "--version"]):
        monkeypatch.setattr("mnist_lite.train.begin", lambda: None)
        assert mnist_lite(monkeypatch, *arguments) == 0
        assert capsys.readouterr().out == f"mnist-lite {__version__}\n"


@pytest.mark.parametrize(("name", "message"), [("trian", "did you mean train?"), ("model=step3", "allowed: bench, ")])
def test_an_unknown_command_is_one_line(name, message, monkeypatch, capsys):
    assert mnist_lite(monkeypatch, name, "model=step3") == 2
    output, errors = capsys.readouterr()
    assert output == "" and errors.count("\n") == 1
    assert errors.startswith(f"error: unknown command {name!r}; ") and message in errors


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_both_names_of_a_command_do_the_same(tmp_path: Path):
    arguments = ("model=era4", "epochs=3", "--cfg", "job")
    first, second = (
        run(sys.executable, "-m", *words, *arguments, folder=tmp_path)
        for words in (("mnist_lite", "train"), ("mnist_lite.train",))
    )
    assert (first.returncode, first.stdout, first.stderr) == (0, second.stdout, second.stderr)
    assert "epochs: 3" in first.stdout


def test_the_installed_script_runs_a_command(tmp_path: Path):
    script = Path(sys.executable).with_name("mnist-lite")
    if not script.is_file():
        pytest.skip("the package was installed before it had this script")
    result = run(str(script), "summary", "model=step3", folder=tmp_path)
    assert result.returncode == 0 and "7,216 parameters" in result.stdout, result.stderr


def test_commands_to_paste_use_the_script_where_the_shell_finds_it(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    long = f"{tmp_path / 'python'} -m mnist_lite.train 'name=a b'"
    assert overrides.train_command(["name=a b"]) == long
    other = tmp_path / "other"
    other.mkdir()
    for folder, name, expected in (
        (other, "mnist-lite", long),
        (tmp_path, "python", "python -m mnist_lite.train 'name=a b'"),
        (tmp_path, "mnist-lite", "mnist-lite train 'name=a b'"),
    ):
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}")
        assert overrides.train_command(["name=a b"]) == expected
