"""Lines and tables for a terminal of a given width.

A file or a pipe has no width: it gets every line and every table in full. The environment variable ``COLUMNS`` replaces
the width of a terminal, and gives a width to a pipe. A width below ``MIN_WIDTH`` counts as ``MIN_WIDTH``. In this
module, the width None means no limit. What is not printable is escaped before its width is measured.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import TextIO

from mnist_lite.errors import printable

MIN_WIDTH = 60
MIN_CELL_WIDTH = 8
"""The smallest width of a column whose cells take several lines."""
GAP = "  "
COMMAND = " -m mnist_lite."
"""A line with this text is a shell command for the user to copy. It is never broken."""


def width_of(stream: TextIO | None) -> int | None:
    """The number of columns of the terminal that ``stream`` writes to. None: it is no terminal, or it is closed."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return max(int(columns), MIN_WIDTH)
    try:
        width = os.get_terminal_size(stream.fileno()).columns if stream is not None else 0
    except (OSError, ValueError):
        return None
    return max(width, MIN_WIDTH) if width > 0 else None


def first_fitting(texts: Sequence[str], width: int | None) -> str:
    """The first of ``texts`` that is at most ``width`` long. If none is, the last one."""
    return next((text for text in texts if width is None or len(text) <= width), texts[-1])


def counted(number: int, noun: str) -> str:
    """``1 job`` or ``2,000 jobs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shortened(text: str, length: int) -> str:
    """The start of ``text``, with at most ``length`` characters. Dots at its end show that there is more."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def wrapped(text: str, width: int | None) -> str:
    """``text`` with long lines broken at spaces. The rest of a broken line is indented. Words, such as paths, stay whole."""
    text = printable(text)
    if width is None:
        return text
    return "\n".join(piece for line in text.split("\n") for piece in _wrap_line(line, width))


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Collection[int],
    width: int | None,
    drop: Sequence[int] = (),
) -> list[str]:
    """The lines of a table: the heads, a rule, the rows. The columns ``left`` are aligned to the left, the others to the right.

    If the table is wider than ``width``, it becomes narrower in these steps, until it fits: the heads take several
    lines; the columns ``drop`` are left out, one after the other; the cells of the columns ``left`` take several lines;
    each row becomes a list of ``head: cell``.
    """
    heads, rows = [printable(head) for head in heads], [[printable(cell) for cell in row] for row in rows]
    widths = {i: max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))}
    if width is None:
        return _layout(heads, rows, widths, left)
    for dropped in (None, *drop):
        if _total(widths) <= width:
            return _layout(heads, rows, widths, left)
        widths = {i: max([_longest_word(heads[i]), *(len(row[i]) for row in rows)]) for i in widths if i != dropped}
    for i in sorted(set(left) & set(widths), key=lambda i: -widths[i]):
        narrowest = max(MIN_CELL_WIDTH, _longest_word(heads[i]))
        excess = max(0, _total(widths) - width)
        widths[i] = max(min(widths[i], narrowest), widths[i] - excess)
    if _total(widths) <= width:
        return _layout(heads, rows, widths, left)
    lists = [
        [f"{head}: {cell}" if head else cell for head, cell in zip(heads, row, strict=True) if cell] for row in rows
    ]
    return ["-" * width, *(line for items in lists for line in _wrap_line(", ".join(items), width))]


def _layout(
    heads: Sequence[str], rows: Sequence[Sequence[str]], widths: dict[int, int], left: Collection[int]
) -> list[str]:
    """The lines of a table whose column ``i`` has the width ``widths[i]``."""

    def lines(cells: list[list[str]]) -> Iterator[str]:
        """The lines of one row. Each cell is a list of lines."""
        for texts in zip_longest(*cells, fillvalue=""):
            columns = zip(texts, widths.items(), strict=True)
            yield GAP.join(t.ljust(width) if i in left else t.rjust(width) for t, (i, width) in columns).rstrip()

    head_cells = [_wrap_head(heads[i], width) for i, width in widths.items()]
    height = max(map(len, head_cells))
    above = list(lines([[""] * (height - len(cell)) + cell for cell in head_cells]))
    below = [
        line
        for row in rows
        for line in lines([textwrap.wrap(row[i], max(1, w), break_on_hyphens=False) for i, w in widths.items()])
    ]
    return [*above, "-" * max(map(len, above + below)), *below]


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _spaced(head: str) -> str:
    """``head`` with a space after each dot: a key such as ``optimizer.lr`` may be broken there."""
    return head.replace(".", ". ")


def _longest_word(head: str) -> int:
    return max(map(len, _spaced(head).split()), default=0)


def _wrap_head(head: str, width: int) -> list[str]:
    if len(head) <= width:
        return [head]
    return [line.replace(". ", ".") for line in textwrap.wrap(_spaced(head), width, break_on_hyphens=False)]


def _wrap_line(line: str, width: int) -> list[str]:
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
