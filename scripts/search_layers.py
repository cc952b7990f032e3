"""Compares networks and recipes on held-out training images: docs/frontier_search.csv.

python scripts/search_layers.py JOBS    # trains the lines of the file JOBS, two at a time with one thread each

A line of JOBS is ``layers | seeds | changes of the recipe``, for example ``8 12sn M 16sn | 0 1 | optimizer.lr=0.2``.
``RECIPE`` in ``search_file.py`` is the recipe without changes. Runs that are in the CSV file already are left out. JOBS is
read again after each run, so lines can be added. Layers are written as

    12      a 3 x 3 convolution to 12 channels, batch norm, ReLU
    12k5    the same with a kernel of 5 x 5; 12k1 with 1 x 1
    12s     separable: a depthwise 3 x 3 convolution, batch norm, a 1 x 1 convolution to 12 channels, batch norm, ReLU
    12sn    the same without the norm in the middle; 12s5n has a depthwise kernel of 5 x 5
    12p     with padding, so that the image keeps its size; 12snpr is a residual block: its input is added before the ReLU
    12sng2  with two groups in the 1 x 1 convolution
    12an    an average pool of 3 x 3 with stride 1 in place of the depthwise convolution; 12mn: a max pool
    12x     without the ReLU; 12d2 with stride 2
    M, A    a max pool and an average pool of 2 x 2; M3 and A3: of 3 x 3 with stride 2, so that neighbours overlap
    G       a depthwise 3 x 3 convolution and batch norm
    3( 12snpr )     three times the layers in the brackets, with the same convolutions and own norms
    @silu   this activation in place of ReLU, in the whole network

After the last one come a global average pool and a 1 x 1 convolution to 10 outputs with a bias.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from search_file import RECIPE, SEARCH, SearchRun, read_search, write_search

from mnist_lite.runner.metrics_file import read_evaluations
from mnist_lite.runner.summary import read_summary

TOP = Path(__file__).resolve().parents[1]
FIXED = (
    *("data=mnist", "data.holdout=10000", "data.test_limit=100", "epochs=15"),
    *("optimizer=nesterov", "scheduler=onecycle", "init=torch", "threads=1", "backend=kernels", "precision=fp32"),
)
WORD = re.compile(
    r"(?P<channels>\d+)(k(?P<kernel>\d))?((?P<mixer>[sam])(?P<depthwise>\d)?)?(?P<flags>(n|p|r|x|d2)*)(g(?P<groups>\d))?"
)
POOLS = {
    "M": {"max_pool": 2},
    "A": {"avg_pool": 2},
    "M3": {"max_pool": 3, "stride": 2},
    "A3": {"avg_pool": 3, "stride": 2},
}


class Job(NamedTuple):
    """A training run of the search."""

    layers: str
    overrides: tuple[str, ...]
    seed: int


def layers_of(notation: str) -> list[Any]:
    """The layers of a model file.

    Raises:
        ValueError: a word is not in the notation, or a bracket is alone.
    """
    words = notation.split()
    activation = words.pop(0)[1:] if words[0].startswith("@") else "relu"
    layers: list[Any] = []
    open_lists = [layers]
    channels = 1
    for word in words:
        if re.fullmatch(r"\d+\(", word):
            shared: list[Any] = []
            open_lists[-1].append({"repeat": int(word[:-1]), "shared": True, "layers": shared})
            open_lists.append(shared)
        elif word == ")" and len(open_lists) > 1:
            open_lists.pop()
        else:
            new, channels = block(word, channels, activation)
            open_lists[-1].extend(new)
    if len(open_lists) > 1:
        raise ValueError(f"{notation!r} has a bracket that is not closed")
    return [*layers, "global_avg_pool", {"conv": 10, "kernel": 1, "bias": True}]


def block(word: str, channels: int, activation: str) -> tuple[list[Any], int]:
    """The layers of one word of the notation, and their output channels. ``ValueError``: it is no such word."""
    if word in POOLS:
        return [POOLS[word]], channels
    if word == "G":
        return [{"conv": channels, "kernel": 3, "groups": "in"}, "batch_norm"], channels
    match = WORD.fullmatch(word)
    if match is None or (match["groups"] and not match["mixer"]):
        raise ValueError(f"{word!r} is not in the notation of {Path(__file__).name}")
    flags = match["flags"]
    out = int(match["channels"])
    kernel = int(match["depthwise"] or match["kernel"] or 3)
    space = {"padding": kernel // 2} if "p" in flags else {}
    if "d2" in flags:
        space["stride"] = 2
    layers: list[Any] = []
    if match["mixer"]:
        depthwise = {"conv": channels, "kernel": kernel, "groups": "in", **space}
        pool = {"stride": 1, **space}
        layers += [
            {"s": depthwise, "a": {"avg_pool": kernel, **pool}, "m": {"max_pool": kernel, **pool}}[match["mixer"]]
        ]
        layers += [] if "n" in flags else ["batch_norm"]
        layers += [{"conv": out, "kernel": 1, **({"groups": int(match["groups"])} if match["groups"] else {})}]
    else:
        layers += [{"conv": out, "kernel": kernel, **space}]
    layers += ["batch_norm"]
    if "r" in flags:
        layers = [{"residual": {"layers": layers}}]
    return (layers if "x" in flags else [*layers, activation]), out


def train(job: Job) -> SearchRun:
    """Trains in a process of its own. ``RuntimeError``: the training failed."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "config", "model")
        models.mkdir(parents=True)
        (models / "searched.yaml").write_text(json.dumps({"layers": layers_of(job.layers)}), encoding="utf-8")
        settings = dict(change.split("=", 1) for change in (*FIXED, *RECIPE, *job.overrides))
        command = [sys.executable, "-m", "mnist_lite.train", f"--config-dir={models.parent}", "model=searched"]
        command += [
            f"seed={job.seed}",
            f"runs_dir={folder}/runs",
            *(f"{key}={value}" for key, value in settings.items()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{job} failed: {done.stderr.strip()[-400:]}")
        [run] = Path(folder, "runs").iterdir()
        summary = read_summary(run)
        last = read_evaluations(run)[-1]
    assert summary is not None
    figures = (last["holdout/accuracy"], last["holdout/loss"], last["train/epoch_accuracy"])
    return SearchRun(job.layers, summary.parameters, recorded(job), job.seed, *figures)


def recorded(job: Job) -> str:
    """The settings of ``job`` as the file has them."""
    settings = dict(change.split("=", 1) for change in (*RECIPE, *job.overrides))
    return " ".join(sorted(f"{key}={value}" for key, value in settings.items()))


def read_jobs(path: Path) -> list[Job]:
    """The jobs of a file, in its order. Lines that begin with ``#`` are comments."""
    jobs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            layers, seeds, overrides = (part.strip() for part in line.split("|"))
            layers_of(layers)
            jobs += [Job(layers, tuple(overrides.split()), int(seed)) for seed in seeds.split()]
    return jobs


def main(jobs: Path) -> None:
    """Trains the jobs of the file ``jobs`` that are not in the CSV file."""
    lock = threading.Lock()
    started: set[Job] = set()

    def next_job() -> Job | None:
        done = {(run.layers, run.overrides, run.seed) for run in read_search(TOP / SEARCH)}
        for job in read_jobs(jobs):
            if job not in started and (job.layers, recorded(job), job.seed) not in done:
                started.add(job)
                return job
        return None

    def work(_: int) -> None:
        while True:
            with lock:
                job = next_job()
            if job is None:
                return
            try:
                run = train(job)
            except RuntimeError as error:
                print(error, flush=True)
                continue
            with lock:
                write_search(TOP / SEARCH, [*read_search(TOP / SEARCH), run])
                print(*run, sep=" | ", flush=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]))
    except (OSError, ValueError) as error:  # a bad file of jobs
        sys.exit(f"error: {error}")
