"""The schema of a config: typed dataclasses, with the meaning and the range of every field.

The defaults are in ``conf/``, where users read and change them. ``validate`` turns what Hydra composed into a ``Config``, or
raises one ``UserError``. It does not check the free-form parts: layers, augmentations, arguments of optimizers and schedulers.
``signature.bind`` checks those against the signatures of their functions, where the functions are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_lite.errors import UserError, did_you_mean

T = TypeVar("T")


def number(
    ge: float = -math.inf, gt: float = -math.inf, le: float = math.inf, lt: float = math.inf, default: Any = MISSING
) -> Any:
    """A field for a finite number in a range: ``ge`` and ``le`` are in the range, ``gt`` and ``lt`` are not."""
    return field(default=default, metadata={"ge": ge, "gt": gt, "le": le, "lt": lt})


def choice(*allowed: str) -> Any:
    """A field for one of the ``allowed`` words."""
    return field(default=MISSING, metadata={"allowed": allowed})


@dataclass
class DataConfig:
    """Which images to use, and how many. The defaults are for callers from Python: all images."""

    name: str = choice("mnist", "auto", "digits")
    """``mnist``; ``digits``, which is part of scikit-learn; or ``auto``: MNIST if it can be read or downloaded, else digits."""
    root: str = MISSING
    """The folder that has ``MNIST/raw``, or gets it by the download."""
    train_limit: int | None = number(ge=10, default=None)
    """The number of training images, balanced over the classes; null: all."""
    test_limit: int | None = number(ge=10, default=None)
    """The number of test images, balanced over the classes; null: all."""
    holdout: int = number(ge=0, default=0)
    """The number of training images that are held out of training. The model is selected on them."""


@dataclass
class Budget:
    """The requirements on a network. Null: not required."""

    parameters: int | None = number(gt=0)
    """The network must have fewer parameters than this."""
    epochs: int | None = number(gt=0)
    """The run must have at most this number of epochs."""
    accuracy: float | None = number(ge=0, le=100)
    """The least test accuracy in percent, in each of the last ``last_epochs`` epochs."""
    last_epochs: int = number(gt=0)
    """See ``accuracy``."""
    accuracy_on: str = choice("mnist", "any")
    """``mnist``: the accuracy is judged on all 10,000 test images of MNIST only. ``any``: it is judged on any test images."""
    fully_connected: bool | None = MISSING
    """false: the network must have no fully connected (linear) layer."""
    published_parameters: int | None = number(gt=0)
    """The parameters of a published network that misses its authors' own budget. Changes only what is printed."""
    published_epochs: int | None = number(gt=0)
    """The epochs of a published recipe that misses its authors' own budget. Changes only what is printed."""
    enforce: bool = MISSING
    """true: the exit code is 1 if a requirement is missed or cannot be judged. ``train`` starts no run that cannot pass."""


@dataclass
class CheckpointConfig:
    """How often the state of a run is saved for ``resume``."""

    steps: int | None = number(gt=0)
    """The number of steps between two checkpoints; null: ``seconds`` decides."""
    seconds: float = number(ge=0)
    """With ``steps: null``, the seconds between two checkpoints. The time is longer if checkpoints would take more than 2 %."""


@dataclass
class SweepConfig:
    """How a sweep (``-m``) runs its jobs."""

    dir: str = MISSING
    """The folder of the sweep. A second start with the same folder runs only the jobs that are not done."""
    workers: int | None = number(gt=0, le=1024)
    """The number of runs at a time; null: one per core of the CPU, or up to four on a GPU."""
    fail_fast: bool = MISSING
    """true: the sweep stops after the first failed job. The other jobs are saved and can be resumed."""
    retry_failed: bool = MISSING
    """true: jobs that failed before are run again."""


@dataclass
class SearchConfig:
    """The settings of Optuna's sweeper, ``hydra.sweeper``."""

    n_trials: int = number(ge=1)
    """The number of trials of the whole search, over all starts."""
    n_jobs: int = number(ge=1)
    """The number of trials in a batch, for launchers other than ``local``."""
    seed: int = number(ge=0, lt=2**31)
    """The seed of Optuna's sampler. The runs have the seed of the config."""


