"""Fits lines and tables into the width of a terminal.

A stream that is not a terminal has no width: files and pipes get every line and table in full. The environment variable
``COLUMNS`` replaces the width of a terminal, and gives a width to a pipe. Widths below ``MIN_WIDTH`` count as ``MIN_WIDTH``.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Collection, Sequence
from typing import TextIO

MIN_WIDTH = 60
MIN_CELL_WIDTH = 8
"""A column of text is not made narrower than this."""
GAP = "  "
COMMAND = " -m mnist_lite."
"""Marks a line to paste into a shell. It is never broken."""


def width_of(stream: TextIO | None) -> int | None:
    """The number of columns of ``stream``, at least ``MIN_WIDTH``; None: no limit."""
    found = os.environ.get("COLUMNS", "")
    if found.isdecimal() and int(found) > 0:
        return max(int(found), MIN_WIDTH)
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream is not None else 0
    except (OSError, ValueError):  # not a terminal, or closed
        return None
    return max(columns, MIN_WIDTH) if columns > 0 else None


def first_fitting(texts: Sequence[str], width: int | None) -> str:
    """The first of ``texts`` that is at most ``width`` long, else the last."""
    return next((text for text in texts if width is None or len(text) <= width), texts[-1])


def wrapped(text: str, width: int | None) -> str:
    """``text`` with every line broken at spaces; what follows a break is indented. Words, such as paths, stay whole."""
    if width is None:
        return text
    return "\n".join(piece for line in text.split("\n") for piece in _broken(line, width))


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Collection[int],
    width: int | None,
    drop: Sequence[int] = (),
) -> list[str]:
    """The lines of a table: the heads, a rule, the rows. Columns in ``left`` are aligned to the left, the others to the right.

    A table that is wider than ``width`` is made narrower in steps, until it fits: the heads take several lines; the columns
    in ``drop`` are left out, one after the other; the cells in ``left`` take several lines; each row becomes a list of its
    cells.
    """
    widths = {i: max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))}
    if width is None:
        return _layout(heads, rows, widths, left)
    for dropped in (None, *drop):
        if _total(widths) <= width:
            return _layout(heads, rows, widths, left)
        widths = {
            i: max(len(word) for word in [*_words(heads[i]), *(row[i] for row in rows)]) for i in widths if i != dropped
        }
    for i in sorted(set(left) & set(widths), key=lambda i: -widths[i]):
        least = max(MIN_CELL_WIDTH, *(len(word) for word in _words(heads[i])))
        widths[i] = max(min(widths[i], least), widths[i] - max(0, _total(widths) - width))
    if _total(widths) <= width:
        return _layout(heads, rows, widths, left)
    pairs = [[(head, cell) for head, cell in zip(heads, row, strict=True) if cell] for row in rows]
    named = [", ".join(f"{head}: {cell}" if head else cell for head, cell in row) for row in pairs]
    return ["-" * width, *(line for row in named for line in _broken(row, width))]


def _layout(
    heads: Sequence[str], rows: Sequence[Sequence[str]], widths: dict[int, int], left: Collection[int]
) -> list[str]:
    stacks = [{i: _stack(heads[i], width) for i, width in widths.items()}]
    stacks += [
        {i: textwrap.wrap(row[i], max(1, width), break_on_hyphens=False) for i, width in widths.items()} for row in rows
    ]
    result = []
    for number, cells in enumerate(stacks):
        height = max(1, *(len(cell) for cell in cells.values()))
        for line in range(height):
            texts = []
            for i, cell in cells.items():
                above = height - len(cell) if number == 0 else 0  # heads stand on the rule
                text = cell[line - above] if 0 <= line - above < len(cell) else ""
                texts.append(text.ljust(widths[i]) if i in left else text.rjust(widths[i]))
            result.append(GAP.join(texts).rstrip())
    heads_end = max(1, *(len(cell) for cell in stacks[0].values()))
    result.insert(heads_end, "-" * max(map(len, result)))
    return result


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _words(head: str) -> list[str]:
    """The pieces of a head between which a line may end: words, and the parts of a key such as ``optimizer.lr``."""
    return re.split(r" |(?<=\.)(?=\w)", head)


def _stack(head: str, width: int) -> list[str]:
    """The lines of a head in a column of ``width``."""
    lines = [""]
    for word in _words(head):
        longer = word if not lines[-1] else lines[-1] + ("" if lines[-1].endswith(".") else " ") + word
        if len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _broken(line: str, width: int) -> list[str]:
    if len(line) <= width or COMMAND in line:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
