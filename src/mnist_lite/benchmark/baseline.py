"""The loop that everyone writes, in full, as the published notebooks have it: what ``bench`` measures ours against.

torchvision's data set and transforms one image at a time, a ``DataLoader``, eager float32 modules, ``.item()`` at every step.
Nothing of this file is used in training.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from mnist_lite.config.entry import parse_entry
from mnist_lite.data.augment.pipeline import SUPPLIED, TRANSFORMS
from mnist_lite.errors import UserError

MEAN, STD = (0.1307,), (0.3081,)


def training_transforms(augment: list[dict[str, Any]]) -> transforms.Compose:
    """What a notebook would write for ``augment.transforms``: rotation and shifts by torchvision.

    Raises:
        UserError: a transform that this loop does not have.
    """
    steps: list[Any] = []
    for number, item in enumerate(augment, 1):
        entry = parse_entry(item, TRANSFORMS, f"augment.transforms: entry {number}", SUPPLIED)
        if entry.word == "rotate":
            turn = entry.arguments["degrees"]
            steps.append(transforms.RandomRotation((-turn, turn), fill=0))
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
) -> Iterator[int]:
    """Trains without end; yields the number of images after every step."""
    cuda = device.type == "cuda"
    data = mnist(root, True, training_transforms(augment))
    more: dict[str, Any] = {"num_workers": 4, "pin_memory": True, "persistent_workers": True} if cuda else {}
    loader = DataLoader(data, batch_size=batch_size, shuffle=True, **more)
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
            chosen = logits.argmax(dim=1, keepdim=True)
            correct += chosen.eq(targets.view_as(chosen)).sum().item()
            processed += len(inputs)
            _shown = f"loss={loss.item():.4f} accuracy={100 * correct / processed:.2f}"
            yield len(inputs)


def mnist(root: Path, train: bool, steps: transforms.Compose) -> datasets.MNIST:
    """torchvision's data set.

    Raises:
        UserError: it is not in ``root`` and cannot be fetched.
    """
    try:
        return datasets.MNIST(str(root), train=train, download=True, transform=steps)
    except (RuntimeError, OSError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"data.root: no MNIST in {root}, and it cannot be fetched: {why}") from error


def test(root: Path, network: nn.Module, images: int, device: torch.device) -> tuple[float, float]:
    """Mean loss and accuracy in percent on the first ``images`` test images."""
    steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    data = torch.utils.data.Subset(mnist(root, False, steps), range(images))
    network.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for inputs, labels in DataLoader(data, batch_size=128):
            logits, targets = network(inputs.to(device)), labels.to(device)
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            correct += int((logits.argmax(dim=1) == targets).sum().item())
    return loss / images, 100 * correct / images
