"""The check that argparse has from Python 3.14 on: a help text is formatted when its argument is added to a parser."""

from __future__ import annotations

import argparse
from typing import Any


def check_help(self: Any, action: argparse.Action) -> None:
    """A help text that cannot be formatted is an error. What is no parser, such as a group, has no formatter and no check."""
    if not action.help or not hasattr(self, "_get_formatter"):
        return
    try:
        self._get_formatter()._expand_help(action)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError("badly formed help string") from error


_add_argument = argparse.ArgumentParser.add_argument


def add_argument(self: Any, *names: Any, **options: Any) -> argparse.Action:
    """Adds and checks."""
    action = _add_argument(self, *names, **options)
    self._check_help(action)
    return action


CHANGES: dict[str, Any] = {}
"""What is to be set on ``argparse.ArgumentParser``; nothing where Python has the check itself."""
if not hasattr(argparse.ArgumentParser, "_check_help"):
    CHANGES = {"_check_help": check_help, "add_argument": add_argument}


def install() -> None:
    """For a process of its own."""
    for name, function in CHANGES.items():
        setattr(argparse.ArgumentParser, name, function)
