"""Measures the seconds to a test accuracy: recipes against the plain PyTorch loop with era4's recipe, on this machine.

python scripts/seconds.py runs/seconds fast=99.4 fast_99=99.0

A recipe trains to its end, at 20 seeds: ten runs before the plain loop and ten after it. The plain loop runs once, with seed 0,
until its first epoch that has the accuracy on the test images. Training and all evaluations count. The start of the program and
the opening of the data do not. All have the same number of threads. Nothing else should use the machine.

The folder keeps the runs. `python scripts/results.py "runs/seconds/*"` adds those without overrides to the tables. A recipe can
have overrides: `fast,precision=bf16=99.4`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import torch

import mnist_lite as ml
from mnist_lite.backends.device import set_threads
from mnist_lite.benchmark import baseline
from mnist_lite.config.compose import compose_run
from mnist_lite.config.overrides import user_path
from mnist_lite.model.build import build
from mnist_lite.training.optimizer import build_optimizer

TRAINING_IMAGES, TEST_IMAGES = 60_000, 10_000
SEEDS = 20


def main(folder: str, recipes: Mapping[str, float]) -> None:
    """Prints the seconds of the plain loop and of each recipe. ``recipes``: a recipe with overrides, and its accuracy."""
    seeds = range(SEEDS)
    runs = {recipe: [recipe_run(recipe, seed, folder) for seed in seeds[: SEEDS // 2]] for recipe in recipes}
    plain, longest = plain_loop(sorted(recipes.values()))
    for recipe, accuracy in recipes.items():
        runs[recipe] += [recipe_run(recipe, seed, folder) for seed in seeds[SEEDS // 2 :]]
        seconds, final = [taken for taken, _ in runs[recipe]], [reached for _, reached in runs[recipe]]
        print(f"\n{recipe}: {fmean(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}, n = {SEEDS}")
        print(f"final test accuracy {fmean(final):.3f} ± {stdev(final):.3f} %, lowest {min(final):.2f} %")
        print(f"mean of at least {accuracy} %: {'reached' if fmean(final) >= accuracy else 'MISSED'}")
        if accuracy in plain:
            ratio = plain[accuracy] / fmean(seconds)
            print(f"plain loop until {accuracy} %: {plain[accuracy]:.1f} s, {ratio:.1f} times as long")
        else:
            ratio = longest / fmean(seconds)
            print(f"plain loop: {accuracy} % not reached in {longest:.1f} s, more than {ratio:.1f} times as long")


def recipe_run(recipe: str, seed: int, folder: str) -> tuple[float, float]:
    """The seconds and the final test accuracy of ``recipe``: a name, and overrides after commas."""
    overrides = f"experiment={recipe}".split(",")
    summary = ml.fit([*overrides, f"seed={seed}", f"runs_dir={folder}"], verbose=False).summary
    assert summary is not None
    return summary.seconds.train + summary.seconds.eval, summary.accuracy.test.final


def plain_loop(accuracies: Sequence[float]) -> tuple[dict[float, float], float]:
    """The seconds until the plain loop first reaches each of ``accuracies``, where it does; and the seconds of the whole loop.

    The last accuracy is the highest.
    """
    config = compose_run(["experiment=era4"])
    threads = set_threads(config.threads)  # the kernels have their own threads: their runs set torch's to 1
    torch.manual_seed(config.seed)
    root, device = user_path("data.root", config.data.root), torch.device("cpu")
    network = build(config.model, config.init).module
    optimizer = build_optimizer(config.optimizer, network)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, config.scheduler["step_size"], config.scheduler["gamma"])
    steps = baseline.train(root, network, optimizer, config.augment["transforms"], config.batch_size, device, 0)
    found: dict[float, float] = {}
    seconds = 0.0
    images, _ = next(steps)  # opens the data
    started = time.perf_counter()
    for epoch in range(1, config.epochs + 1):
        while images < TRAINING_IMAGES:
            images += next(steps)[0]
        images = 0
        scheduler.step()
        reached = baseline.evaluate(root, network, TEST_IMAGES, device)[1]
        seconds = time.perf_counter() - started
        found = {**{accuracy: seconds for accuracy in accuracies if reached >= accuracy}, **found}
        print(f"plain loop, {threads} threads, epoch {epoch}: {reached:.2f} % after {seconds:.1f} s", flush=True)
        if accuracies[-1] in found:
            break
    return found, seconds


if __name__ == "__main__":
    main(sys.argv[1], {name: float(accuracy) for name, accuracy in (word.rsplit("=", 1) for word in sys.argv[2:])})
