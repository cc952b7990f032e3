"""``config.yaml`` of a run folder: written by a new run, read by a resumed run.

The file may come from a stranger. A file with YAML tags, aliases or interpolations is refused, so that nothing in it
can run code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_lite import files
from mnist_lite.config.overrides import key_of
from mnist_lite.config.schema import Config, validate
from mnist_lite.errors import UserError
from mnist_lite.runner.run_format import FORMAT, check_resumable

CONFIG = "config.yaml"
MAX_BYTES = files.MB // 4
MAX_DEPTH = 50
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader, ten times as fast, or the loader in Python if PyYAML was built without libyaml."""
CHANGEABLE_KEYS = ("epochs", "device", "threads", "data.root", "checkpoint.steps", "checkpoint.seconds")
"""Keys that a resumed run can change. ``epochs`` changes the result, and is checked later."""


def as_dict(config: Config) -> dict[str, Any]:
    """``config`` as plain values. ``resume`` is None, so a resumed run has the same values as a new run."""
    return {**asdict(config), "resume": None}


def as_yaml(config: Config) -> bytes:
    """The content of ``config.yaml``."""
    return OmegaConf.to_yaml(OmegaConf.create({"format": FORMAT, **as_dict(config)})).encode()


def resumed_config(folder: Path, composed: DictConfig, overrides: Sequence[str]) -> Config:
    """The config of the run in ``folder``, with the changes of a resume.

    ``overrides`` are the words of the command line, and ``composed`` is the config that Hydra made with them.

    Raises:
        UserError: there is no run, its config is not usable, or an override is not allowed for a resumed run.
    """
    if folder.is_file():
        raise UserError(f"resume: {folder} is a file; name the folder of the run: resume={folder.parent}")
    folder = files.real_folder(folder)
    path = folder / CONFIG
    stored = _read(path)
    check_resumable(path, stored.pop("format", None))
    for override in overrides:
        key = key_of(override)
        if key == "resume":
            continue
        if key not in CHANGEABLE_KEYS:
            raise UserError(
                f"{key}: a resumed run keeps its config; only {', '.join(CHANGEABLE_KEYS)} can be changed. "
                "To start another run, leave out resume"
            )
        OmegaConf.update(stored, key, OmegaConf.select(composed, key))
    validate(composed, Config)  # after this, an error can only come from the file
    stored.resume = str(folder)
    try:
        return validate(stored, Config)
    except UserError as error:
        raise UserError(f"resume: {path}: {error}") from error


def read_config(folder: Path) -> dict[str, Any]:
    """The config of the run in ``folder`` as plain values, of any format. Names and types are not checked.

    It takes about a millisecond. ``resumed_config`` checks everything.

    Raises:
        UserError: the file is missing, or it is not the config of a run.
    """
    path = folder / CONFIG
    try:
        stored = yaml.load(_plain_text(path), SafeLoader)
    except OSError as error:
        raise UserError(f"{folder} is not a run folder: {CONFIG}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} is not a config")
    return stored


def _read(path: Path) -> DictConfig:
    try:
        stored = OmegaConf.create(_plain_text(path))
    except UserError as error:
        raise UserError(f"resume: {error}") from error
    except OSError as error:
        raise UserError(f"resume: {path.parent} is not a run folder: {path.name}: {error.strerror}") from error
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UserError(f"resume: {path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(stored, DictConfig):  # an empty file
        raise UserError(f"resume: {path} is not a config")
    return stored


def _plain_text(path: Path) -> str:
    """The content of a YAML file that is safe to load.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not text in UTF-8.
        YAMLError: it is not YAML.
        UserError: it is not a mapping, or it has what no run writes.
    """
    text = files.read(path, MAX_BYTES).decode()
    depth = 0
    for event in yaml.parse(text, SafeLoader):
        # with aliases, a short text can expand to an endless one
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) or "${" in getattr(event, "value", ""):
            raise UserError(f"{path} has YAML tags, aliases or interpolations, which no run writes")
        if depth == 0 and isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent):
            raise UserError(f"{path} is not a config")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:  # the time of the parser is quadratic in the depth
            raise UserError(f"{path} is nested too deeply")
    return text
