"""``mnist-lite train``: trains a network and writes a run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_lite.process.startup import begin

if TYPE_CHECKING:
    from mnist_lite.config.schema import Config


def job(config: Config, download: bool = True) -> int:
    """Trains as ``config`` says. Returns the exit code. ``download``: see ``runner.run.run``."""
    from mnist_lite.runner.run import run  # imports torch, which takes seconds

    return run(config, download=download)


def main() -> None:
    """Runs the command."""
    begin()
    from mnist_lite.cli.app import run_command
    from mnist_lite.config.schema import Config

    run_command("train", Config, job)


if __name__ == "__main__":
    main()
