"""``mnist-lite bench``: measures the training speed against a plain PyTorch loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_lite.process.startup import begin

if TYPE_CHECKING:
    from mnist_lite.config.schema import BenchConfig


def job(config: BenchConfig) -> int:
    """Measures both loops and prints a table. Returns the exit code."""
    from mnist_lite.benchmark.report import bench

    return bench(config)


def main() -> None:
    """Runs the command."""
    begin()
    from mnist_lite.cli.app import run_command
    from mnist_lite.config.schema import BenchConfig

    run_command("bench", BenchConfig, job)


if __name__ == "__main__":
    main()
