"""The wheel works from any folder, without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import QUICK, REPOSITORY

PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
OFFLINE = ("--no-deps", "--no-index")


def test_an_installed_wheel_works_from_another_folder(tmp_path: Path):
    wheels, site, away = tmp_path / "wheels", tmp_path / "site", tmp_path / "away"
    away.mkdir()
    build = (*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", str(wheels), str(REPOSITORY))
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    configs = {path.relative_to(REPOSITORY) for path in (REPOSITORY / "conf").rglob("*.yaml")}
    pages = {
        f"mnist_lite/reporting/html/{name}"
        for name in ("report.js", "page.css", "sections.css", "page.html.j2", "vendor/uPlot.min.css")
    }
    assert pages <= shipped
    assert {"mnist_lite/py.typed", *(f"mnist_lite/{path}" for path in configs)} <= shipped
    subprocess.run((*PIP, "install", *OFFLINE, "--target", str(site), str(wheel)), check=True, capture_output=True)
    assert (site / "bin" / "mnist-lite").is_file()

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run([*command], cwd=away, env=env, capture_output=True, text=True, check=False)

    assert Path(run(sys.executable, "-c", "import mnist_lite; print(mnist_lite.__file__)").stdout).is_relative_to(site)
    result = run(sys.executable, str(site / "bin" / "mnist-lite"), "train", "model=step3", *QUICK)
    assert result.returncode == 0, result.stderr
    assert len(list((away / "runs").glob("*_step3/summary.json"))) == 1
    assert "7,216 parameters" in run(sys.executable, "-m", "mnist_lite.summary", "model=step3").stdout
    assert "step3  " in run(sys.executable, "-m", "mnist_lite.train", "--help").stdout
