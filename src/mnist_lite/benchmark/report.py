"""Measures our training loop and the plain loop, and prints a table of both."""

from __future__ import annotations

from functools import partial
from statistics import median

from mnist_lite.benchmark.ab import WARM_UP_IMAGES, Timing, run_ab
from mnist_lite.config.schema import BenchConfig
from mnist_lite.errors import UserError, printable

TRAIN_IMAGES, TEST_IMAGES = 60_000, 10_000


def bench(config: BenchConfig) -> int:
    """Measures the loops as ``config`` says, and prints the table. Returns the exit code.

    Raises:
        UserError: more images than an epoch has, or a recipe that the plain loop does not support.
        RunError: a loop has failed.
    """
    from mnist_lite.benchmark.loops import baseline_loop, our_loop  # imports torch

    if config.data.name != "mnist" or config.data.train_limit or config.data.test_limit or config.data.holdout:
        raise UserError("bench: both loops use all of MNIST: data=mnist, no limits and no holdout")
    needed = config.rounds * (config.images + config.batch_size) + WARM_UP_IMAGES + config.batch_size
    if needed > TRAIN_IMAGES or config.images > TEST_IMAGES:
        raise UserError(
            f"images: {config.rounds} rounds of {config.images} images and the warm-up do not fit into the {TRAIN_IMAGES:,} "
            f"of an epoch, or the {TEST_IMAGES:,} of an evaluation"
        )
    show = partial(print, flush=True)
    show(printable(f"{config.name}, batch_size {config.batch_size}, augment {config.augment['transforms']}"))
    plain, ours = run_ab(config, (baseline_loop, our_loop), config.rounds, config.images, show)
    show(as_text(plain, ours))
    return 0


def as_text(plain: Timing, ours: Timing) -> str:
    """The table. Rates are medians over the rounds. A ratio is that of one round; the table has min, median and max."""
    lines = [
        f"plain loop: {plain.description}",
        f"ours:       {ours.description}",
        "",
        f"{'':<20}{'plain loop':>12}{'ours':>12}    ratio (min, median, max)",
    ]
    for name, a, b in (
        ("training, images/s", plain.training, ours.training),
        ("evaluation, images/s", plain.evaluation, ours.evaluation),
    ):
        ratios = sorted(y / x for x, y in zip(a, b, strict=True))
        spread = f"{ratios[0]:.2f}  {median(ratios):.2f}  {ratios[-1]:.2f}"
        lines.append(f"{name:<20}{median(a):>12,.0f}{median(b):>12,.0f}    {spread}")
    lines.append(f"{'first step after, s':<20}{plain.first_step:>12.1f}{ours.first_step:>12.1f}")
    lines.append(f"{'peak memory, MB':<20}{plain.peak_memory / 1e6:>12,.0f}{ours.peak_memory / 1e6:>12,.0f}")
    return "\n".join(lines)
