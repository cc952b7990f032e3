"""Every file of ``conf/`` composes, passes the schema and builds, and its comments are true."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from inspect import getsource

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from mnist_lite.config import schema
from mnist_lite.config.compose import config_dir
from mnist_lite.config.hydra_versions import VERSION_BASE
from mnist_lite.config.schema import Config, SummaryConfig, validate
from mnist_lite.data.augment import pipeline
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from mnist_lite.training import schedule, trial
from mnist_lite.training.optimizer import build_optimizer
from tests.published import ALIASES, NOTATION

GROUPS = ("model", "data", "augment", "optimizer", "scheduler", "experiment")
FILES = [(group, path.stem) for group in GROUPS for path in sorted((config_dir() / group).glob("*.yaml"))]


def raw(*overrides: str, name: str = "config") -> DictConfig:
    with initialize_config_dir(str(config_dir()), **VERSION_BASE):
        config = compose(name, list(overrides))
    with open_dict(config):
        config.name = config.name or "test"
    return config


@pytest.mark.parametrize(("group", "name"), FILES)
def test_file_composes_and_builds(group, name, composed):
    config = composed(f"{group}={name}")
    network = build(config.model, config.init)
    pipeline.build(config.augment)
    optimizer = build_optimizer(config.optimizer, network.module)
    trial.rehearse(config.scheduler, optimizer, config.epochs, 10, config.data.holdout > 0)


def test_every_published_model_has_its_file_and_recipe():
    assert {name for group, name in FILES if group == "model"} >= {*NOTATION, *ALIASES}
    assert {name for group, name in FILES if group == "experiment"} >= set(NOTATION)


@pytest.mark.parametrize("name", NOTATION)
def test_recipe_is_a_lab_note_about_its_model(name, composed):
    text = (config_dir() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    for heading in ("Source:", "Published:", "Open:", "Measured:", "Time:", "Command:"):
        assert f"# {heading}" in text, heading
    assert f"experiment={name}" in text
    config = composed(f"experiment={name}")
    assert config.model == composed(f"model={name}").model
    assert config.data.name == "mnist"


PUBLISHED_RECIPES: dict[str, dict[str, object]] = {
    "genesis": {"epochs": 30, "optimizer.lr": 0.01},
    "salvation": {
        "epochs": 15,
        "optimizer.lr": 0.02,
        "scheduler.step_size": 6,
        "scheduler.gamma": 0.5,
        "scheduler.interval": "epoch",
        "budget.parameters": 10_000,
        "budget.epochs": 15,
    },
    "era1": {"epochs": 16, "batch_size": 128, "optimizer.name": "SGD", "optimizer.lr": 0.01, "optimizer.momentum": 0.9},
    "era2": {"epochs": 16, "batch_size": 128, "optimizer.name": "SGD", "optimizer.lr": 0.01, "optimizer.momentum": 0.9},
    "era3": {"epochs": 16, "batch_size": 128, "optimizer.lr": 0.01, "augment.transforms": []},
    "era4": {
        "epochs": 16,
        "batch_size": 128,
        "optimizer.name": "SGD",
        "optimizer.lr": 0.01,
        "optimizer.momentum": 0.9,
        "scheduler.name": "StepLR",
        "scheduler.step_size": 8,
        "scheduler.gamma": 0.1,
        "augment.transforms": [{"rotate": 6}],
        "budget.parameters": 8_000,
        "budget.accuracy": 99.4,
    },
    "eva5": {
        "epochs": 19,
        "batch_size": 64,
        "optimizer.lr": 0.1,
        "optimizer.momentum": 0.9,
        "augment.transforms": [],
        "stop_at_accuracy": 99.41,
        "budget.parameters": 20_000,
        "budget.fully_connected": False,
    },
}


@pytest.mark.parametrize("name", PUBLISHED_RECIPES)
def test_recipe_is_the_published_one(name):
    config = raw(f"experiment={name}")
    OmegaConf.resolve(config)
    assert {key: OmegaConf.select(config, key) for key in PUBLISHED_RECIPES[name]} == PUBLISHED_RECIPES[name]


@pytest.mark.parametrize(
    "change", ["optimizer=adamw", "scheduler=onecycle", "augment=none", "model=step3", "data=digits"]
)
@pytest.mark.parametrize("name", NOTATION)
def test_a_recipe_can_be_changed_in_one_place(name, change, composed):
    config = composed(f"experiment={name}", change)
    optimizer = build_optimizer(config.optimizer, torch.nn.Linear(1, 1))
    schedule.build_schedule(config.scheduler, optimizer, config.epochs, 10, False)
    pipeline.build(config.augment)


def test_recipes_keep_their_authors_initialisation_of_batch_norm_networks(composed):
    for name in ("era1", "era2", "era3", "era4", "eva5", "salvation", "genesis"):
        config = composed(f"experiment={name}")
        assert config.init == "torch" and config.optimizer["weight_decay"] == 0


def test_no_file_can_run_code():
    """``_target_`` names only our launcher and sweepers. Hydra finds them in no other way, and accepts only plugins there."""
    plugins = {"launcher/local": "LocalLauncher", "sweeper/grid": "GridSweeper", "sweeper/optuna": "OptunaSweeper"}
    expected = {
        config_dir() / "hydra" / f"{file}.yaml": [f"_target_: hydra_plugins.mnist_lite_sweeps.{name}"]
        for file, name in plugins.items()
    }
    for path in config_dir().rglob("*.yaml"):
        targets = [line for line in path.read_text(encoding="utf-8").splitlines() if "_target_" in line]
        assert targets == expected.get(path, []), path


def test_every_file_has_a_comment_at_its_top():
    for path in config_dir().rglob("*.yaml"):
        if "hydra" not in path.parts:
            assert "#" in path.read_text(encoding="utf-8").split("\n\n")[0], path


FILES_IN_HELP = [
    (group, path.stem) for group in (*GROUPS, "sweep") for path in sorted((config_dir() / group).glob("*.yaml"))
]


@pytest.mark.parametrize(("group", "name"), FILES_IN_HELP)
def test_the_first_comment_line_of_a_file_fits_the_help_and_is_true(group, name, composed):
    """The help prints this line. Its numbers of parameters and epochs are those of the file."""
    text = (config_dir() / group / f"{name}.yaml").read_text(encoding="utf-8").removeprefix("# @package _global_\n")
    line = text.splitlines()[0]
    assert re.fullmatch(r"# [A-Za-z0-9].{9,69}", line), line
    parameters, epochs = (re.search(rf"([\d,]+) {unit}", line) for unit in ("parameters", "epochs"))
    if parameters and "below" not in line:
        network = build(composed(f"{group}={name}").model)
        assert int(parameters[1].replace(",", "")) == network.parameters
    if epochs and group == "experiment":
        assert int(epochs[1]) == composed(f"{group}={name}").epochs


COUNTS = {"three": 3, "five": 5, "six": 6, "seven": 7, "ten": 10}


@pytest.mark.parametrize(
    ("name", "noun", "key"),
    [
        ("lr", "rates", "optimizer.lr"),
        ("lr", "seeds", "seed"),
        ("ladder", "seeds", "seed"),
        ("norms", "seeds", "seed"),
        ("seeds", "seeds", "seed"),
    ],
)
def test_the_comment_of_a_sweep_file_has_the_right_numbers(name, noun, key):
    text = (config_dir() / "sweep" / f"{name}.yaml").read_text(encoding="utf-8")
    numbers = {COUNTS[word] for word in re.findall(rf"(\w+) {noun}", text.lower()) if word in COUNTS}
    values = str(yaml.safe_load(text)["hydra"]["sweeper"]["params"][key])
    span = re.fullmatch(r"range\((\d+)\)", values)
    assert numbers == {int(span[1]) if span else len(values.split(","))}


def test_every_field_of_the_schema_has_a_docstring():
    source = getsource(schema)
    for cls in vars(schema).values():
        if isinstance(cls, type) and is_dataclass(cls):
            for spec in fields(cls):
                assert re.search(rf'^    {spec.name}: .*\n    """', source, re.MULTILINE), f"{cls.__name__}.{spec.name}"


