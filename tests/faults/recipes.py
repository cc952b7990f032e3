"""Short runs of 20 steps. Together they have everything that a checkpoint must hold."""

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
PER_EPOCH = 5
KERNELS = ("backend=kernels",) if compiler_command() else ()
SMALL = (
    "model=step4",
    "model.layers=[{conv: 6, kernel: 5, stride: 2}, batch_norm, relu, {dropout: 0.1}, {max_pool: 2}, {conv: 10}, "
    "global_avg_pool]",
)
"""A network with weights, running statistics and random draws, and not slower than its tests need."""

RECIPES: dict[str, tuple[str, ...]] = {
    "onecycle": (*SMALL, "augment=rotation"),
    "plateau": (
        *SMALL,
        "optimizer=sgd",
        "optimizer.lr=0.1",
        "scheduler=plateau",
        "scheduler.patience=0",
        "scheduler.threshold=1",
        "data.holdout=40",
    ),
    "ema": (
        *SMALL,
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
