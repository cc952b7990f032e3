"""The plain PyTorch loop, written as in the published notebooks. ``bench`` compares the trainer with it.

It has torchvision's data set and transforms (one image at a time), a ``DataLoader``, float32 modules, and ``.item()`` in every
step. No run uses this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from mnist_lite.config.entry import parse_entry
from mnist_lite.data.augment.pipeline import SUPPLIED, TRANSFORMS
from mnist_lite.errors import UserError

MEAN, STD = (0.1307,), (0.3081,)


def training_transforms(augment: list[Any]) -> transforms.Compose:
    """torchvision's transforms for ``augment.transforms``: rotation and shift.

    Raises:
        UserError: another transform.
    """
    steps: list[Any] = []
    for number, item in enumerate(augment, 1):
        entry = parse_entry(item, TRANSFORMS, f"augment.transforms: entry {number}", SUPPLIED)
        if entry.word == "rotate":
            degrees = entry.arguments["degrees"]
            steps.append(transforms.RandomRotation((-degrees, degrees), fill=0))
        elif entry.word == "translate":
            shift = entry.arguments["pixels"] / 28
            steps.append(transforms.RandomAffine(0, translate=(shift, shift), fill=0))
        else:
            raise UserError(
                f"augment: the plain loop of bench has rotate and translate, not {entry.word}; use augment=rotation"
            )
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def train(
    root: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    augment: list[Any],
    batch_size: int,
    device: torch.device,
    workers: int,
) -> Iterator[tuple[int, float]]:
    """Trains without end. Yields the number of images and the loss of every step. ``workers``: processes that load images."""
    data = open_mnist(root, True, training_transforms(augment))
    options: dict[str, Any] = {
        "num_workers": workers,
        "pin_memory": device.type == "cuda",
        "persistent_workers": workers > 0,
    }
    loader = DataLoader(data, batch_size=batch_size, shuffle=True, **options)
    correct = processed = 0
    while True:
        for images, labels in loader:
            network.train()
            inputs, targets = images.to(device), labels.to(device)
            optimizer.zero_grad()
            logits = network(inputs)
            loss = F.cross_entropy(logits, targets)
            loss.backward()
            optimizer.step()
            predicted = logits.argmax(dim=1, keepdim=True)
            correct += predicted.eq(targets.view_as(predicted)).sum().item()
            processed += len(inputs)
            _progress = f"loss={(value := loss.item()):.4f} accuracy={100 * correct / processed:.2f}"
            yield len(inputs), value


def evaluate(root: Path, network: nn.Module, images: int, device: torch.device) -> tuple[float, float]:
    """Mean loss and accuracy in percent on the first ``images`` test images."""
    data = open_mnist(root, False, training_transforms([]))
    network.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for inputs, labels in DataLoader(Subset(data, range(images)), batch_size=128):
            logits, targets = network(inputs.to(device)), labels.to(device)
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            correct += int((logits.argmax(dim=1) == targets).sum().item())
    return loss / images, 100 * correct / images


def open_mnist(root: Path, train: bool, steps: transforms.Compose) -> datasets.MNIST:
    """torchvision's data set.

    Raises:
        UserError: the data set is not in ``root`` and cannot be fetched.
    """
    try:
        return datasets.MNIST(str(root), train=train, download=True, transform=steps)
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"data.root: no MNIST in {root}, and it cannot be fetched: {reason}") from error
