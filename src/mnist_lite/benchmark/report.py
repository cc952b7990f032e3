"""Measures our training loop, the plain loop and other loops, and prints a table."""

from __future__ import annotations

from functools import partial
from statistics import median

from mnist_lite.benchmark.ab import WARM_UP_IMAGES, Timing, run_ab
from mnist_lite.benchmark.peers import OURS, PLAIN, select_peers
from mnist_lite.config.schema import BenchConfig
from mnist_lite.errors import UserError, printable

TRAIN_IMAGES, TEST_IMAGES = 60_000, 10_000


def bench(config: BenchConfig) -> int:
    """Measures the loops as ``config`` says, and prints the table. Returns the exit code.

    Raises:
        UserError: more images than an epoch has, or a recipe that the plain loop does not support.
        RunError: a loop has failed.
    """
    selected = select_peers(config.peers)
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
    obstacles = {name: obstacle for name, peer in selected.items() if (obstacle := peer.obstacle)}
    for name, obstacle in obstacles.items():
        show(f"{name}: not measured: {obstacle}")
    loops = {"plain": PLAIN, **{name: peer for name, peer in selected.items() if name not in obstacles}, "ours": OURS}
    make_loops = [loop.make_loop for loop in loops.values()]
    timings = run_ab(config, make_loops, config.rounds, config.images, show, evaluation=not selected)
    if selected:
        versions = [loop.version for loop in loops.values()]
        show(peers_as_text(dict(zip(loops, zip(versions, timings, strict=True), strict=True))))
    else:
        show(as_text(*timings))
    return 0


def peers_as_text(rows: dict[str, tuple[str, Timing]]) -> str:
    """The table of the loops ``{name: (version, timing)}``. The first is the plain loop. Rates are medians over the rounds."""
    lines = [f"{name}: {timing.description}" for name, (_, timing) in rows.items()]
    lines += [
        "",
        "                                    us per    ratio to plain      first   last",
        "loop     version           images/s   image    min median    max step, s   loss",
    ]
    (_, plain), *_ = rows.values()
    for name, (version, timing) in rows.items():
        rate, ratios = median(timing.training), _ratios(plain.training, timing.training)
        spread = " ".join(f"{ratio:6.2f}" for ratio in (ratios[0], median(ratios), ratios[-1]))
        figures = f"{rate:>9,.0f} {1e6 / rate:>7,.1f} {spread} {timing.first_step:>7.1f} {timing.loss:>6.3f}"
        lines.append(f"{name:<8} {version:<16} {figures}")
    return "\n".join(lines)


def _ratios(plain: list[float], other: list[float]) -> list[float]:
    """The ratio of each round, sorted."""
    return sorted(b / a for a, b in zip(plain, other, strict=True))


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
        ratios = _ratios(a, b)
        spread = f"{ratios[0]:.2f}  {median(ratios):.2f}  {ratios[-1]:.2f}"
        lines.append(f"{name:<20}{median(a):>12,.0f}{median(b):>12,.0f}    {spread}")
    lines.append(f"{'first step after, s':<20}{plain.first_step:>12.1f}{ours.first_step:>12.1f}")
    lines.append(f"{'peak memory, MB':<20}{plain.peak_memory / 1e6:>12,.0f}{ours.peak_memory / 1e6:>12,.0f}")
    return "\n".join(lines)
