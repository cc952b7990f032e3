"""The shape of a whole config: typed dataclasses, every field with its meaning and its range.

Defaults are not here but in ``conf/``, where users read and change them. ``validate`` turns what Hydra composed into a
``Config`` or says in one line what is wrong with it. It needs neither torch nor data. The free-form parts (layers,
augmentations, optimiser and scheduler arguments) are checked against the signatures that they are meant for, where those
are at hand: see ``arguments.bind``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_lite.errors import UserError, did_you_mean

RENAMED = {"compile": "use backend=auto, backend=torch (was compile=never) or backend=kernels (was compile=always)"}
"""Old names of keys, and what to write instead."""


def number(
    ge: float = -math.inf, gt: float = -math.inf, le: float = math.inf, lt: float = math.inf, default: Any = MISSING
) -> Any:
    """A field with a range: ``ge`` and ``le`` belong to it, ``gt`` and ``lt`` do not. NaN is in no range."""
    return field(default=default, metadata={"ge": ge, "gt": gt, "le": le, "lt": lt})


def choice(*allowed: str) -> Any:
    """A field that takes one of some words."""
    return field(default=MISSING, metadata={"allowed": allowed})


@dataclass
class DataConfig:
    """Which images, from where, and how many of them. The defaults are for callers from Python: all images."""

    name: str = choice("mnist", "auto", "digits")
    """``mnist`` is strict, ``digits`` is embedded in scikit-learn, ``auto`` is MNIST if it can be had and else digits."""
    root: str = MISSING
    """The folder that holds, or will hold, ``MNIST/raw``."""
    train_limit: int | None = number(ge=10, default=None)
    """Train on so many images, balanced over the classes; null: all."""
    test_limit: int | None = number(ge=10, default=None)
    """Evaluate on so many test images, balanced over the classes; null: all."""
    holdout: int = number(ge=0, default=0)
    """Training images that are kept out of training and evaluated instead, for model selection."""


@dataclass
class Budget:
    """What is required of a network. Null: not required."""

    parameters: int | None = number(gt=0)
    """Fewer parameters than this."""
    epochs: int | None = number(gt=0)
    """At most this number of epochs."""
    accuracy: float | None = number(ge=0, le=100)
    """Test accuracy in percent, to be reached in each of the ``last_epochs`` last epochs."""
    last_epochs: int = number(gt=0)
    """See ``accuracy``."""
    accuracy_on: str = choice("mnist", "any")
    """``mnist``: the accuracy is judged on all of MNIST's 10,000 test images only. ``any``: on any test images."""
    fully_connected: bool | None = MISSING
    """false: no fully connected (linear) layer."""
    published_parameters: int | None = number(gt=0)
    """The parameters of the published network, if it misses its authors' own budget. Only changes what is printed."""
    published_epochs: int | None = number(gt=0)
    """The epochs of the published recipe, if it misses its authors' own budget. Only changes what is printed."""
    enforce: bool = MISSING
    """true: exit code 1 if a requirement is missed or cannot be judged. ``train`` refuses at once what cannot pass."""


@dataclass
class CheckpointConfig:
    """How often the state is saved, so that a run that is killed can go on."""

    steps: int | None = number(gt=0)
    """After every so many steps, whatever it costs; null: by the clock."""
    seconds: float = number(ge=0)
    """With ``steps: null``: so many seconds after the last one, later if it would cost more than 2 % of the time."""


@dataclass
class SweepConfig:
    """How a sweep (``-m``) is carried out."""

    dir: str = MISSING
    """Its folder. Given again, only what is missing there is run."""
    workers: int | None = number(gt=0, le=1024)
    """Runs at a time; null: one per core of the CPU, or on a GPU up to four."""
    fail_fast: bool = MISSING
    """A job that fails ends the sweep; the others are stopped and can be gone on with."""
    retry_failed: bool = MISSING
    """Runs jobs again that have failed before."""


