"""The checks of a resumed run: whether its checkpoint fits the config and the data, and what is left to train."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from mnist_lite.config.schema import Config
from mnist_lite.data.dataset import Dataset
from mnist_lite.errors import UserError
from mnist_lite.runner.checkpoint import Checkpoint
from mnist_lite.runner.config_file import CHANGEABLE_KEYS
from mnist_lite.runner.folder import RunFolder
from mnist_lite.runner.identity import normalized_config
from mnist_lite.runner.summary import SUMMARY, describe_data
from mnist_lite.training.trial import can_extend


def why_finished(config: Config, folder: RunFolder, state: Checkpoint | None, damaged: bool) -> str | None:
    """The reason why a run is finished. None: there is something left to train, or a file is missing or damaged.

    ``state`` is the checkpoint of the run. ``damaged`` is true if a newer checkpoint file exists but is damaged.

    Raises:
        UserError: the run is finished and has no checkpoint, the checkpoint belongs to another config, or the number of epochs
            is not possible.
    """
    if state is None:
        if (folder.path / SUMMARY).exists():
            raise UserError(
                f"resume: the run in {folder.path} is finished, and it has no good checkpoint to continue from"
            )
        return None
    _check_config(config, state)
    complete = folder.is_complete(state) and not damaged
    if complete and state["target_reached"]:
        return f"it reached stop_at_accuracy={config.stop_at_accuracy:g}"
    _check_epochs(config, state)
    if not complete:
        return None
    if state["config"]["epochs"] != config.epochs:
        return None
    if can_extend(config, config.epochs, config.epochs + 1, _steps_per_epoch(config, state)):
        return "all epochs are trained; a larger epochs=<number> trains it for longer"
    return f"all epochs are trained; {config.scheduler['name']} depends on the number of epochs, so more epochs are not possible"


def check_images(data: Dataset, state: Checkpoint) -> None:
    """Checks that ``data`` has the images of the checkpoint.

    Raises:
        UserError: it has others.
    """
    if state["data"] != describe_data(data):
        raise UserError(f"data.root: the images are not those of the run ({state['data']})")


def _check_epochs(config: Config, state: Checkpoint) -> None:
    """Raises ``UserError`` if the schedule does not allow the new number of epochs, or the run has more epochs already."""
    steps, before = _steps_per_epoch(config, state), state["config"]["epochs"]
    if before != config.epochs and not can_extend(config, before, config.epochs, steps):
        raise UserError(
            f"epochs: the schedule of this run ({config.scheduler['name']}) ends with epoch {before}. To train "
            f"{config.epochs} epochs, start a new run: leave out resume"
        )
    if state["step"] > config.epochs * steps:
        raise UserError(f"epochs: the run is in epoch {state['epoch']} already; {config.epochs} epochs are too few")


def changed_conditions(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, list[str | None]]:
    """The conditions that differ from those of the checkpoint, as ``[before, now]``. They can change the last bits."""
    return {key: [before.get(key), now[key]] for key in now if before.get(key) != now[key]}


def _steps_per_epoch(config: Config, state: Checkpoint) -> int:
    return math.ceil(state["data"]["train"] / config.batch_size)


def _check_config(config: Config, state: Checkpoint) -> None:
    try:
        saved = dict(_leaves(normalized_config(state["config"])))
    except (KeyError, TypeError, AttributeError) as error:  # the checkpoint is from a stranger
        raise UserError("resume: the checkpoint does not fit the run: it holds no good config") from error
    ours = dict(_leaves(normalized_config(asdict(config))))
    for key in [*ours, *saved]:
        if key not in CHANGEABLE_KEYS and (key not in ours or key not in saved or ours[key] != saved[key]):
            raise UserError(
                f"{key}: config.yaml says {ours.get(key, 'nothing')!r} and the checkpoint was made with "
                f"{saved.get(key, 'nothing')!r}; undo the change of config.yaml"
            )


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dicts and lists, each with its path. Empty dicts and lists are leaves."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    if not items:
        yield prefix, node
    for key, value in items:
        yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
