"""What an error prints."""

from __future__ import annotations

import re

import pytest

from mnist_lite.errors import UserError, printable

ESCAPES = {
    "\x1b[2J": r"\x1b[2J",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x9b31m": r"\x9b31m",  # the same as ESC [ in one character
    "a\rb": r"a\rb",
    "\x00\x08\x7f": r"\x00\x08\x7f",
    "\u202etxt.exe": r"\u202etxt.exe",
    "\u2066\u2069\u200f\u061c": r"\u2066\u2069\u200f\u061c",
    "a\u2028b\x85c\x0bd": r"a\u2028b\x85c\x0bd",
    "\udcff\ud800": r"\udcff\ud800",
}


@pytest.mark.parametrize(("text", "shown"), ESCAPES.items(), ids=ascii)
def test_what_a_terminal_obeys_is_escaped(text: str, shown: str):
    assert printable(f"x{text}y") == f"x{shown}y"
    assert str(UserError(f"model: unknown choice {text}")) == f"model: unknown choice {shown}"


def test_other_text_stays_as_it_is():
    text = "naïve ≥ 日本語 🎉 שלום\n\tC:\\x1b e\u0301"
    assert printable(text) == text
    assert str(UserError("two\n lines")) == "two lines"


def test_every_control_character_is_escaped():
    for number in (*range(32), *range(127, 160)):
        shown = printable(chr(number))
        assert shown == chr(number) if chr(number) in "\n\t" else re.fullmatch(r"\\(x[0-9a-f]{2}|r)", shown)
