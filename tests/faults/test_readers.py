"""Random damage to the files of a run and of a sweep: each reader returns a result, or raises an error of one line.

The damage is at random bytes, or a value of the file is replaced by another one. A checkpoint gets the right checksum, so its
values are read. It is then used for a training step. The short cases are always the same. The long ones are drawn anew each time.
"""

from __future__ import annotations

import functools
import json
import math
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from mnist_lite.config.compose import config_dir
from mnist_lite.config.hydra_versions import VERSION_BASE
from mnist_lite.config.schema import Config, validate
from mnist_lite.errors import ExpectedError
from mnist_lite.process.stop_request import Interrupted
from mnist_lite.reporting.console import Console
from mnist_lite.runner import checkpoint
from mnist_lite.runner.config_file import resumed_config
from mnist_lite.runner.metrics_file import read_evaluations
from mnist_lite.runner.run import run
from mnist_lite.runner.run_loop import RunLoop
from mnist_lite.runner.summary import read_summary
from mnist_lite.sweeps.compare import compare
from mnist_lite.sweeps.results import read_results
from tests.faults.recipes import FEW, RECIPES
from tests.sweeps.fake_sweep import write_grid

MAX_SECONDS = 20
EXAMPLES, LONG_EXAMPLES = 12, 1000
Damage = Callable[[st.DataObject, bytes], bytes]

numbers = st.one_of(
    st.sampled_from(
        [0, -1, 1, 7, 2**31, 2**63, 2**64, 10**30, -0.0, 0.5, 1e-300, 1e308, math.inf, -math.inf, math.nan]
    ),
    st.integers(-100, 100),
    st.floats(),
)
texts = st.one_of(
    st.text(max_size=8), st.sampled_from(["..", "/", "a/../b", "\x1b[2J", "x" * 5000, "1", "null", "${x}"])
)
plain = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    plain, lambda v: st.one_of(st.lists(v, max_size=4), st.dictionaries(texts, v, max_size=4)), max_leaves=8
)
tensors = st.sampled_from(
    [
        torch.zeros(()),
        torch.zeros(3),
        torch.zeros(0),
        torch.full((2, 2), math.nan),
        torch.zeros(1).expand(10**9),
        torch.zeros(2, dtype=torch.complex64),
        torch.zeros(2, dtype=torch.int64),
        torch.zeros(2, dtype=torch.bool),
        torch.eye(2).to_sparse(),
        torch.zeros(2, dtype=torch.float64),
    ]
)


def replace_part(data: st.DataObject, node: Any, new: st.SearchStrategy[Any]) -> Any:
    """A copy of ``node`` with one part replaced, removed or added."""
    if isinstance(node, dict) and node and data.draw(st.integers(0, 9)):
        key = data.draw(st.sampled_from(list(node)))
        action = data.draw(st.integers(0, 7))
        if action == 0:
            return {other: part for other, part in node.items() if other != key}
        if action == 1:
            return {**node, data.draw(texts): data.draw(new)}
        return {**node, key: replace_part(data, node[key], new)}
    if isinstance(node, list) and node and data.draw(st.integers(0, 9)):
        place = data.draw(st.integers(0, len(node) - 1))
        return [*node[:place], replace_part(data, node[place], new), *node[place + 1 :]]
    return data.draw(new)


def damage_bytes(data: st.DataObject, content: bytes) -> bytes:
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 50)))
    return content[:start] + data.draw(st.binary(max_size=20)) + content[end:]


def damage_json_line(data: st.DataObject, content: bytes) -> bytes:
    lines = content.splitlines()
    place = data.draw(st.integers(0, len(lines) - 1))
    lines[place] = json.dumps(replace_part(data, json.loads(lines[place]), values)).encode()
    return b"\n".join(lines) + b"\n"


def damage_json(data: st.DataObject, content: bytes) -> bytes:
    return json.dumps(replace_part(data, json.loads(content), values)).encode()


def damage_yaml(data: st.DataObject, content: bytes) -> bytes:
    node = replace_part(data, yaml.safe_load(content), values)
    return yaml.safe_dump(node, sort_keys=False).encode("utf-8", "replace")


