"""Goes back to a run: its config, read without trusting it, and the checks that what goes on is the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_lite.config.schema import Config, validate
from mnist_lite.errors import UserError
from mnist_lite.runner.identity import normalized_config

CHANGEABLE_KEYS = ("epochs", "device", "threads", "data.root", "checkpoint.steps", "checkpoint.seconds")
"""What may be said anew when a run goes on. Of these only ``epochs`` changes the run, and it is checked."""
Parts: TypeAlias = dict[str, type | tuple[type, ...]]
VERSION = 2
"""Of what a checkpoint holds."""
PARTS: Parts = {
    "epoch": int,
    "step": int,
    "good_enough": bool,
    "best": (dict, type(None)),
    "config": dict,
    "data": dict,
    "conditions": dict,
    "resumes": list,
}
BEST_PARTS: Parts = {"epoch": int, "step": int, "score": float, "row": dict, "model": dict, "ema": (dict, type(None))}


def config(folder: Path, composed: DictConfig, overrides: Sequence[str]) -> Config:
    """The config of the run in ``folder`` with what ``overrides`` (``key=value``, read into ``composed``) say anew.

    Raises:
        UserError: no run there, a config that is not one of ours, or an override that would make another run of it.
    """
    stored = _read(folder / "config.yaml")
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key == "resume":
            continue
        if key not in CHANGEABLE_KEYS:
            raise UserError(
                f"{key}: a run that is resumed keeps its own; only {', '.join(CHANGEABLE_KEYS)} can be given. "
                "For another run leave resume out"
            )
        OmegaConf.update(stored, key, OmegaConf.select(composed, key))
    validate(composed, Config)  # so that what is wrong now is in the file
    stored.resume = str(folder)
    try:
        return validate(stored, Config)
    except UserError as error:
        raise UserError(f"resume: {folder / 'config.yaml'}: {error}") from error


def check(config: Config, state: Mapping[str, Any]) -> None:
    """That ``state`` is of a checkpoint of this version, and ``config`` the one that it was made with, but for what may change.

    Raises:
        UserError: it is not; the first difference is named.
    """
    if state.get("version") != VERSION:
        raise UserError("resume: the checkpoint was written by another version of this program")
    _check_parts(state, PARTS, "")
    if state["best"] is not None:
        _check_parts(state["best"], BEST_PARTS, "best.")
    try:
        parts = [normalized_config(each) for each in (asdict(config), state["config"])]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError("resume: the checkpoint does not fit the run: it holds no good config") from error
    ours, theirs = (dict(_flat(each)) for each in parts)
    for key in [*ours, *theirs]:
        if key not in CHANGEABLE_KEYS and (key not in ours or key not in theirs or ours[key] != theirs[key]):
            raise UserError(
                f"{key}: config.yaml says {ours.get(key, 'nothing')!r} and the checkpoint was made with "
                f"{theirs.get(key, 'nothing')!r}; put the config back as it was"
            )


def _check_parts(state: Mapping[str, Any], parts: Parts, where: str) -> None:
    for key, kind in parts.items():
        if key not in state or not isinstance(state[key], kind):
            raise UserError(f"resume: the checkpoint does not fit the run: it holds no good {where}{key}")


def _read(path: Path) -> DictConfig:
    try:
        text = path.read_text(encoding="utf-8")
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            # we write neither, and a short text can say an endless one with them
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
                raise UserError(f"resume: {path} has YAML tags or aliases, which no config of a run has")
        stored = OmegaConf.create(text)
    except OSError as error:
        raise UserError(f"resume: {path.parent} is not a run folder: {path.name}: {error.strerror}") from error
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UserError(f"resume: {path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(stored, DictConfig):
        raise UserError(f"resume: {path} is not a config")
    for key, value in _flat(OmegaConf.to_container(stored, resolve=False)):
        if isinstance(value, str) and "${" in value:
            raise UserError(f"resume: {path}: {key} has an interpolation, which no config of a run has")
    return stored


def _flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; empty containers are leaves."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    if not items:
        yield prefix, node
    for key, value in items:
        yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
