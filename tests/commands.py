"""The checked config of a command other than train, for tests that call the command in this process."""

from __future__ import annotations

from typing import TypeVar

from hydra import compose, initialize_config_dir

from mnist_lite.config.compose import config_dir
from mnist_lite.config.hydra_versions import VERSION_BASE
from mnist_lite.config.schema import Config, validate

C = TypeVar("C", bound=Config)


def command_config(command: str, schema: type[C], *overrides: str) -> C:
    """``command_config("summary", SummaryConfig, "model=step3")``."""
    with initialize_config_dir(str(config_dir()), **VERSION_BASE):
        composed = compose(command, ["name=test", *overrides])
    return validate(composed, schema)
