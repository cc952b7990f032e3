"""Trains eight small recipes and prints one SHA-256 for each recipe.

The hash covers the final weights and the rows of metrics.jsonl without their times. On one machine, two versions of the
code give equal hashes if and only if they train bit for bit the same:

    python scripts/golden.py <folder of MNIST>              # this checkout
    python scripts/golden.py <folder of MNIST> <checkout>   # another checkout, with the same Python

This script does not import mnist_lite, so one copy can check every version.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

TINY = ("data=mnist", "data.test_limit=1000", "threads=1", "device=cpu")
RECIPES = {
    "kernels": ("model=era4", "backend=kernels", "augment=rotation", "data.train_limit=4000", "epochs=2"),
    "torch": ("model=step3", "backend=torch", "augment=affine", "data.train_limit=3000", "epochs=2"),
    "holdout": (
        "model=eva5",
        "backend=torch",
        "data.holdout=1000",
        "data.train_limit=2000",
        "epochs=2",
        "eval_every=7",
    ),
    "ema": (
        *("model=era4", "backend=kernels", "augment=strong", "data.train_limit=3000", "epochs=2", "ema_decay=0.98"),
        *("label_smoothing=0.1", "l1=1e-5", "clip_grad_norm=1"),
    ),
    "plateau": (
        *("model=era3", "backend=kernels", "scheduler=plateau", "optimizer=sgd", "optimizer.lr=0.05"),
        *("data.train_limit=2000", "data.holdout=1000", "epochs=4", "scheduler.patience=0"),
    ),
    "early_stop": (
        *("model=salvation", "backend=kernels", "data.train_limit=6000", "epochs=3", "eval_every=5"),
        "stop_at_accuracy=85",
    ),
    "resumed": (
        *("model=bn_dropout_10k", "backend=torch", "data.train_limit=4000", "epochs=3", "checkpoint.steps=9"),
        "augment=elastic",
    ),
    "sweep": (
        *("-m", "model=bn_dropout_8k", "backend=kernels", "data.train_limit=2000", "epochs=2"),
        *("optimizer.lr=0.01,0.03", "seed=0,1", "sweep.dir=runs/sweeps/golden"),
    ),
}


def main(mnist: Path, checkout: Path) -> None:
    """Trains every recipe with the code of ``checkout`` and prints a line for each."""
    config = (checkout / "conf" / "config.yaml").read_text("utf-8")
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "MNIST_LITE_DATA": str(mnist)}
    old_names = {
        "backend=kernels": "compile=always",
        "backend=torch": "compile=never",
    }  # versions without the key backend
    for name, recipe in RECIPES.items():
        overrides = recipe if "\nbackend:" in config else tuple(old_names.get(item, item) for item in recipe)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            command = [sys.executable, "-m", "mnist_lite.train", *overrides, *TINY]
            if name == "resumed":
                kill_after_checkpoint(command, folder, environment)
                run = next(folder.glob("runs/2*"))
                command = [sys.executable, "-m", "mnist_lite.train", f"resume='{run}'"]
            result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if result.returncode:
                sys.exit(f"{name}: exit code {result.returncode}\n{result.stdout}\n{result.stderr}")
            print(f"{name:<11} {digest(folder)}", flush=True)


def kill_after_checkpoint(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Starts ``command`` and kills the process after its first checkpoint."""
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        while not list(folder.glob("runs/*/last.pt")) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)


def digest(folder: Path) -> str:
    """Returns the SHA-256 of all runs below ``folder``, as hex digits."""
    total = hashlib.sha256()
    runs = sorted(
        folder.rglob("last.pt"), key=lambda path: path.parent.name.rpartition("_")[0] if "sweeps" in path.parts else ""
    )
    for path in runs:
        state = torch.load(path, map_location="cpu", weights_only=True)
        for part in ("model", "ema"):
            for key, value in (state[part] or {}).items():
                total.update(f"{part} {key} {value.dtype} {tuple(value.shape)}".encode())
                total.update(value.detach().contiguous().numpy().tobytes())
        for line in (path.parent / "metrics.jsonl").read_text("utf-8").splitlines():
            row = {key: value for key, value in json.loads(line).items() if not key.startswith("seconds/")}
            total.update(json.dumps(row, sort_keys=True).encode())
    if not runs:
        sys.exit(f"no run in {folder}")
    return total.hexdigest()


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1]
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else here)
