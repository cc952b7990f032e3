"""The step that joins the modules: its output matches the sources, and mistakes in the sources are found."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mnist_lite.reporting.html_page import HTML
from tests.conftest import REPOSITORY, load_script
from tests.html.conftest import missing

build_report = load_script("build_report")


def write_modules(folder: Path, **texts: str) -> None:
    (folder / "vendor").mkdir()
    (folder / "vendor" / "uPlot.iife.min.js").write_text("var uPlot;", encoding="utf-8")
    for name, text in texts.items():
        (folder / f"{name}.mjs").write_text(text, encoding="utf-8")


def test_the_script_matches_its_sources():
    """If this fails: python scripts/build_report.py"""
    assert (HTML / "report.js").read_text(encoding="utf-8") == build_report.joined()


def test_every_module_is_in_the_script():
    text = build_report.joined()
    assert [path.name for path in HTML.glob("*.mjs") if f"// --- {path.name}\n" not in text] == []


def test_a_module_comes_after_those_that_it_imports(tmp_path: Path):
    write_modules(
        tmp_path,
        main="import { b } from './b.mjs';\nimport { a } from './a.mjs';\nexport function main() {}\n",
        b="import {\n  a,\n} from './a.mjs';\nexport const b = a;\n",
        a="export const a = 1;\n",
    )
    text = build_report.joined(tmp_path)
    assert text.index("const a = 1") < text.index("const b = a") < text.index("function main") < text.index("main();")
    assert "import" not in text and "export" not in text


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            {"main": "import { a } from './a.mjs';\nconst x = 1;\n", "a": "const x = 2;\n"},
            "x is in a.mjs and in main.mjs",
        ),
        (
            {"main": "import { a } from './a.mjs';\n", "a": "import { main } from './main.mjs';\n"},
            "circle: main -> a -> main",
        ),
        ({"main": "const end = '</script>';\n"}, "ends it in HTML"),
    ],
)
def test_mistakes_in_the_sources_are_found(texts: dict[str, str], message: str, tmp_path: Path):
    write_modules(tmp_path, **texts)
    with pytest.raises(ValueError, match=message):
        build_report.joined(tmp_path)


def test_the_library_has_its_version_and_its_licence():
    vendor = HTML / "vendor"
    assert f"uPlot (v{build_report.UPLOT})" in (vendor / "uPlot.iife.min.js").read_text(encoding="utf-8")[:100]
    assert "MIT" in (vendor / "uPlot.LICENSE").read_text(encoding="utf-8")
    assert {path.name for path in vendor.iterdir()} == set(build_report.UPLOT_FILES.values())


def test_the_unit_tests_of_the_modules_pass():
    if shutil.which("node") is None:
        missing("node")
    files = sorted(str(path) for path in (REPOSITORY / "tests" / "html").glob("*.test.mjs"))
    done = subprocess.run(["node", "--test", *files], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
