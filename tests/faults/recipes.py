"""Short runs that have between them everything that a checkpoint must carry."""

from __future__ import annotations

from mnist_lite.backends.kernels.build import compiler_command

FEW = (
    "data=digits",
    "data.train_limit=120",
    "data.test_limit=50",
    "batch_size=25",
    "epochs=4",
    "device=cpu",
    "threads=1",
)
STEPS = 20
KERNELS = ("backend=kernels",) if compiler_command() else ()
PER_EPOCH = 5

RECIPES: dict[str, tuple[str, ...]] = {
    "onecycle": ("model=era4", "augment=rotation"),
    "plateau": (
        "model=salvation",
        "optimizer=sgd",
        "optimizer.lr=0.1",
        "scheduler=plateau",
        "scheduler.patience=0",
        "scheduler.threshold=1",
        "data.holdout=40",
    ),
    "ema": (
        "model=era4",
        "ema_decay=0.9",
        "eval_every=3",
        "augment=strong",
        "clip_grad_norm=1",
        "label_smoothing=0.1",
    ),
    "warmup": (
        *KERNELS,
        "model=step4",
        "optimizer=adam",
        "scheduler=warmup_cosine",
        "init=torch",
        "l1=1e-5",
        "eval_every=2",
    ),
}
