"""One HTML page from plain values. It has everything inside: data, script, style. It loads nothing.

Values may come from a stranger. They reach the page as JSON in a ``<script>`` that is not run, and the script shows them as text.
A Content-Security-Policy forbids every other script and all use of the network.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from mnist_lite.errors import printable

HTML = Path(__file__).parent / "html"
TEMPLATE, SCRIPT, STYLES = "page.html.j2", "report.js", ("vendor/uPlot.min.css", "page.css", "sections.css")
_ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}


def render(data: Mapping[str, Any]) -> bytes:
    """The page that shows ``data``, whose form is that of ``insight/report.py``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    script = (HTML / SCRIPT).read_text(encoding="utf-8")
    style = "".join((HTML / name).read_text(encoding="utf-8") for name in STYLES)
    environment = Environment(loader=FileSystemLoader(HTML), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template(TEMPLATE).render(
        title=printable(str(data["title"])),
        policy=policy(script, style),
        # these three are ours: files of this package, and JSON without any sign that has a meaning in HTML
        script=Markup(script),
        style=Markup(style),
        data=Markup(as_json(data)),
    )
    return page.encode()


def policy(script: str, style: str) -> str:
    """The Content-Security-Policy: only this script and this style, and images from inside of the page."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def as_json(data: Mapping[str, Any]) -> str:
    r"""``data`` as JSON in ASCII, in which ``<``, ``>`` and ``&`` are ``\u003c`` and so on. Texts are made printable.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(_printable(data), separators=(",", ":"), allow_nan=False)
    return text.translate(_ESCAPED)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list | tuple) else value


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
