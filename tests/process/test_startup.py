from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import QUICK

BEGIN = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # called after the handlers of begin
before = gc.get_threshold()[0]
from mnist_lite.process.startup import begin
begin()
print(gc.isenabled(), gc.get_threshold()[0] > 10 * before)
"""


def test_a_command_seldom_searches_for_garbage_and_not_at_its_end():
    done = subprocess.run([sys.executable, "-c", BEGIN], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


TRAIN = """
import sys
from mnist_lite.train import main
sys.argv[0] = "mnist_lite.train"
try:
    main()
finally:
    print("IMPORTED", sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
"""


@pytest.mark.parametrize("backend", ["torch", "kernels"])
def test_a_training_does_not_import_the_compiler_of_torch(backend: str, tmp_path):
    """Its import takes 1 to 2 s."""
    command = [sys.executable, "-c", TRAIN, *QUICK, f"backend={backend}", "precision=fp32", "ema_decay=0.9"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "\nIMPORTED []\n" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
