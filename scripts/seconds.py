"""Measures the seconds to a test accuracy: a recipe against the plain PyTorch loop with era4's recipe, on this machine.

python scripts/seconds.py fast 99.4          # the plain loop trains until its first epoch with 99.4 %

The two alternate: some runs of the recipe, the plain loop, and the other runs of the recipe. Training and evaluation count. The start
of the program and the reading of the data do not: they are the same for both. Nothing else should use the machine.
"""

from __future__ import annotations

import sys
import time
from statistics import fmean, stdev
from tempfile import TemporaryDirectory

import torch

import mnist_lite as ml
from mnist_lite.benchmark import baseline
from mnist_lite.config.compose import compose_run
from mnist_lite.config.overrides import user_path
from mnist_lite.config.schema import Config
from mnist_lite.model.build import build
from mnist_lite.training.optimizer import build_optimizer

TRAINING_IMAGES, TEST_IMAGES = 60_000, 10_000
SEEDS = 20


def main(recipe: str, accuracy: float) -> None:
    """Prints the seconds of both, and their ratio."""
    first = [recipe_run(recipe, seed) for seed in range(SEEDS // 2)]
    seconds, epochs, reached = plain_loop(compose_run(["experiment=era4"]), accuracy)
    runs = [*first, *(recipe_run(recipe, seed) for seed in range(SEEDS // 2, SEEDS))]
    print(f"plain loop, era4, seed 0: {seconds:.1f} s for {epochs} epochs, until {reached:.2f} %")
    mean = fmean(taken for taken, _ in runs)
    print(f"{recipe}, {SEEDS} seeds: {mean:.2f} s ({min(runs)[0]:.2f} to {max(runs)[0]:.2f})")
    final = [reached for _, reached in runs]
    print(f"final test accuracy {fmean(final):.3f} ± {stdev(final):.3f} %, lowest {min(final):.2f} %")
    print(f"ratio {seconds / mean:.1f}")


def recipe_run(recipe: str, seed: int) -> tuple[float, float]:
    """The seconds and the final test accuracy of ``experiment=<recipe>``."""
    with TemporaryDirectory() as folder:
        summary = ml.fit([f"experiment={recipe}", f"seed={seed}", f"runs_dir={folder}"], verbose=False).summary
    assert summary is not None
    return summary.seconds.train + summary.seconds.eval, summary.accuracy.test.final


def plain_loop(config: Config, accuracy: float) -> tuple[float, int, float]:
    """The seconds and the epochs of the plain loop until an evaluation reaches ``accuracy``, and what that one reached."""
    torch.manual_seed(config.seed)
    root, device = user_path("data.root", config.data.root), torch.device("cpu")
    network = build(config.model, config.init).module
    optimizer = build_optimizer(config.optimizer, network)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, config.scheduler["step_size"], config.scheduler["gamma"])
    steps = baseline.train(root, network, optimizer, config.augment["transforms"], config.batch_size, device, 0)
    started, epoch, reached = time.perf_counter(), 0, 0.0
    while reached < accuracy:
        images = 0
        while images < TRAINING_IMAGES:
            images += next(steps)[0]
        scheduler.step()
        epoch += 1
        reached = baseline.evaluate(root, network, TEST_IMAGES, device)[1]
        print(f"plain loop, epoch {epoch}: {reached:.2f} % after {time.perf_counter() - started:.1f} s", flush=True)
    return time.perf_counter() - started, epoch, reached


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
