"""Composes configs with Hydra: the shipped files, the user's files, and overrides become a checked ``Config``.

Input: what Hydra has composed for the command, or the overrides of one job of a sweep. Output: a ``Config`` or ``SweepConfig``,
or one ``UserError``. This module runs nothing, and it does not import torch.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from mnist_lite.config.error_messages import CONFIG_ERRORS, one_line
from mnist_lite.config.hydra_versions import VERSION_BASE, starting_hydra
from mnist_lite.config.loader import UserFolder
from mnist_lite.config.overrides import quote_path, user_path
from mnist_lite.config.schema import Config, SweepConfig, validate, validate_node
from mnist_lite.config.yaml_file import is_ignored, read_config_bytes
from mnist_lite.errors import ExpectedError, UserError
from mnist_lite.process.limits import limits

C = TypeVar("C", bound=Config)
MAX_FILES = 100_000
ONE_RUN = "resume: continues one run. Give it to the train command, without -m"


def config_dir() -> Path:
    """The folder of the shipped configs: inside the package in a wheel, else at the top of the checkout."""
    package = Path(__file__).resolve().parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parents[1] / "conf"


def config_digest(loader: ConfigLoader) -> str:
    """A hash of all config files that ``loader`` can find. A sweep composes its jobs again when it changes.

    Files that cannot be config files are left out: the folder may have any files.

    Raises:
        UserError: a folder has more than ``MAX_FILES`` files.
    """
    digest = hashlib.sha256()
    for source in loader.get_sources():
        digest.update(source.full_path().encode())
        if source.scheme() in ("file", UserFolder.scheme()):
            folder = Path(source.path)
            paths = list(islice(folder.rglob("*"), MAX_FILES + 1))
            if len(paths) > MAX_FILES:
                raise UserError(
                    f"--config-dir: {folder} has more than {MAX_FILES:,} files; name a folder of config files"
                )
            for path in sorted(path for path in paths if path.suffix == ".yaml" and not is_ignored(path)):
                with suppress(UserError):
                    digest.update(os.fsencode(path.relative_to(folder)) + read_config_bytes(path, folder))
    return digest.hexdigest()[:16]


def composition_error(error: Exception) -> UserError:
    """One line for an error of Hydra while it composed a config.

    Hydra raises errors of any class for a list that contains itself, a file that is not UTF-8, or a group that is null.
    """
    if isinstance(error, CONFIG_ERRORS):
        return UserError(one_line(error))
    return UserError(f"the config cannot be composed: {one_line(error)}")


@contextmanager
def config_errors_for_users() -> Iterator[None]:
    """Inside, an error of Hydra, OmegaConf or YAML becomes a ``UserError``: a missing key, a broken interpolation."""
    try:
        yield
    except CONFIG_ERRORS as error:
        raise UserError(one_line(error)) from error


@contextmanager
def resolving_config() -> Iterator[None]:
    """The same for code that only reads values of a config. An interpolation that does not end becomes a ``UserError``, too."""
    with config_errors_for_users(), limits("the config"):
        yield


def compose_job(loader: ConfigLoader, sweep: DictConfig, overrides: Sequence[str], number: int = 0) -> DictConfig:
    """The config of job ``number`` of a sweep, as Hydra hands it to a task. ``HydraConfig`` then describes this job.

    Args:
        loader: Hydra's loader of the command.
        sweep: What the loader composed for the whole sweep.
        overrides: Those of the job.
        number: The place of the job in the sweep, from 0.

    Raises:
        UserError: the config cannot be composed.
    """
    try:
        composed = loader.load_sweep_config(sweep, list(overrides))
    except ExpectedError:
        raise
    except Exception as error:
        raise composition_error(error) from error
    composed.hydra.job.id, composed.hydra.job.num = str(number), number
    HydraConfig.instance().set_config(composed)
    config = copy.deepcopy(composed)
    with read_write(config), open_dict(config):
        del config["hydra"]
    return config


def compose_shipped(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, str | None]]:
    """What the train command composes from the shipped files with ``overrides``, and the file that is chosen in each group.

    Interpolations are not resolved, and nothing is checked.

    Raises:
        UserError: it cannot be composed.
    """
    try:
        with starting_hydra(), initialize_config_dir(str(config_dir()), **VERSION_BASE):
            composed = compose("config", list(overrides), return_hydra_config=True)
    except Exception as error:
        raise composition_error(error) from error
    choices = {str(group): name for group, name in composed.hydra.runtime.choices.items()}
    with open_dict(composed):
        del composed["hydra"]
    plain = OmegaConf.to_container(composed)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, choices


def complete(composed: DictConfig) -> None:
    """Adds what depends on the choices of files and on the sweep: ``choices``, ``name`` and, in a sweep, ``runs_dir``.

    ``HydraConfig`` must describe the job of ``composed``.
    """
    hydra = HydraConfig.get()
    with open_dict(composed):
        chosen = {str(group): name for group, name in hydra.runtime.choices.items() if "hydra/" not in str(group)}
        composed.choices = chosen
        if OmegaConf.select(composed, "name") is None:
            composed.name = chosen.get("experiment") or chosen.get("model") or "run"
        if hydra.mode == RunMode.MULTIRUN:
            composed.runs_dir = str(sweep_folder())
            composed.name = f"{composed.name}_{hydra.job.override_dirname}".rstrip("_")


def read_config(composed: DictConfig, schema: type[C]) -> C:
    """The checked config of a job that starts a new run, or of a command other than ``train``.

    Raises:
        UserError: the first value that is not allowed.
    """
    with resolving_config():
        complete(composed)
        if OmegaConf.select(composed, "resume") is not None:
            raise UserError(ONE_RUN)
        return validate(composed, schema)


def compose_run(overrides: Sequence[str]) -> Config:
    """The checked config of the run that ``mnist-lite train`` would start with ``overrides``. For callers from Python.

    Raises:
        UserError: the config cannot be composed, or a value is not allowed.
    """
    if isinstance(overrides, str):
        raise UserError('overrides: a list of texts is expected, such as ["experiment=era4", "epochs=1"]')
    before = HydraConfig.instance().cfg
    try:
        with starting_hydra(), initialize_config_dir(str(config_dir()), **VERSION_BASE):
            composed = compose(
                "config", [str(quote_path(override)) for override in overrides], return_hydra_config=True
            )
            HydraConfig.instance().set_config(composed)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise UserError("sweep: one call trains one network; mnist-lite train runs sweeps")
        with read_write(composed), open_dict(composed):
            del composed["hydra"]
        return read_config(composed, Config)
    except UserError:
        raise
    except Exception as error:
        raise composition_error(error) from error
    finally:
        HydraConfig.instance().cfg = before


def read_sweep_config(sweep: DictConfig) -> SweepConfig:
    """The settings of a sweep. ``dir`` is an absolute path.

    Raises:
        UserError: the first value that is not allowed.
    """
    HydraConfig.instance().set_config(sweep)
    with resolving_config():
        if not sweep.hydra.sweep.dir:
            raise UserError("sweep.dir: empty; name a folder, . for this one")
        if sweep.get("resume") is not None:
            raise UserError(ONE_RUN)
        folder = sweep_folder()
        if folder.is_file():
            raise UserError(f"sweep.dir: {folder} is a file; name a folder")
        return validate_node({**sweep.sweep, "dir": str(folder)}, SweepConfig, "sweep.")


def sweep_folder() -> Path:
    """The folder of the sweep. A relative path starts where the command was started, not where a job of a cluster runs."""
    hydra = HydraConfig.get()
    return Path(hydra.runtime.cwd) / user_path("sweep.dir", hydra.sweep.dir)