def damage_checkpoint(data: st.DataObject, content: bytes) -> bytes:
    return checkpoint.pack(replace_part(data, checkpoint.unpack(content), st.one_of(values, tensors)))


@functools.cache
def good_run() -> Path:
    """The folder of a finished run."""
    root = Path(tempfile.mkdtemp())
    config = validate(composed(*FEW, *RECIPES["plateau"], "checkpoint.steps=7", f"runs_dir={root}"), Config)
    run(config, Console(lambda *_: None))
    (folder,) = root.iterdir()
    return folder


@functools.cache
def good_search() -> Path:
    """The folder of a finished search, with runs that were not trained."""
    from optuna.distributions import FloatDistribution

    from mnist_lite.sweeps.study import open_study

    folder = Path(tempfile.mkdtemp())
    write_grid(folder, {"0.1": [99.1, 99.2], "0.2": [98.0, 98.5]}, holdout=99.0)
    study = open_study(folder)
    for value in (98.0, 99.0, 97.0, 99.5):
        trial = study.ask({"lr": FloatDistribution(0.1, 0.4, log=True)})
        trial.set_user_attr("counts", True)
        study.tell(trial, value)
    return folder


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(config_dir()), **VERSION_BASE):
        config = compose("config", list(overrides))
    config.name = "test"
    return config


def resume(folder: Path) -> None:
    """Resumes the run in ``folder`` up to its next step."""
    config = resumed_config(folder, composed(*FEW), [f"resume={folder}"])
    with one_step():
        run(config, Console(lambda *_: None))


@contextmanager
def one_step() -> Iterator[None]:
    """Inside, a run ends after its first step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLoop, "_keep_best", lambda *_: None)
        record = RunLoop._record

        def record_and_stop(loop: RunLoop, rows: list[Any]) -> None:
            record(loop, rows)
            raise Interrupted(signal.SIGTERM)

        patch.setattr(RunLoop, "_record", record_and_stop)
        patch.setattr(RunLoop, "_draw", lambda *_: True)
        with suppress(Interrupted):
            yield


READERS: dict[str, tuple[Callable[[], Path], str, Damage, Callable[[Path], object]]] = {
    "summary": (good_run, "summary.json", damage_json, read_summary),
    "metrics": (good_run, "metrics.jsonl", damage_json_line, read_evaluations),
    "config": (good_run, "config.yaml", damage_yaml, resume),
    "last": (good_run, "last.pt", damage_checkpoint, resume),
    "best": (good_run, "best.pt", damage_checkpoint, resume),
    "manifest": (good_search, "jobs.jsonl", damage_json_line, read_results),
    "summaries": (good_search, "run_0.1_0/summary.json", damage_json, lambda folder: compare(folder, verify=True)),
    "study": (good_search, "study.log", damage_json_line, lambda folder: compare(folder, verify=False)),
    "jobs": (good_search, "jobs.jsonl", damage_json_line, lambda folder: compare(folder, verify=False)),
}


def check(name: str, data: st.DataObject) -> None:
    good, file, damage, read = READERS[name]
    with tempfile.TemporaryDirectory() as root:
        folder = Path(shutil.copytree(good(), Path(root) / "folder"))
        path = folder / file
        method = data.draw(st.sampled_from([damage, damage, damage_bytes]))
        path.write_bytes(method(data, path.read_bytes()))
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(MAX_SECONDS)
        try:
            read(folder)
        except ExpectedError as error:
            assert len(str(error).splitlines()) == 1
        except OSError as error:
            assert error.strerror
        finally:
            signal.alarm(0)


def _too_long(*_arguments: object) -> None:
    raise AssertionError(f"the reader takes more than {MAX_SECONDS} s")


COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.mark.parametrize("name", READERS)
@seed(0)
@settings(COMMON, max_examples=EXAMPLES)
@given(data=st.data())
def test_damaged_files(name: str, data: st.DataObject):
    check(name, data)


@pytest.mark.long
@pytest.mark.parametrize("name", READERS)
@settings(COMMON, max_examples=LONG_EXAMPLES)
@given(data=st.data())
def test_damaged_files_drawn_anew(name: str, data: st.DataObject):
    check(name, data)
