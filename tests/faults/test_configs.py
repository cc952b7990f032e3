"""Random command lines and config files: each is a valid run, or gives exit code 2 with one line.

All in one process, by the real command, up to the end of the first training step. The short cases are always the same, so that
CI does not fail by chance. The long ones are drawn anew each time.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import random
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mnist_lite.cli.app import run_command
from mnist_lite.config.compose import config_dir
from mnist_lite.config.hydra_versions import VERSION_BASE
from mnist_lite.config.schema import Config
from mnist_lite.data.digits import load_digits
from mnist_lite.reporting.console import Console
from mnist_lite.runner.folder import RunFolder
from mnist_lite.runner.setup import set_up_run
from mnist_lite.training.trainer import DivergedError

BASE = (
    "data=digits",
    "data.train_limit=60",
    "data.test_limit=20",
    "batch_size=20",
    "epochs=2",
    "init=torch",
    "model=step4",
)
MAX_SECONDS = 60.0
EXAMPLES, LONG_EXAMPLES, LONG_SHARDS = 80, 850, 20
MAX_MULTIPLICATIONS = 2e8
"""A larger step is not trained."""
GROUPS = ("model", "data", "augment", "optimizer", "scheduler", "experiment")
TEXTS = {
    path: path.read_text(encoding="utf-8") for group in GROUPS for path in sorted((config_dir() / group).iterdir())
}
WORDS = sorted(set(re.findall(r"[A-Za-z_.]+|[0-9.e-]+", "\n".join(TEXTS.values()))))


def leaves(node: Any, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")


def known_keys() -> list[str]:
    keys: set[str] = set()
    with initialize_config_dir(str(config_dir()), **VERSION_BASE):
        for overrides in (
            ["experiment=era4"],
            ["optimizer=sgd", "scheduler=plateau"],
            ["model=eva5", "augment=strong"],
        ):
            keys |= set(leaves(OmegaConf.to_container(compose("config", overrides))))
    return sorted(keys - {"resume", "threads", "device"})


KEYS = known_keys()
SCALARS = st.one_of(
    st.sampled_from(
        ["null", "true", "false", "0", "1", "-1", "2", "10", "0.5", "1e-3", "nan", "inf", "-inf", "1e300", "''"]
    ),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.sampled_from(WORDS),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/~"), max_size=8),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3).map(lambda items: f"[{','.join(items)}]"),
    st.tuples(st.sampled_from(WORDS), SCALARS).map(lambda pair: f"{{{pair[0]}:{pair[1]}}}"),
    st.tuples(st.sampled_from(WORDS), SCALARS).map(lambda pair: f"[{{{pair[0]}:{pair[1]}}},relu]"),
    st.sampled_from(KEYS).map(lambda key: f"${{{key}}}"),
    st.sampled_from(
        ["${nope}", "${oc.env:HOME}", "${oc.env:NOPE}", "${", "a,b", "range(3)", "choice(1,2)", "glob(*)", "${now:%Y}"]
    ),
)
FORMS = ("{}={}", "{}={}", "{}={}", "+{}={}", "++{}={}", "~{}", "~{}={}", "{}", "{}=", "={1}", "{}:{}", "{}@{}={}")
USUAL = st.sampled_from(
    [
        "optimizer=sgd",
        "optimizer=adam",
        "optimizer.lr=0.1",
        "optimizer.weight_decay=0.01",
        "scheduler=cosine",
        "scheduler=plateau",
        "scheduler=constant",
        "scheduler.interval=epoch",
        "augment=strong",
        "augment=crop",
        "augment=elastic",
        "model=step3",
        "model=era4",
        "model.dropout=0.1",
        "ema_decay=0.9",
        "eval_every=1",
        "label_smoothing=0.1",
        "clip_grad_norm=1",
        "l1=1e-4",
        "init=kaiming",
        "precision=bf16",
        "data.holdout=100",
        "seed=7",
        "name=x",
        "budget.accuracy=99",
        "budget.epochs=null",
        "checkpoint.steps=2",
        "checkpoint.seconds=0.5",
        "epochs=3",
        "batch_size=7",
        "stop_at_accuracy=50",
        "experiment=era4",
        "experiment=smoke",
        "model=genesis",
        "model=bn_dropout_8k",
    ]
)
OVERRIDE = st.one_of(
    USUAL,
    USUAL,
    USUAL,
    st.tuples(st.sampled_from(KEYS), VALUES).map("=".join),
    st.builds(
        lambda form, key, value: form.format(key, value, value), st.sampled_from(FORMS), st.sampled_from(KEYS), VALUES
    ),
    st.tuples(st.sampled_from(GROUPS), st.sampled_from([path.stem for path in TEXTS])).map("=".join),
    st.builds(lambda a, b, value: f"+{a}.{b}={value}", st.sampled_from(KEYS), st.sampled_from(WORDS), VALUES),
)


TOKEN = re.compile(r"[A-Za-z_.]+|[0-9.e-]+")
NUMBERS = ("-1", "0", "1e9", "nan", ".inf", "null", "[]", "{}", "x", "0.5", "99999999999")
MARKS = ":-[]{}'\"#&*!|>%@,?\t \0é"


def word_replaced(draw: random.Random, line: str, choices: Sequence[str], pattern: re.Pattern[str] = TOKEN) -> str:
    matches = list(pattern.finditer(line))
    if not matches:
        return line
    word = draw.choice(matches)
    return line[: word.start()] + draw.choice(choices) + line[word.end() :]


def split_at(draw: random.Random, line: str) -> tuple[str, str]:
    column = draw.randrange(len(line) + 1)
    return line[:column], line[column:]


MISTAKES: tuple[Callable[[random.Random, list[str], int, int], object], ...] = (
    lambda draw, lines, place, other: lines.pop(place),
    lambda draw, lines, place, other: lines.insert(other, lines[place]),
    lambda draw, lines, place, other: lines.__setitem__(place, " " * draw.randrange(6) + lines[place].lstrip()),
    lambda draw, lines, place, other: lines.insert(other, lines.pop(place)),
    lambda draw, lines, place, other: lines.__setitem__(place, word_replaced(draw, lines[place], WORDS)),
    lambda draw, lines, place, other: lines.__setitem__(
        place, word_replaced(draw, lines[place], NUMBERS, re.compile("[0-9.]+"))
    ),
    lambda draw, lines, place, other: lines.__setitem__(place, draw.choice(MARKS).join(split_at(draw, lines[place]))),
    lambda draw, lines, place, other: lines.__setitem__(place, split_at(draw, lines[place])[0]),
    lambda draw, lines, place, other: lines.__delitem__(slice(place + 1, None)),
)


def mutate(draw: random.Random, text: str) -> bytes:
    """Makes one to three mistakes as people make them in an editor. In 5 % of the files a byte may not be text."""
    lines = text.split("\n")
    for _ in range(draw.randint(1, 3)):
        draw.choice(MISTAKES)(draw, lines, draw.randrange(len(lines)), draw.randrange(len(lines)))
        lines = lines or [""]
    content = "\n".join(lines).encode()
    if draw.random() < 0.05:
        place = draw.randrange(len(content) + 1)
        content = content[:place] + bytes([draw.randrange(256)]) + content[place:]
    return content


def first_step(config: Config) -> int:
    """A run up to the end of its first training step. The exit code is 1 if it diverges there."""
    with contextlib.closing(Console()) as console:
        parts = set_up_run(config, console)
    RunFolder.create(Path(config.runs_dir).expanduser(), config.name).delete()
    images = min(config.batch_size, len(parts.data.train))
    width = max(math.prod(layer.output) for layer in parts.network.layers)
    if images * (sum(layer.multiply_adds for layer in parts.network.layers) + width) < MAX_MULTIPLICATIONS:
        parts.trainer.config.eval_every = None
        parts.trainer.epoch = 1
        try:
            parts.trainer._train_step(parts.trainer._batches()[0])
            parts.trainer.drain()
        except DivergedError:
            return 1
    return 0


class Hang(BaseException):
    """Not an ``Exception``, so that no ``except Exception`` catches it."""


def on_alarm(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Hang


def attempt(arguments: list[str], monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes] | None = None) -> int:
    """Runs the command and checks the promise. Returns the exit code."""
    out, err = io.StringIO(), io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
    ):
        for name, content in (files or {}).items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content)
        before = {str(path) for path in Path().rglob("*")}
        monkeypatch.setattr(sys, "argv", ["mnist_lite.train", *arguments])
        GlobalHydra.instance().clear()
        signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                run_command("train", Config, first_step)
        except SystemExit as end:
            code = end.code
        except Hang:
            raise AssertionError(f"hangs: {arguments}, {files}") from None
        except Exception as error:
            raise AssertionError(f"traceback of {type(error).__name__}: {error}: {arguments}, {files}") from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        errors = err.getvalue()
        assert code in (0, 1, 2), (code, arguments)
        if code == 2:
            lines = [line for line in errors.splitlines() if line.startswith("error: ")]
            assert len(lines) == 1 and errors.splitlines()[-1] == lines[0], f"{arguments}, {files} prints {errors!r}"
            assert len(lines[0]) > len("error: ") + 5
            left = {str(path) for path in Path().rglob("*")} - before
            assert not left, f"{arguments} leaves {left}"
        assert "Traceback" not in errors
        return int(code)


@contextlib.contextmanager
def chdir(folder: str) -> Iterator[None]:
    """``contextlib.chdir`` of Python 3.11."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture
def exit_code_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Without network and MNIST, with an alarm for commands that hang. Torch's threads are restored."""
    monkeypatch.setenv("MNIST_LITE_DATA", "no-such-folder")
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [])
    monkeypatch.setattr("mnist_lite.data.digits.load_digits", functools.cache(load_digits))
    # Hydra composes the config twice, the first time only to see if -m is meant.
    monkeypatch.setattr("hydra._internal.hydra.Hydra.get_mode", lambda *_arguments, **_more: RunMode.RUN)
    before, threads = signal.signal(signal.SIGALRM, on_alarm), torch.get_num_threads()
    yield monkeypatch
    signal.signal(signal.SIGALRM, before)
    torch.set_num_threads(threads)


def explore(body: Callable[[Any], None], strategy: st.SearchStrategy[Any], shard: int, long: bool) -> None:
    checked = settings(
        max_examples=LONG_EXAMPLES if long else EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )(given(strategy)(body))
    (checked if long else seed(shard)(checked))()


SHARD = [
    pytest.param(0, False, id="short"),
    *(pytest.param(shard, True, id=f"long-{shard}", marks=pytest.mark.long) for shard in range(LONG_SHARDS)),
]


@pytest.mark.parametrize(("shard", "long"), SHARD)
def test_random_overrides(shard: int, long: bool, exit_code_of: pytest.MonkeyPatch):
    codes: list[int] = []

    def body(overrides: list[str]) -> None:
        codes.append(attempt([*BASE, *overrides], exit_code_of))

    explore(body, st.lists(OVERRIDE, min_size=1, max_size=3), shard, long)
    assert len(codes) >= EXAMPLES
    assert {0, 2} <= set(codes)  # there are good ones and bad ones


@pytest.mark.parametrize(("shard", "long"), SHARD)
def test_mutated_files(shard: int, long: bool, exit_code_of: pytest.MonkeyPatch):
    codes: list[int] = []

    def body(number: int) -> None:
        draw = random.Random(number)
        path = draw.choice(list(TEXTS))
        group = path.parent.name
        content = mutate(draw, TEXTS[path])
        after = [f"{group}=mutant"] + (list(BASE[:5]) if group == "experiment" else [])
        files = {f"mine/{group}/mutant.yaml": content}
        codes.append(attempt(["--config-dir", "mine", *BASE, *after], exit_code_of, files))

    explore(body, st.integers(0, 2**63), shard, long)
    assert len(codes) >= EXAMPLES
    assert {0, 2} <= set(codes)
