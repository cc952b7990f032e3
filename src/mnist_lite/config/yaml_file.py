"""Reads a config file that may be from a stranger, with limits. A short text can describe an endless config.

Input: a path. Output: the text of the file, which is then safe to parse. This module does not import Hydra.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import yaml

from mnist_lite.errors import UserError

MAX_BYTES = 100_000
"""A file of ours has at most 5,000."""
MAX_DEPTH = 50
"""Lists and mappings inside each other. A file of ours has at most 6."""
MAX_NODES = 10_000
"""Keys, values, lists and mappings, after all aliases are replaced; a long text counts as several. Ours have at most 300."""

NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
"""A zero byte, and half of a surrogate pair: files and paths cannot have them."""


def is_ignored(path: Path) -> bool:
    """True for a hidden file, such as ``.#step3.yaml``: the link by which Emacs marks a file that is being edited."""
    return path.name.startswith(".")


def read_config_file(path: Path, folder: Path) -> str:
    """The text of ``path``, a YAML file in ``folder``.

    Raises:
        UserError: ``read_config_bytes`` refuses the file, or it is not UTF-8, is no YAML, is nested too deeply, or describes too
            many values.
    """
    try:
        text = read_config_bytes(path, folder).decode("utf-8-sig")  # some editors of Windows write a byte order mark
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: this config file is not UTF-8 text: {error.reason} at byte {error.start}") from error
    _check_size(text, path)
    return text


def read_config_bytes(path: Path, folder: Path) -> bytes:
    """The content of ``path``, a file in ``folder``.

    Raises:
        UserError: the file is outside ``folder``, cannot be read, is not a regular file, or is too large.
    """
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{path}: this file is outside of {folder}")
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # to open a FIFO would wait for a writer
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UserError(f"{path}: not a regular file")
            content = file.read(MAX_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: before Python 3.13, a link that leads to itself
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: this config file cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise UserError(f"{path}: this config file has more than {MAX_BYTES:,} bytes")
    return content


def _check_size(text: str, path: Path) -> None:
    """Counts the nodes of a YAML text without building them. An alias counts as all nodes that it stands for."""
    open_nodes: list[tuple[str | None, int]] = []
    sizes: dict[str | None, int] = {}  # by anchor; None: no anchor
    nodes = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, nodes))
                nodes += 1
            elif isinstance(event, yaml.ScalarEvent):
                if found := NO_CHARACTER.search(event.value):  # YAML can write it as "\\ud800"
                    raise UserError(f"{path}: {found[0]!a} is no character, and no text may have it")
                size = 1 + len(event.value) // 100
                sizes[event.anchor] = size
                nodes += size
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = open_nodes.pop()
                sizes[anchor] = nodes - before
            elif isinstance(event, yaml.AliasEvent):
                if any(anchor == event.anchor for anchor, _ in open_nodes):
                    raise UserError(f"{path}: *{event.anchor} contains itself")
                nodes += sizes.get(event.anchor, 1)
            if len(open_nodes) > MAX_DEPTH:
                raise UserError(f"{path}: more than {MAX_DEPTH} lists and mappings are inside each other")
            if nodes > MAX_NODES:
                raise UserError(f"{path}: the file describes more than {MAX_NODES:,} values")
    except yaml.YAMLError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error
