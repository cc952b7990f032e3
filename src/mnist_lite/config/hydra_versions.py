"""What differs between the versions of Hydra and Python that are supported, in one place.

| | Hydra 1.3, OmegaConf 2.3 | Hydra 1.4, OmegaConf 2.4 |
|---|---|---|
| ``version_base`` | is needed: without it Hydra warns and behaves like 1.1 | is deprecated: with it Hydra warns |
| the parser on Python 3.14 | cannot be built | can be built |
| a file that contains itself, ``defaults: 5`` | internal errors, of which we make one line | one line of their own |
| ``hydra.mode: MULTIRUN`` in a file of ``conf/sweep/`` | starts a sweep | is refused: the command line must say ``-m`` |
| the plugin for Ray | is quiet | warns, because it calls a function that OmegaConf 2.4 deprecates |
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.errors import ConfigCompositionException

VERSION_BASE: dict[str, str] = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}
"""Keyword arguments for ``hydra.main`` and ``hydra.initialize_config_dir``."""


@contextmanager
def starting_hydra() -> Iterator[None]:
    """Lets Hydra start on all supported versions. Everything is as before when the ``with`` block ends.

    Python 3.14 formats each help text when it is added to a parser. One help text of Hydra 1.3 is an object that makes its text
    when it is shown, so the check fails. Here only texts are checked.
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


def run_hydra(main: Callable[[], Any]) -> Any:
    """Calls ``main``, the function that ``hydra.main`` has made, and gives back what it gives.

    Hydra 1.4 refuses a ``sweep=lr`` without ``-m`` when it has composed the config, before any job. Then ``-m`` is put into
    ``sys.argv``, and ``main`` is called again.
    """
    with starting_hydra():
        try:
            return main()
        except ConfigCompositionException as error:
            if "hydra.mode changed during config composition" not in str(error) or {"-m", "--multirun"} & {*sys.argv}:
                raise
        sys.argv.insert(1, "-m")
        return main()
