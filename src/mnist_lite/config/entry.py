"""Reads one entry of a YAML list. Layers and augmentations are written in the same way.

An entry is a word and its arguments: ``relu``, ``{conv: 12, kernel: 3}`` or ``{dropout: {p: 0.1}}``. The value beside the word is
the first argument, or a mapping of all arguments. The arguments are checked against the signature of the word's function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mnist_lite.config.signature import bind
from mnist_lite.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Entry:
    """A checked entry."""

    word: str
    arguments: dict[str, Any]
    """Keyword arguments for the word's function."""
    main: str
    """The name of the first argument; empty if the word takes no argument."""

    def __str__(self) -> str:
        """For a table: ``conv 12 kernel=3``. The first argument has no name."""
        named = [f"{name}={value}" for name, value in self.arguments.items() if name != self.main]
        main = [str(self.arguments[self.main])] if self.main in self.arguments else []
        return " ".join([self.word, *main, *named])


def parse_entry(
    item: Any,
    vocabulary: Mapping[str, Callable[..., Any]],
    where: str,
    supplied: tuple[str, ...] = (),
) -> Entry:
    """Reads the entry ``item``.

    Args:
        item: The value from YAML.
        vocabulary: The function or class of each word.
        where: The key of the entry in the config, for the message of an error.
        supplied: The first parameters of the functions that the caller passes itself.

    Raises:
        UserError: an unknown word, or arguments that its signature does not allow.
    """
    if isinstance(item, str):
        item = {item: None}
    if not (isinstance(item, dict) and item):
        raise UserError(f"{where}: {item!r} is neither a word such as relu nor a mapping such as {{conv: 12}}")
    key = next((key for key in item if key in vocabulary), next(iter(item)))
    word, value = str(key), item[key]
    named = {str(name): argument for name, argument in item.items() if name != key}
    if word not in vocabulary:
        raise UserError(f"{where}: unknown word {word!r}; {did_you_mean(word, vocabulary)}")
    function = vocabulary[word]
    main = next((name for name in inspect.signature(function).parameters if name not in supplied), "")
    if value is not None and not isinstance(value, dict):
        if not main:
            raise UserError(f"{where}: {word} takes no argument, {value!r} was given")
        value = {main: value}
    value = value or {}
    repeated = sorted(map(str, value.keys() & named.keys()))
    if repeated:
        raise UserError(f"{where} ({word}): {', '.join(repeated)} is given twice")
    return Entry(word, bind(function, {**value, **named}, f"{where} ({word})", supplied), main)
