"""Joins the JavaScript of the report into one script: src/mnist_lite/reporting/html/report.js.

    python scripts/build_report.py             # writes the file
    python scripts/build_report.py vendor      # fetches uPlot from the npm registry into html/vendor/, then writes the file

A page from a file cannot load modules, so `import` and `export` are removed. Each module comes after those that it imports.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HTML = Path(__file__).resolve().parents[1] / "src" / "mnist_lite" / "reporting" / "html"
UPLOT = "1.6.32"
UPLOT_FILES = {
    "LICENSE": "uPlot.LICENSE",
    "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "dist/uPlot.min.css": "uPlot.min.css",
}
IMPORT = re.compile(r"^import (?:\{[^}]*\} from )?'\./(\w+)\.mjs';\n", re.MULTILINE)
TOP_LEVEL = re.compile(r"^(?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE)


def joined(folder: Path = HTML) -> str:
    """The text of report.js: uPlot, our modules, and the call that builds the page.

    Raises:
        ValueError: see ``modules``. Or the script would end early in HTML.
    """
    uplot = (folder / "vendor" / "uPlot.iife.min.js").read_text(encoding="utf-8")
    script = f"{uplot.strip()}\n(() => {{\n'use strict';\n{modules(folder)}main();\n}})();\n"
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("the script has a sign that ends it in HTML")
    return script


def modules(folder: Path = HTML) -> str:
    """``main.mjs`` and all modules that it needs, one after the other.

    Raises:
        ValueError: modules import each other in a circle, or two of them have the same name at the top level.
    """
    parts: list[str] = []
    owner: dict[str, str] = {}
    for name in _in_order(folder, "main", []):
        text = IMPORT.sub("", (folder / f"{name}.mjs").read_text(encoding="utf-8"))
        text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
        for found in TOP_LEVEL.findall(text):
            if found in owner:
                raise ValueError(f"{found} is in {owner[found]}.mjs and in {name}.mjs; names must be unique")
            owner[found] = name
        parts.append(f"// --- {name}.mjs\n{text.strip()}\n")
    return "".join(parts)


def _in_order(folder: Path, name: str, above: list[str]) -> list[str]:
    """``name`` and all modules that it needs, each after those that it imports."""
    if name in above:
        raise ValueError(f"modules import each other in a circle: {' -> '.join([*above, name])}")
    text = (folder / f"{name}.mjs").read_text(encoding="utf-8")
    before = [each for needed in IMPORT.findall(text) for each in _in_order(folder, needed, [*above, name])]
    return list(dict.fromkeys([*before, name]))


def vendor() -> None:
    """Replaces the files of uPlot by those of version ``UPLOT``."""
    with tempfile.TemporaryDirectory() as scratch:
        command = ["npm", "pack", f"uplot@{UPLOT}", "--silent", "--pack-destination", scratch]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(scratch).glob("*.tgz"))) as archive:
            for source, target in UPLOT_FILES.items():
                file = archive.extractfile(f"package/{source}")
                assert file is not None
                (HTML / "vendor" / target).write_bytes(file.read())


if __name__ == "__main__":
    if sys.argv[1:] == ["vendor"]:
        vendor()
    (HTML / "report.js").write_text(joined(), encoding="utf-8")