@dataclass
class Config:
    """Everything that a run depends on."""

    name: str = MISSING
    """The name of the run, part of the name of its folder."""
    seed: int = number(ge=0, lt=2**63)
    """The seed of all random draws: initial weights, order of the images, augmentation, dropout."""
    epochs: int = number(gt=0)
    """The number of passes over the training images."""
    batch_size: int = number(gt=0)
    """Images per training step."""
    device: str = MISSING
    """auto, cpu, cuda, cuda:N or mps."""
    precision: str = choice("auto", "fp32", "tf32", "bf16")
    """float32; TF32 in convolutions and matrix products (CUDA only); or products in bfloat16."""
    backend: str = choice("auto", "torch", "kernels")
    """What computes losses and gradients: torch, or C++ kernels, which the compiler of this machine builds once."""
    memory_format: str = choice("auto", "contiguous", "channels_last")
    """The layout of images and feature maps in torch. The kernels have their own layout."""
    threads: int | None = number(gt=0, le=1024)  # OpenMP ends a process that cannot start all its threads
    """CPU threads; null: torch's own choice."""
    init: str = choice("torch", "kaiming", "orthogonal")
    """Initial weights: PyTorch's default, He et al.'s normal, or orthogonal. Biases are zero with the last two."""
    label_smoothing: float = number(ge=0, lt=1)
    """As in ``torch.nn.CrossEntropyLoss``, in training only."""
    l1: float = number(ge=0)
    """The weight of the sum of absolute values of all parameters in the training loss."""
    clip_grad_norm: float | None = number(gt=0)
    """``max_norm`` of ``torch.nn.utils.clip_grad_norm_``; null: off."""
    ema_decay: float | None = number(gt=0, lt=1)
    """The decay per step of an exponential moving average of the weights, which is then evaluated; null: off."""
    eval_every: int | None = number(gt=0)
    """The number of steps between two evaluations; null: only at the end of each epoch."""
    stop_at_accuracy: float | None = number(ge=0, le=100)
    """The accuracy in percent that ends the training at the first evaluation that reaches it; null: off."""
    runs_dir: str = MISSING
    """The folder of the run folders."""
    model: dict[str, Any] = MISSING
    """``layers``, and the model's own settings, such as ``width``."""
    data: DataConfig = field(default_factory=DataConfig)
    """The images."""
    augment: dict[str, Any] = MISSING
    """``transforms``, and their settings."""
    optimizer: dict[str, Any] = MISSING
    """``name`` in ``torch.optim``, and its arguments."""
    scheduler: dict[str, Any] = MISSING
    """``name`` in ``torch.optim.lr_scheduler``, and its arguments."""
    budget: Budget = field(default_factory=Budget)
    """The requirements on the network."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """When the state is saved."""
    sweep: SweepConfig = field(default_factory=SweepConfig)
    """Settings of a sweep."""
    tensorboard: bool = False
    """true: the run folder also gets event files for TensorBoard. The default is for run folders of older versions."""
    resume: str | None = MISSING
    """The folder of a run to continue; null: a new run."""
    choices: dict[str, Any] = field(default_factory=dict)
    """The file that was chosen in each group. ``compose.complete`` fills it in."""


@dataclass
class SummaryConfig(Config):
    """A config of the ``summary`` command."""

    format: str = choice("table", "json", "torchsummary")
    """How to print the layers."""
    picture: str | None = MISSING
    """The PNG file of the receptive fields; null: none."""


@dataclass
class BenchConfig(Config):
    """A config of the ``bench`` command."""

    rounds: int = number(ge=1, le=100)
    """The number of times that each loop is measured."""
    images: int = number(ge=1)
    """The number of images that a loop trains on, and evaluates, in a round."""
    peers: Any = MISSING
    """Which other loops are measured, too: none, all, or a list of names."""


@dataclass
class PreviewConfig(Config):
    """A config of the ``preview`` command."""

    image: int = number(ge=0)
    """The number of the training image that is shown with augmentation. The first is 0."""
    picture: str | None = MISSING
    """The PNG file; null: none."""


@dataclass
class LrFindConfig(Config):
    """A config of the ``lr_find`` command."""

    lr_min: float = number(gt=0)
    """The first learning rate of the range test."""
    lr_max: float = number(gt=0)
    """The last learning rate."""
    steps: int = number(ge=50, le=100_000)
    """The number of training steps."""
    output: str = MISSING
    """The folder of the picture and the JSON file."""


C = TypeVar("C", bound=Config)


def validate(composed: DictConfig, schema: type[C]) -> C:
    """The composed config as a checked ``schema`` object, with all interpolations resolved.

    Raises:
        UserError: an unknown key, a wrong type, a number out of range, a missing value, a broken interpolation.
    """
    for group in ("model", "data", "augment", "optimizer", "scheduler", "budget"):
        value = OmegaConf.select(composed, group, throw_on_resolution_failure=False)
        if not isinstance(value, DictConfig):
            kind = "a list" if isinstance(value, ListConfig) else "null" if value is None else repr(value)
            raise UserError(f"{group}: {kind} is not allowed; a mapping is expected")
    try:
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        from mnist_lite.config.error_messages import explain  # imports Hydra

        raise UserError(explain(error)) from error
    config = validate_node(values, schema)
    _check_group("model", config.model, "layers", ("budget",))
    _check_group("augment", config.augment, "transforms")
    _check_model_budget(config.model.get("budget") or {})
    return config


def validate_node(values: Any, schema: type[T], prefix: str = "") -> T:
    """The mapping ``values`` as a checked ``schema`` object. ``prefix`` is the key of the node with its dot.

    Raises:
        UserError: the first value that is not allowed.
    """
    try:
        node = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))
    except OmegaConfBaseException as error:
        from mnist_lite.config.error_messages import explain  # imports Hydra

        raise UserError(prefix + explain(error)) from error
    assert isinstance(node, schema)
    check_values(node, prefix)
    return node


def check_values(node: Any, prefix: str) -> None:
    """Checks that every field of ``node`` has a value and that the value is allowed. ``prefix`` is the key of ``node``.

    Raises:
        UserError: the first field that has no value, or a value that is not allowed.
    """
    for spec in fields(node):
        key, value, rule = prefix + spec.name, getattr(node, spec.name), spec.metadata
        if is_dataclass(value):
            check_values(value, key + ".")
        elif value == MISSING:
            raise UserError(f"{key}: missing; give it a value")
        elif key == "runs_dir" and not value:
            raise UserError(f"{key}: empty; name a folder, . for this one")
        elif key == "name" and not value:
            raise UserError(f"{key}: empty; leave it out for the name of the model")
        elif "allowed" in rule and value not in rule["allowed"]:
            raise UserError(f"{key}: {value!r} is not allowed; {did_you_mean(value, rule['allowed'])}")
        elif "ge" in rule and value is not None and not _in_range(value, rule):
            raise UserError(f"{key}: {value} is out of range; expected {_describe_range(rule)}")


def _check_group(group: str, values: dict[str, Any], entries: str, others: tuple[str, ...] = ()) -> None:
    """Checks a group with free keys: ``entries`` must be a list, and no key may be a misspelt name of a known key."""
    known = (entries, *others)
    for key in values:
        near = get_close_matches(str(key), known, n=1, cutoff=0.75)
        if near and key not in known:
            raise UserError(f"{group}.{key}: unknown key; did you mean {near[0]}?")
    if not isinstance(values.get(entries), list):
        raise UserError(f"{group}.{entries}: a list is expected, not {values.get(entries)!r}")


def _check_model_budget(budget: Any) -> None:
    """Checks the keys of ``model.budget``. Their values are checked as the defaults of ``budget``."""
    if not isinstance(budget, dict):
        raise UserError(f"model.budget: {budget!r} is not allowed; a mapping is expected")
    names = [spec.name for spec in fields(Budget) if spec.name != "enforce"]
    for key in budget:
        if key not in names:
            raise UserError(f"model.budget.{key}: unknown key; {did_you_mean(str(key), names)}")


def _in_range(value: float, rule: Mapping[str, Any]) -> bool:
    return bool(rule["ge"] <= value <= rule["le"] and rule["gt"] < value < rule["lt"] and math.isfinite(value))


def _describe_range(rule: Mapping[str, Any]) -> str:
    signs = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
    return " and ".join(f"{sign} {rule[name]:g}" for name, sign in signs if math.isfinite(rule[name]))
