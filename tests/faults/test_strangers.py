"""Run folders from strangers: refused in one line. Their code does not run, and no file outside is read or written."""

from __future__ import annotations

import builtins
import hashlib
import io
import os
import pickle
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mnist_lite.runner import checkpoint
from tests.faults.child import only_run, train
from tests.faults.injected import SignalAtStep
from tests.faults.recipes import FEW, RECIPES

SENTINEL = "the-code-ran"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    done = train(folder, *FEW, *RECIPES["onecycle"], fault=SignalAtStep(7, signal.SIGTERM))
    assert done.code == 143, done.text
    return only_run(folder)


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    """A copy of a good run that was stopped, without ``previous.pt``."""
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "run" / "previous.pt").unlink(missing_ok=True)
    return tmp_path / "run"


def assert_refused(run: Path, *expected: str) -> None:
    """Resuming gives one line with the ``expected`` words, runs no code from the folder, and changes nothing in it."""
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.name != "run.log"}
    done = train(run.parent, "resume=run")
    assert done.code == 2, done.text
    errors = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in done.text, done.text
    assert all(words in errors[0] for words in expected), errors[0]
    assert not list(run.parent.rglob(SENTINEL)), "the stranger's code ran"
    after = {path.name: path.read_bytes() for path in run.iterdir() if path.name != "run.log"}
    assert before.items() <= after.items()


class Calls:
    """A pickle that calls ``function`` when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class SetsState:
    """A pickle that calls a function for an item of a dict."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (), None, None, iter([("x", Calls(os.system, f"touch {SENTINEL}"))]))


EVIL: dict[str, Any] = {
    "os.system": Calls(os.system, f"touch {SENTINEL}"),
    "subprocess": Calls(subprocess.check_output, ["touch", SENTINEL]),
    "eval": Calls(builtins.eval, f"open('{SENTINEL}', 'w')"),
    "exec": Calls(builtins.exec, f"import os; os.system('touch {SENTINEL}')"),
    "open": Calls(builtins.open, SENTINEL, "w"),
    "getattr": Calls(getattr, Path(SENTINEL), "touch"),
    "import": Calls(builtins.__import__, "this"),
    "pathlib": Path(SENTINEL),
    "in a dict's items": SetsState(),
    "as a key": {("a", 1): Calls(os.mkdir, SENTINEL)},
    "torch.load of another": Calls(torch.load, "other.pt"),
    "torch.hub": Calls(torch.hub.load, "stranger/repository", "model"),
    "logging.os.system": Calls(__import__("logging").os.system, f"touch {SENTINEL}"),
}


@pytest.mark.parametrize("evil", EVIL)
def test_pickles_that_call_something(evil: str, run: Path):
    """With the right checksum, which anyone can compute."""
    state = torch.load(run / "last.pt", weights_only=True)
    (run / "last.pt").write_bytes(checkpoint.pack({**state, "more": EVIL[evil]}))
    assert_refused(run, "last.pt is not a checkpoint of this program")


def test_the_same_pickles_run_without_protection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.load(io.BytesIO(checkpoint.pack({"more": EVIL["os.system"]})), weights_only=False)
    assert (tmp_path / SENTINEL).exists()


def signed(content: bytes) -> bytes:
    return content + b"sha256:" + hashlib.sha256(content).hexdigest().encode()


def legacy() -> bytes:
    buffer = io.BytesIO()
    torch.save({"more": EVIL["os.system"]}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(EVIL["os.system"]),
        legacy(),
        script(),
        b"PK\x03\x04 not an archive",
        b"<html></html>",
        bytes(1000),
    ],
    ids=["plain pickle", "torch's old format", "a script", "half an archive", "a web page", "zeros"],
)
def test_other_formats_with_the_right_checksum(content: bytes, run: Path):
    (run / "last.pt").write_bytes(signed(content))
    assert_refused(run, "last.pt is not a checkpoint of this program")


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {k: v for k, v in state.items() if k != key}


