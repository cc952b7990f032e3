"""All code that depends on the version of Hydra or Python, and the only imports from ``hydra._internal``.

| | Hydra 1.3, OmegaConf 2.3 | Hydra 1.4, OmegaConf 2.4 |
|---|---|---|
| ``version_base`` | is needed. Without it Hydra warns and behaves like 1.1 | is deprecated. With it Hydra warns |
| the parser on Python 3.14 | cannot be built | can be built |
| a file that contains itself, ``defaults: 5`` | raises an internal error. ``compose`` makes one line of it | prints one line |
| ``hydra.mode: MULTIRUN`` in a file of ``conf/sweep/`` | starts a sweep | is an error. The command line must have ``-m`` |
| the plugin for Ray | prints nothing | warns, because it calls a function that OmegaConf 2.4 deprecates |
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hydra
import hydra._internal.hydra as hydra_application
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.utils import get_args_parser
from hydra.errors import ConfigCompositionException

__all__ = ["VERSION_BASE", "ConfigLoaderImpl", "FileConfigSource", "argument_parser", "run_hydra", "starting_hydra"]
VERSION_BASE: dict[str, str] = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}
"""Keyword arguments for ``hydra.main`` and ``hydra.initialize_config_dir``."""


@contextmanager
def starting_hydra() -> Iterator[None]:
    """Inside ``with starting_hydra():`` Hydra starts on all supported versions. Afterwards nothing has changed.

    Python 3.14 formats each help text when it is added to a parser. One help text of Hydra 1.3 is an object that creates its text
    when it is printed, so the check fails. Here only texts are checked.
    """
    parsers: Any = argparse.ArgumentParser
    check = getattr(parsers, "_check_help", None)

    def check_texts(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
        if check is not None and (action.help is None or isinstance(action.help, str)):
            check(parser, action)

    own = "_check_help" in vars(parsers)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")
        if check is not None:
            parsers._check_help = check_texts
        try:
            yield
        finally:
            if own:
                parsers._check_help = check
            elif check is not None:
                del parsers._check_help


def argument_parser() -> argparse.ArgumentParser:
    """Hydra's parser of the command line. It is internal: Hydra has no public function that knows its flags."""
    with starting_hydra():
        return get_args_parser()


def run_hydra(main: Callable[[], Any], loader: type[ConfigLoaderImpl] = ConfigLoaderImpl) -> None:
    """Calls ``main``, a function that ``hydra.main`` has wrapped. Hydra loads configs with ``loader``.

    Hydra 1.4 raises an error for ``sweep=lr`` without ``-m`` after it has composed the config, before any job. Then ``main`` is
    called again with ``-m`` in ``sys.argv``.
    """
    with starting_hydra(), _loading_with(loader):
        try:
            main()
            return
        except ConfigCompositionException as error:
            if "hydra.mode changed during config composition" not in str(error) or {"-m", "--multirun"} & {*sys.argv}:
                raise
        sys.argv.insert(1, "-m")
        main()


@contextmanager
def _loading_with(loader: type[ConfigLoaderImpl]) -> Iterator[None]:
    """Inside, Hydra makes its loader from the class ``loader``. Hydra has no setting for this."""
    application: Any = hydra_application
    before = application.ConfigLoaderImpl
    application.ConfigLoaderImpl = loader
    try:
        yield
    finally:
        application.ConfigLoaderImpl = before