def test_config_yaml_states_every_key_of_the_schema():
    in_file = yaml.safe_load((config_dir() / "config.yaml").read_text(encoding="utf-8"))
    plain = {spec.name for spec in fields(Config)} - {"choices", "model", "data", "augment", "optimizer", "scheduler"}
    assert plain == set(in_file) - {"defaults", "hydra"}


def test_summary_takes_what_train_takes():
    config = validate(raw("experiment=era4", "format=json", name="summary"), SummaryConfig)
    assert isinstance(config, SummaryConfig) and config.format == "json" and config.epochs == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "abc"}, "epochs: 'abc' is not allowed; expected a whole number"),
        ({"epochs": 1.5}, "epochs"),
        ({"epochs": 0}, "epochs: 0 is out of range; expected > 0"),
        ({"epochs": True}, "epochs"),
        ({"epochs": None}, "epochs"),
        ({"epochs": "???"}, "epochs: missing"),
        ({"batch_size": -1}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"label_smoothing": 1}, "expected >= 0 and < 1"),
        ({"label_smoothing": "nan"}, "label_smoothing"),
        ({"l1": float("inf")}, "l1"),
        ({"clip_grad_norm": 0}, "clip_grad_norm"),
        ({"ema_decay": 1}, "ema_decay"),
        ({"precision": "fp3"}, "did you mean fp32?"),
        ({"init": "kaming"}, "did you mean kaiming?"),
        ({"epoch": 3}, "epoch: unknown key; did you mean epochs?"),
        ({"data.holdot": 3}, "data.holdot: unknown key; did you mean holdout?"),
        ({"data.name": "mnst"}, "data.name: 'mnst' is not allowed; did you mean mnist?"),
        ({"data.train_limit": 9}, "data.train_limit"),
        ({"budget.acuracy": 3}, "did you mean accuracy?"),
        ({"budget.accuracy": 101}, "budget.accuracy"),
        ({"budget": 3}, "budget: 3 is not allowed; a mapping is expected"),
        ({"runs_dir": ""}, "runs_dir: empty"),
        ({"name": ""}, "name: empty"),
        ({"model.budgte": {"parameters": 3}}, "did you mean budget?"),
        ({"model.budget": {"paramters": 3}}, "did you mean parameters?"),
        ({"model": ["conv"]}, "model: a list is not allowed; a mapping is expected"),
        ({"data": None}, "data: null is not allowed; a mapping is expected"),
        ({"model.layers": "relu"}, "model.layers"),
        ({"model": "step3"}, "model"),
        ({"model.width": "${model.wdth}"}, "wdth"),
        ({"model": {"layer": ["relu"]}}, "model.layer: unknown key; did you mean layers?"),
        ({"augment": {"transform": ["crop"]}}, "augment.transform: unknown key; did you mean transforms?"),
        ({"augment.transfroms": []}, "augment.transfroms: unknown key; did you mean transforms?"),
        ({"augment.transforms": None}, "augment.transforms"),
        ({"optimizer": None}, "optimizer"),
        ({"name": ["a"]}, "name"),
    ],
)
def test_bad_values_are_one_line(changes, message):
    config = raw()
    OmegaConf.set_struct(config, False)
    for key, value in changes.items():
        OmegaConf.update(config, key, value, merge=False)
    with pytest.raises(UserError) as caught:
        validate(config, Config)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
