"""Reads one entry of a YAML list: layers and augmentations are written the same way.

``relu`` is a word alone, ``{conv: 12, kernel: 3}`` a word with its main argument and more, ``{dropout: {p: 0.1}}`` a word
with all its arguments by name.
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
    """One checked entry: the word, its keyword arguments, and how it reads in a table."""

    word: str
    arguments: dict[str, Any]
    main: str
    """The name of the main argument; empty if the word takes none."""

    def __str__(self) -> str:
        """``conv 12 kernel=3``: the main argument bare, the others by name."""
        named = [f"{name}={value}" for name, value in self.arguments.items() if name != self.main]
        head = [str(self.arguments[self.main])] if self.main in self.arguments else []
        return " ".join([self.word, *head, *named])


def parse_entry(
    item: Any,
    vocabulary: Mapping[str, Callable[..., Any]],
    where: str,
    supplied: tuple[str, ...] = (),
) -> Entry:
    """The entry ``item``, checked against the signature of its word.

    ``supplied`` names the leading parameters that the program fills in.

    Raises:
        UserError: no such word, or arguments that its signature does not allow.
    """
    if isinstance(item, str):
        word, main, rest = item, None, {}
    elif isinstance(item, dict) and item:
        words = [key for key in item if key in vocabulary] or [next(iter(item))]
        word = str(words[0])
        main, rest = item[words[0]], {str(key): value for key, value in item.items() if key != words[0]}
    else:
        raise UserError(f"{where}: {item!r} is neither a word such as relu nor a mapping such as {{conv: 12}}")
    if word not in vocabulary:
        raise UserError(f"{where}: unknown word {word!r}; {did_you_mean(word, vocabulary)}")
    function = vocabulary[word]
    first = next((name for name in inspect.signature(function).parameters if name not in supplied), "")
    if main is not None and not isinstance(main, dict):
        if not first:
            raise UserError(f"{where}: {word} takes no argument, {main!r} was given")
        main = {first: main}
    twice = set(main or {}) & set(rest)
    if twice:
        raise UserError(f"{where} ({word}): {', '.join(sorted(map(str, twice)))} is given twice")
    return Entry(word, bind(function, {**(main or {}), **rest}, f"{where} ({word})", supplied), first)
