"""``mnist-lite lr_find``: a learning-rate range test with the real training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_lite.process.startup import begin

if TYPE_CHECKING:
    from mnist_lite.config.schema import LrFindConfig


def job(config: LrFindConfig) -> int:
    """Does the test, prints the suggestions, and writes the two files. Returns the exit code."""
    from mnist_lite.insight.lr_find import lr_find  # imports torch, which takes seconds

    return lr_find(config)


def main() -> None:
    """Runs the command."""
    begin()
    from mnist_lite.cli.app import run_command
    from mnist_lite.config.schema import LrFindConfig

    run_command("lr_find", LrFindConfig, job)


if __name__ == "__main__":
    main()