@dataclass
class Config:
    """Everything that a run depends on."""

    name: str = MISSING
    """The run's name; part of its folder's name."""
    seed: int = number(ge=0, lt=2**63)
    """All random draws (initialisation, order, augmentation, dropout) follow from it."""
    epochs: int = number(gt=0)
    """Passes over the training images."""
    batch_size: int = number(gt=0)
    """Images per training step."""
    device: str = MISSING
    """auto, cpu, cuda, cuda:N or mps."""
    precision: str = choice("auto", "fp32", "tf32", "bf16")
    """Arithmetic: float32; TF32 in convolutions and matrix products (CUDA only); or a forward pass with autocast to bfloat16."""
    backend: str = choice("auto", "torch", "kernels")
    """What computes losses and gradients: torch, or kernels in C++, which this machine's compiler builds once."""
    memory_format: str = choice("auto", "contiguous", "channels_last")
    """How torch's modules lay out maps; the kernels have a layout of their own."""
    threads: int | None = number(gt=0, le=1024)  # a process that cannot start as many is ended by its OpenMP library
    """CPU threads; null: torch's own choice."""
    init: str = choice("torch", "kaiming", "orthogonal")
    """Initial weights: PyTorch's default, He et al.'s normal, or orthogonal; the last two with zero biases."""
    label_smoothing: float = number(ge=0, lt=1)
    """As in ``torch.nn.CrossEntropyLoss``; training only."""
    l1: float = number(ge=0)
    """Weight of the sum of absolute values of all parameters in the training objective."""
    clip_grad_norm: float | None = number(gt=0)
    """``max_norm`` of ``torch.nn.utils.clip_grad_norm_``; null: off."""
    ema_decay: float | None = number(gt=0, lt=1)
    """Evaluate an exponential moving average of the weights with this decay per step; null: off."""
    eval_every: int | None = number(gt=0)
    """Evaluate every so many steps as well as at the end of each epoch; null: epochs only."""
    stop_at_accuracy: float | None = number(ge=0, le=100)
    """End the training at the first evaluation that reaches this accuracy in percent; null: off."""
    runs_dir: str = MISSING
    """Where run folders go."""
    model: dict[str, Any] = MISSING
    """``layers`` and the model's own knobs."""
    data: DataConfig = field(default_factory=DataConfig)
    """The images."""
    augment: dict[str, Any] = MISSING
    """``transforms`` and their knobs."""
    optimizer: dict[str, Any] = MISSING
    """``name`` in ``torch.optim`` and its arguments."""
    scheduler: dict[str, Any] = MISSING
    """``name`` in ``torch.optim.lr_scheduler`` and its arguments."""
    budget: Budget = field(default_factory=Budget)
    """What the network should keep to."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """When the state is saved."""
    sweep: SweepConfig = field(default_factory=SweepConfig)
    """Many runs at once."""
    resume: str | None = MISSING
    """The folder of a run to go on with; null: a new run."""
    choices: dict[str, Any] = field(default_factory=dict)
    """The file that was chosen in each group; filled in by the command line."""


@dataclass
class SummaryConfig(Config):
    """A config of the ``summary`` command."""

    format: str = choice("table", "json", "torchsummary")
    """How to print the layers."""


@dataclass
class BenchConfig(Config):
    """A config of the ``bench`` command."""

    rounds: int = number(ge=1, le=100)
    """How often each loop has its turn."""
    images: int = number(ge=1)
    """Images that are trained on, and evaluated, in a turn."""


def validate(composed: DictConfig, schema: type[Config] = Config) -> Config:
    """The composed config as a checked ``schema`` object, interpolations resolved.

    Raises:
        UserError: an unknown key, a wrong type, a number out of range, a missing value, a broken interpolation.
    """
    for group in ("model", "data", "augment", "optimizer", "scheduler", "budget"):
        value = OmegaConf.select(composed, group, throw_on_resolution_failure=False)
        if not isinstance(value, DictConfig):
            what = "a list" if isinstance(value, ListConfig) else repr(value)
            raise UserError(f"{group}: {what} is not allowed; a mapping is expected")
    try:
        plain = OmegaConf.create(OmegaConf.to_container(composed, resolve=True, throw_on_missing=True))
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), plain))
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error
    assert isinstance(config, schema)
    check_values(config, "")
    _check_keys("model", config.model, ("layers", "budget"))
    _check_keys("augment", config.augment, ("transforms",))
    for group, inner in (("model", "layers"), ("augment", "transforms")):
        value = getattr(config, group).get(inner)
        if not isinstance(value, list):
            raise UserError(f"{group}.{inner}: a list is expected, not {value!r}")
    _check_demands(config.model)
    return config


def validate_sweep(composed: DictConfig, folder: str) -> SweepConfig:
    """The node ``sweep`` as a checked object, for the sweep in ``folder``.

    Raises:
        UserError: a value that is not allowed.
    """
    try:
        plain = OmegaConf.create({**composed, "dir": folder})
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SweepConfig), plain))
    except OmegaConfBaseException as error:
        raise UserError(f"sweep.{explain(error)}") from error
    assert isinstance(config, SweepConfig)
    check_values(config, "sweep.")
    return config


def check_values(node: Any, prefix: str) -> None:
    """Checks that every field of ``node`` has a value and that the value is allowed. ``prefix`` is the key of ``node``.

    Raises:
        UserError: the first field that is missing or has a value that is not allowed.
    """
    for problem in _problems(node, prefix):
        raise UserError(problem)


def _check_keys(group: str, given: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuses a key that is almost one of the ``known`` keys. Other keys are the file's own settings, of any name."""
    for key in given:
        near = get_close_matches(str(key), known, n=1, cutoff=0.75)
        if near and key not in near:
            raise UserError(f"{group}.{key}: unknown key; did you mean {near[0]}?")


