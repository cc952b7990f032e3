"""The published models in their authors' notation, with their numbers of parameters. The tests compare conf/model with them.

``conv K O [pP] [b]`` is a KxK convolution to O channels, with padding P and a bias if b is there. ``max K`` and ``avg K`` are KxK
pools, ``drop P`` is dropout. The parameters are counted by plain arithmetic, without torch and without mnist_lite.
"""

from __future__ import annotations

NOTATION = {
    "base": (
        6_379_786,
        "conv 3 32 p1 b, relu, conv 3 64 p1 b, relu, max 2, conv 3 128 p1 b, relu, conv 3 256 p1 b, relu, max 2, "
        "conv 3 512 b, relu, conv 3 1024 b, relu, conv 3 10 b",
    ),
    "genesis": (
        18_578,
        "conv 3 16 p1 b, relu, conv 3 32 p1 b, relu, conv 1 8 b, max 2, conv 3 16 p1 b, relu, conv 3 32 p1 b, relu, "
        "conv 1 8 b, max 2, conv 3 16 p1 b, relu, bn, conv 3 32 p1 b, relu, conv 1 8 b, max 2, conv 3 16 b, conv 1 10 b",
    ),
    "salvation": (
        8_718,
        "conv 3 10, relu, bn, conv 3 16, relu, bn, max 2, drop 0.3, conv 3 16, relu, bn, conv 3 16, relu, bn, max 2, "
        "drop 0.3, conv 3 16, conv 1 10, gap",
    ),
    "step1": (
        13_312,
        "conv 3 12, relu, conv 3 12, relu, conv 3 24, relu, max 2, conv 1 12, relu, conv 3 12, relu, conv 3 24, relu, "
        "conv 1 10, relu, conv 7 10",
    ),
    "step2": (
        8_412,
        "conv 3 12, relu, conv 3 12, relu, conv 3 24, relu, max 2, conv 1 12, relu, conv 3 12, relu, conv 3 24, relu, "
        "conv 1 10, relu, avg 7",
    ),
    "step3": (
        7_216,
        "conv 3 12, relu, conv 3 24, relu, conv 1 12, relu, max 2, conv 3 12, relu, conv 3 24, relu, conv 1 10, relu, "
        "conv 1 10, relu, avg 8",
    ),
    "step4": (
        7_400,
        "conv 3 12, relu, bn, drop, conv 3 24, relu, bn, drop, conv 1 12, relu, max 2, conv 3 12, relu, bn, drop, "
        "conv 3 24, relu, bn, drop, conv 1 10, relu, bn, drop, conv 1 10, relu, bn, drop, avg 8",
    ),
    "step5": (
        12_396,
        "conv 3 8, relu, bn, conv 3 16, relu, bn, conv 3 32, relu, bn, conv 1 8, relu, max 2, conv 3 16, relu, bn, "
        "conv 3 32, relu, bn, conv 1 10, relu, bn, avg 7",
    ),
    "era1": (
        1_618_570,
        "conv 3 16 p1 b, relu, conv 3 32 p1 b, relu, max 2, conv 3 64 p1 b, relu, conv 3 128 p1 b, relu, max 2, "
        "conv 3 256 b, relu, conv 3 512 b, relu, conv 3 10 b",
    ),
    "era2": (
        400_612,
        "conv 3 16, bn, relu, conv 3 32, bn, relu, max 2, conv 1 16, bn, relu, conv 3 32, bn, relu, conv 3 64, bn, relu, "
        "conv 3 128, bn, relu, conv 3 256, bn, relu, conv 1 10, bn, relu, gap",
    ),
    "era3": (
        7_838,
        "conv 3 10, bn, relu, conv 3 12, bn, relu, max 2, conv 1 10, conv 3 12, bn, relu, conv 3 12, bn, relu, "
        "conv 3 12, bn, relu, conv 3 12, bn, relu, conv 3 12, bn, relu, conv 1 10, gap",
    ),
    "era4": (
        7_838,
        "conv 3 10, bn, relu, drop 0.05, conv 3 12, bn, relu, drop 0.05, max 2, conv 1 10, conv 3 12, bn, relu, drop 0.05, "
        "conv 3 12, bn, relu, drop 0.05, conv 3 12, bn, relu, drop 0.05, conv 3 12, bn, relu, drop 0.05, "
        "conv 3 12, bn, relu, drop 0.05, conv 1 10, gap",
    ),
    "eva5": (
        10_066,
        "conv 3 8 b, relu, bn, drop 0.1, conv 3 16 b, relu, bn, drop 0.1, conv 3 16 b, relu, bn, drop 0.1, max 2, bn, "
        "drop 0.1, conv 1 8 b, relu, bn, drop 0.1, conv 3 16 b, relu, bn, drop 0.1, conv 3 32 b, relu, bn, drop 0.1, "
        "avg 7, conv 1 10 b",
    ),
}
ALIASES = {"gap": "step2", "bn_dropout_8k": "era4", "bn_dropout_10k": "salvation", "bn_dropout_20k": "eva5"}

TORCH_CLASSES = {
    "conv": "Conv2d",
    "relu": "ReLU",
    "bn": "BatchNorm2d",
    "drop": "Dropout",
    "max": "MaxPool2d",
    "avg": "AvgPool2d",
    "gap": "GlobalAvgPool2d",
}


def expected_layers(name: str) -> list[tuple[str, tuple[int, int, int], int]]:
    """``(kind, (C, H, W), parameters)`` of each layer of a published model."""
    channels, side, rows = 1, 28, []
    for text in NOTATION[name][1].split(","):
        word, *numbers = text.split()
        parameters = 0
        if word == "conv":
            kernel, out = int(numbers[0]), int(numbers[1])
            padding = next((int(flag[1:]) for flag in numbers[2:] if flag.startswith("p")), 0)
            parameters = kernel * kernel * channels * out + out * ("b" in numbers)
            channels, side = out, side + 2 * padding - kernel + 1
        elif word == "bn":
            parameters = 2 * channels
        elif word in {"max", "avg"}:
            side //= int(numbers[0])
        elif word == "gap":
            side = 1
        rows.append((TORCH_CLASSES[word], (channels, side, side), parameters))
    return rows
