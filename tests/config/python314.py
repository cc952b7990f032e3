"""A copy of argparse's check in Python 3.14: a help text is formatted when its argument is added to a parser."""

from __future__ import annotations

import argparse
from typing import Any


def check_help(self: Any, action: argparse.Action) -> None:
    """Raises ``ValueError`` for a help text that cannot be formatted. Groups of arguments have no formatter and no check."""
    if not action.help or not hasattr(self, "_get_formatter"):
        return
    try:
        self._get_formatter()._expand_help(action)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError("badly formed help string") from error


_add_argument = argparse.ArgumentParser.add_argument


def add_argument(self: Any, *names: Any, **options: Any) -> argparse.Action:
    """Adds an argument and checks its help text."""
    action = _add_argument(self, *names, **options)
    self._check_help(action)
    return action


CHANGES: dict[str, Any] = {}
"""Attributes for ``argparse.ArgumentParser``. Empty if this Python has the check."""
if not hasattr(argparse.ArgumentParser, "_check_help"):
    CHANGES = {"_check_help": check_help, "add_argument": add_argument}


def install() -> None:
    """Changes argparse for the rest of the process. Call it only in a subprocess."""
    for name, function in CHANGES.items():
        setattr(argparse.ArgumentParser, name, function)
