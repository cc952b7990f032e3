"""Hydra's loader of configs, with checks of the user's own folder: ``--config-dir``. It may be a stranger's folder.

Every config goes through this loader before Hydra uses it: the config of a command, of each job of a sweep, and of a job that a
launcher starts on another machine.
"""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mnist_lite.config.hydra_versions import ConfigLoaderImpl, FileConfigSource
from mnist_lite.config.overrides import PATH_KEYS
from mnist_lite.config.permissions import check_permissions, restrict_environment
from mnist_lite.config.yaml_file import is_ignored, read_config_file
from mnist_lite.errors import UserError
from mnist_lite.process.limits import limits

CONTROLLERS = ("hydra/launcher", "hydra/sweeper")
"""The groups of Hydra from which a file may choose what is installed."""


class UserFolder(FileConfigSource):
    """The folder of ``--config-dir``. Hydra finds this class as a plugin, by its scheme."""

    @staticmethod
    def scheme() -> str:
        """The first part of the folder's address: ``user://<path>``."""
        return "user"

    def is_config(self, config_path: str) -> bool:
        """True if there is a file. Whether it can be read is checked when it is read."""
        path = Path(self.path, self._normalize_file_name(config_path))
        return not is_ignored(path) and (path.is_symlink() or path.exists()) and not path.is_dir()

    def load_config(self, config_path: str) -> ConfigResult:
        """Reads a file.

        Raises:
            UserError: the file is not a config that may be read.
        """
        path = Path(self.path, self._normalize_file_name(config_path))
        text = read_config_file(path, Path(self.path))
        config = OmegaConf.load(io.StringIO(text))
        hydra = OmegaConf.to_container(config).get("hydra") if isinstance(config, DictConfig) else None  # type: ignore[union-attr]
        # Hydra reads this key of the first file before anything is composed, and imports the modules that it names
        if isinstance(hydra, str) or (isinstance(hydra, dict) and "searchpath" in hydra):
            raise UserError(f"{path}: hydra.searchpath is not allowed; --config-dir names the folder")
        header = self._get_header_dict(text[:512])
        return ConfigResult(config=config, path=self.full_path(), provider=self.provider, header=header)


class CheckedLoader(ConfigLoaderImpl):
    """The loader of all our commands."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        """``config_search_path`` has the folder of ``--config-dir`` if it was given."""
        without = copy.deepcopy(config_search_path)
        without.get_path()[:] = [entry for entry in without.get_path() if entry.provider != "command-line"]
        for entry in config_search_path.get_path():
            if entry.provider == "command-line":
                entry.path = f"{UserFolder.scheme()}://{str(entry.path).removeprefix('file://')}"
        super().__init__(config_search_path)
        has_user_folder = len(without.get_path()) < len(config_search_path.get_path())
        self._trusted = ConfigLoaderImpl(without) if has_user_folder else None
        self._trusted_configs: dict[tuple[str, ...], DictConfig] = {}  # the jobs of a sweep mostly share one

    def _load_configuration_impl(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, *rest: Any, **more: Any
    ) -> DictConfig:
        restrict_environment()
        with limits("the config"):
            composed = super()._load_configuration_impl(config_name, overrides, run_mode, *rest, **more)
            if self._trusted is not None:
                check_permissions(composed, self._trusted_config(config_name, overrides, run_mode, composed), overrides)
        return composed

    def _trusted_config(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, composed: DictConfig
    ) -> DictConfig:
        """The config without the user's folder. Only its keys below ``hydra`` and its paths are of interest.

        Raises:
            UserError: a file of ``hydra`` is in the user's folder only.
        """
        assert self._trusted is not None
        parsed = OverridesParser.create().parse_overrides(overrides)
        keys = {override.key_or_group for override in parsed}
        given = [
            str(override.input_line)
            for override in parsed
            if override.is_hydra_override() or override.key_or_group in PATH_KEYS
        ]
        choices = composed.hydra.runtime.choices
        chosen = [f"{group}={choices[group]}" for group in CONTROLLERS if group not in keys and choices.get(group)]
        name, words = config_name and "config", (*given, *chosen)
        key = (str(name), str(run_mode), *words)
        if key not in self._trusted_configs:
            try:
                self._trusted_configs[key] = self._trusted._load_configuration_impl(
                    name, list(words), run_mode, validate_sweep_overrides=False
                )
            except HydraException as error:
                raise UserError(
                    f"{getattr(error, 'missing_cfg_file', None) or 'hydra'}: a config file in --config-dir cannot configure "
                    "Hydra; choose an installed launcher or sweeper, and give its settings on the command line"
                ) from error
        return self._trusted_configs[key]
