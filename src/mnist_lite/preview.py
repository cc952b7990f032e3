"""``mnist-lite preview``: shows the images of a data set, their statistics, and an augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnist_lite.process.startup import begin

if TYPE_CHECKING:
    from mnist_lite.config.schema import PreviewConfig


def job(config: PreviewConfig) -> int:
    """Prints the preview and writes the picture. Returns the exit code."""
    from mnist_lite.insight.preview import preview  # imports torch, which takes seconds

    return preview(config)


def main() -> None:
    """Runs the command."""
    begin()
    from mnist_lite.cli.app import run_command
    from mnist_lite.config.schema import PreviewConfig

    run_command("preview", PreviewConfig, job)


if __name__ == "__main__":
    main()
