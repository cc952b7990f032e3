"""``--help`` of every command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mnist_lite.cli.commands import COMMANDS
from tests.conftest import REPOSITORY, RunCommand, write_file

WITH_CONFIG = [name for name, command in COMMANDS.items() if command.config]
LISTED = {
    "train": ("model", "data", "augment", "optimizer", "scheduler", "experiment", "sweep", "hydra/launcher"),
    "summary": ("model", "experiment"),
    "bench": ("model", "augment", "optimizer", "scheduler", "experiment"),
    "preview": ("data", "augment", "experiment"),
    "lr_find": ("model", "augment", "optimizer", "experiment"),
}
OWN_KEYS = {
    "train": ("epochs=14", "sweep.workers", "checkpoint.seconds=10", "data.holdout=0"),
    "summary": ("format=table", "table | json | torchsummary"),
    "bench": ("rounds=5", "images=6400"),
    "evaluate": ("image=0",),
    "report": ("the HTML file",),
    "preview": ("data.holdout=0", "image=0", "picture=preview.png"),
    "lr_find": ("lr_min=1.0e-5", "lr_max=10.0", "steps=200"),
    "compare": ("verify=true",),
    "runs": ("count=50",),
    "predict": ("format=text", "text | json"),
    "export": ("format=onnx", "onnx | safetensors | pt2"),
    "completion": ("bash",),
}


def first_comment(path: Path) -> str:
    lines = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return next(line for line in lines if not line.startswith("@package"))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_files_the_keys_and_the_examples_of_the_command(name, call: RunCommand, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = call(name, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    groups = LISTED.get(name, ())
    for group in groups:
        part = result.stdout.split(f"\n{group}=<name>\n")[1].split("\n\n")[0].splitlines()
        expected = {path.stem: first_comment(path) for path in (REPOSITORY / "conf" / group).glob("*.yaml")}
        assert expected and {line.split()[0]: line.split(maxsplit=1)[1] for line in part} == expected
    assert result.stdout.count("=<name>\n") == len(groups)
    for key in OWN_KEYS[name]:
        assert key in result.stdout
    others = {key for keys in OWN_KEYS.values() for key in keys} - set(OWN_KEYS[name])
    assert not [key for key in others if key in result.stdout]
    commands = re.findall(r"^  (?:mnist-lite |python -m mnist_lite\.)(\w+) ", result.stdout, re.MULTILINE)
    assert commands == [name] * len(COMMANDS[name].examples)
    lines = result.stdout.replace(f"mnist-lite {name}", f"python -m mnist_lite.{name}").splitlines()
    assert max(map(len, lines)) <= (80 if COMMANDS[name].config else 90)


def test_every_command_has_help():
    assert set(OWN_KEYS) == set(COMMANDS) and set(LISTED) == set(WITH_CONFIG)
    assert max(len(command.summary) for command in COMMANDS.values()) <= 65


def test_help_has_the_comments_of_the_config_file(call: RunCommand):
    """Every key of config.yaml, and every word of the comment beside it."""
    shown = " ".join(call("train", "--help").stdout.split())
    text = (REPOSITORY / "conf" / "config.yaml").read_text(encoding="utf-8").split("\nhydra:")[0].split("\n\n", 1)[1]
    comments = re.findall(r"# (.*)", text)
    assert len(comments) > 25
    assert [comment for comment in comments if " ".join(comment.split()) not in shown] == []
    assert [key for key in re.findall(r"^(?:  )?(\w+):", text, re.MULTILINE) if key not in shown] == []


def test_help_lists_the_users_own_files(call: RunCommand, tmp_path):
    write_file(tmp_path / "mine" / "model" / "tiny.yaml", "# One convolution.\nlayers: [{conv: 10}]\n")
    (tmp_path / "mine" / "model" / "bare.yaml").write_bytes(b"layers: [\xff]\n")
    result = call("summary", "--help", "--config-dir", "mine")
    assert result.returncode == 0, result.stderr
    assert re.search(r"^  tiny +One convolution\.$", result.stdout, re.MULTILINE)
    assert re.search(r"^  bare +this config file is not UTF-8 text", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", WITH_CONFIG)
def test_the_examples_of_the_help_compose(name, call: RunCommand, tmp_path):
    write_file(tmp_path / "mine" / "model" / "tiny.yaml", "layers: [{conv: 10}]\n")
    for example in COMMANDS[name].examples:
        names_a_run = "=" not in example.split()[0] and not example.startswith("-")
        if not names_a_run and not example.startswith("-m "):  # Hydra composes no sweep for --cfg
            result = call(name, *example.split(), "--cfg", "job")
            assert result.returncode == 0, (example, result.stderr)