def instead(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {**state, **values}


def parts_of(state: dict[str, Any], key: str, **values: Any) -> dict[str, Any]:
    return {**state, key: {**state[key], **values}}


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    **{
        f"without {key}": without(key)
        for key in ("model", "optimizer", "scheduler", "best", "config", "data", "metrics", "step", "format")
    },
    "a list": list,
    "a format from the future": instead(format=99),
    "a step that is a word": instead(step="seven"),
    "a step below zero": instead(step=-3),
    "a model of another shape": lambda s: parts_of(s, "model", **{"0.weight": torch.zeros(3)}),
    "a model with more": lambda s: parts_of(s, "model", more=torch.zeros(3)),
    "an optimizer without groups": lambda s: parts_of(s, "optimizer", param_groups=[]),
    "an optimizer that is a word": instead(optimizer="adam"),
    "a scheduler with a method": lambda s: parts_of(s, "scheduler", step=5),
    "rows that are a list": instead(metrics=[]),
    "rows that are a word": instead(metrics="all"),
    "other data": lambda s: parts_of(s, "data", train=999),
    "data that are no words": lambda s: parts_of(s, "data", name=["digits"]),
    "a config that is another": lambda s: parts_of(s, "config", seed=7),
    "a best without weights": instead(best={"score": 1.0}),
    "resumes that are a dict": instead(resumes={}),
    "conditions that are a list": instead(conditions=[]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_checkpoints_that_do_not_fit(wrong: str, run: Path):
    state = torch.load(run / "last.pt", weights_only=True)
    (run / "last.pt").write_bytes(checkpoint.pack(WRONG[wrong](state)))
    assert_refused(run)


def test_rows_of_a_stranger(run: Path):
    state = torch.load(run / "last.pt", weights_only=True)
    for text in ('{"step": [1]}\n', "[]\n", "x\n", '{"step": 1}\n', '{"step": 1, "epoch": 1, "lr": "a"}\n'):
        (run / "last.pt").write_bytes(checkpoint.pack({**state, "metrics": text}))
        assert_refused(run)


CONFIGS: dict[str, Callable[[str], str]] = {
    "a tag that calls": lambda text: text + f"more: !!python/object/apply:os.system ['touch {SENTINEL}']\n",
    "a tag as the seed": lambda text: text.replace(
        "seed: 0", f"seed: !!python/object/new:os.system ['touch {SENTINEL}']"
    ),
    "a local tag": lambda text: text + "more: !evil x\n",
    "an endless text": lambda text: (
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True))
        + text
    ),
    "a list that holds itself": lambda text: text + "more: &m [*m]\n",
    "an interpolation of the environment": lambda text: text.replace("name: step4", "name: ${oc.env:HOME}", 1),
    "an interpolation that creates": lambda text: text.replace("name: step4", "name: ${oc.create:x}", 1),
    "a target at the top": lambda text: text + f"_target_: os.system\n_args_: ['touch {SENTINEL}']\n",
    "a target in the optimizer": lambda text: text.replace("optimizer:\n", "optimizer:\n  _target_: os.system\n"),
    "a target as a layer": lambda text: text.replace(
        "  layers:\n", f"  layers:\n  - {{_target_: os.system, command: touch {SENTINEL}}}\n", 1
    ),
    "a target as an augmentation": lambda text: text.replace("transforms:\n", "transforms:\n  - _target_: os.system\n"),
    "an optimizer from elsewhere": lambda text: text.replace("name: AdamW", "name: logging.os.system"),
    "a scheduler from elsewhere": lambda text: text.replace("name: OneCycleLR", "name: builtins.eval"),
    "settings of Hydra": lambda text: text + "hydra:\n  run:\n    dir: /tmp\n",
    "defaults": lambda text: "defaults: [experiment: era4]\n" + text,
    "an unknown key": lambda text: text + "evil: 1\n",
    "nothing": lambda _text: "",
    "a list": lambda _text: "- a\n",
    "a word": lambda _text: "word\n",
    "no YAML": lambda text: text + "\n  - : [\n",
    "zeros": lambda text: "\0" * len(text),
    "deep lists": lambda text: text + "more: " + "[" * 1000 + "]" * 1000 + "\n",
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_configs_of_a_stranger(kind: str, run: Path):
    path = run / "config.yaml"
    text = path.read_text(encoding="utf-8")
    changed = CONFIGS[kind](text)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    assert_refused(run)


def test_the_same_tags_run_without_protection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    yaml.load(f"x: !!python/object/apply:os.system ['touch {SENTINEL}']", Loader=yaml.UnsafeLoader)
    assert (tmp_path / SENTINEL).exists()


def test_a_config_that_is_not_text(run: Path):
    (run / "config.yaml").write_bytes(b"\xff\xfe\x00" * 99)
    assert_refused(run)


@pytest.mark.parametrize("name", ["metrics.jsonl", "run.log", "last.pt", "best.pt", "config.yaml", "summary.json", "x"])
def test_links_out_of_the_folder_are_not_followed(name: str, run: Path, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(victim)
    done = train(run.parent, "resume=run")
    assert done.code == 2 and (f"{name}: it is a link" in done.text or name == "config.yaml"), done.text
    assert victim.read_text(encoding="utf-8") == "precious"


def test_a_folder_in_the_place_of_a_file(run: Path):
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()
    done = train(run.parent, "resume=run")
    assert done.code == 2 and "metrics.jsonl: it is not a plain file" in done.text
