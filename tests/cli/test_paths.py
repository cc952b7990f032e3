"""Paths and overrides from the user: each is usable, or gives one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from mnist_lite.config.hydra_versions import starting_hydra
from mnist_lite.config.overrides import config_dir_flag, path_override, quote_path, user_path
from mnist_lite.errors import UserError
from tests.conftest import QUICK, RunCommand

NAMES = [
    "a\\",
    "a\\\\",
    "\\",
    "a'b",
    "a\\'b",
    "a\\\\'b\\",
    "'",
    "''\\",
    'a"b',
    "a=b,c",
    "a b/ü/日本",
    "C:\\new\\table",
    "x\\y",
    "[a]{b}(c)",
    "a:b#c",
    "~/x",
    "1e3/0x1",
    "/tmp/a-b/c.d_e",
    "null/true",
    "./1",
    "1e3",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_folder_reaches_the_config_unchanged(name: str):
    with starting_hydra():
        parser = OverridesParser.create()
    for text in (path_override("runs_dir", name), quote_path(f"runs_dir={name}")):
        if name[0] not in "'\"" or text == path_override("runs_dir", name):
            (override,) = parser.parse_overrides([text])
            assert override.value() == name


@pytest.mark.parametrize("words", [["--config-dir", "my own"], ["--config-dir=my own"], ["-cd", "my own"]])
def test_the_folder_of_own_configs_is_found_on_the_command_line(words: list[str], monkeypatch: pytest.MonkeyPatch):
    """A search prints it in the command for its best trial, which may use a model of this folder."""
    monkeypatch.setattr(sys, "argv", ["train", "-m", *words, "model=tiny"])
    assert config_dir_flag() == ["--config-dir", "my own"]


@pytest.mark.parametrize("words", [[], ["-m", "model=tiny"]])
def test_a_command_without_own_configs_has_no_flag(words: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["train", *words])
    assert config_dir_flag() == []


def test_a_plain_path_gets_no_quotes():
    """So the command that continues a sweep is easy to read."""
    assert quote_path("runs_dir=/a/b-c/d.e") == "runs_dir=/a/b-c/d.e"
    assert quote_path("runs_dir=a b/c") == "runs_dir='a b/c'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("~nobody-has-this-name", "this user or its home folder is not known"),
        ("~nobody-has-this-name/runs", "this user or its home folder is not known"),
        ("a\0b", "zero byte"),
        ("a\udcffb", "text"),
        ("\ud800", "text"),
    ],
    ids=ascii,
)
def test_a_path_that_no_file_can_have_is_one_line(text: str, message: str):
    with pytest.raises(UserError) as caught:
        user_path("runs_dir", text)
    assert str(caught.value).startswith("runs_dir: ") and message in str(caught.value)
    assert str(caught.value).isascii()


def test_other_paths_are_usable(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    for text, path in {"~/a": "/home/me/a", "a/~b": "a/~b", "ü 日本": "ü 日本"}.items():
        assert user_path("runs_dir", text) == Path(path)


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
UNKNOWN = "~nobody-has-this-name/x"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ((*QUICK, f"runs_dir={UNKNOWN}"), "runs_dir"),
        (("-m", *QUICK, "seed=1,2", f"sweep.dir={UNKNOWN}"), "sweep.dir"),
        ((f"resume={UNKNOWN}",), "resume"),
        (("data=mnist", f"data.root={UNKNOWN}"), "data.root"),
        (("-m", "seed=1,2", f"data.root={UNKNOWN}"), "data.root"),
    ],
)
def test_a_user_without_a_home_is_one_line(arguments, key: str, call: RunCommand, tmp_path):
    result = call("train", *arguments)
    assert result.returncode == 2, result.stderr
    lines = result.stderr.splitlines()
    assert (
        lines[-1].startswith("error: ")
        and f"{key}: {UNKNOWN}: this user" in lines[-1]
        and "Traceback" not in result.stderr
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        *(("train", f"{key}=a\udcff") for key in ("runs_dir", "resume", "sweep.dir", "data.root", "name", "model")),
        ("train", "--config-dir", "a\udcff"),
        ("train", "-m", "seed=1,2", "\udcff=1"),
        ("summary", "name='\ud800'"),
    ],
    ids=ascii,
)
def test_an_argument_that_is_not_text_is_one_line(arguments: tuple[str, ...], call: RunCommand, tmp_path):
    result = call(*arguments)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ") and "\\ud" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "environment", "message"),
    [
        (b"name=a\xff", {"PYTHONUTF8": "1"}, b"\\udcff is not UTF-8 text\n"),
        ("name=größer".encode(), ASCII, b"PYTHONUTF8=1"),
        ("compare größer".encode(), ASCII, b"PYTHONUTF8=1"),
    ],
)
def test_bytes_that_are_no_characters_here_are_one_line(argument: bytes, environment, message: bytes, tmp_path):
    command, _, folder = argument.rpartition(b" ")
    done = subprocess.run(
        [sys.executable, "-m", f"mnist_lite.{command.decode() or 'train'}", folder],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert done.stderr.count(b"\n") == 1 and list(tmp_path.iterdir()) == []


def test_a_folder_whose_name_ends_with_a_backslash(run_command: RunCommand, tmp_path):
    result = run_command("train", *QUICK, "model=era4", "runs_dir=a\\")
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "a\\").glob("*/summary.json"))) == 1