def _check_demands(model: dict[str, Any]) -> None:
    demands = model.get("budget") or {}
    if not isinstance(demands, dict):
        raise UserError(f"model.budget: {demands!r} is not allowed; a mapping is expected")
    names = [spec.name for spec in fields(Budget) if spec.name != "enforce"]
    for key in demands:
        if key not in names:
            raise UserError(f"model.budget.{key}: unknown key; {did_you_mean(str(key), names)}")


def explain(error: OmegaConfBaseException) -> str:
    """One line for an error of OmegaConf: the key, what is wrong with it, what is allowed."""
    key = error.full_key or error.key
    kind = type(error).__name__
    if kind in ("ConfigKeyError", "ConfigAttributeError") and error.parent_node is not None:
        ours = ("hydra", "choices")
        names = (
            [str(name) for name in error.parent_node if name not in ours]
            if isinstance(error.parent_node, DictConfig)
            else []
        )
        if key in RENAMED:
            return f"{key}: this key has a new name; {RENAMED[key]}"
        return f"{key}: unknown key; {did_you_mean(str(error.key), names)}"
    if kind == "MissingMandatoryValue":
        return f"{key}: missing; give it a value"
    first_line = str(error.msg or error).splitlines()[0]
    return f"{key}: {first_line}" if key else first_line


def _problems(node: Any, prefix: str) -> Iterator[str]:
    for spec in fields(node):
        key, value, rule = prefix + spec.name, getattr(node, spec.name), spec.metadata
        if is_dataclass(value):
            yield from _problems(value, key + ".")
        elif value == MISSING:
            yield f"{key}: missing; give it a value"
        elif spec.name == "runs_dir" and not value:
            yield f"{key}: empty; name a folder, . for this one"
        elif "allowed" in rule and value not in rule["allowed"]:
            yield f"{key}: {value!r} is not allowed; {did_you_mean(value, rule['allowed'])}"
        elif "ge" in rule and value is not None and not _in_range(value, rule):
            yield f"{key}: {value} is out of range; expected {_range_text(rule)}"


def _in_range(value: float, rule: Any) -> bool:
    return bool(rule["ge"] <= value <= rule["le"] and rule["gt"] < value < rule["lt"] and math.isfinite(value))


def _range_text(rule: Any) -> str:
    signs = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
    return " and ".join(f"{sign} {rule[name]:g}" for name, sign in signs if math.isfinite(rule[name]))
