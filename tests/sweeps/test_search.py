"""Searches: what may be varied, what decides, and that a study goes on where it was cut."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import random
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from mnist_lite.cli.hydra_task import Task
from mnist_lite.config.schema import Config, DataConfig
from mnist_lite.errors import UserError
from mnist_lite.sweeps.job import InvalidJob, Job, mark_failed
from mnist_lite.sweeps.run_local import finalize
from mnist_lite.sweeps.search import SAMPLER, Search, load
from mnist_lite.sweeps.search_space import space_of
from mnist_lite.sweeps.search_table import as_text, importances
from mnist_lite.sweeps.table import read
from tests.sweeps.commands import JOB, Sweep, linux, run
from tests.sweeps.folders import CONFIG, finished
from tests.sweeps.test_manifest import sweep_config

LR: dict[str, BaseDistribution] = {"lr": FloatDistribution(1e-4, 1.0, log=True)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(0.1,2)", FloatDistribution(0.1, 2.0)),
        ("tag(log,interval(0.001,0.1))", FloatDistribution(0.001, 0.1, log=True)),
        ("interval(2,9)", FloatDistribution(2.0, 9.0)),
        ("int(interval(2,9))", IntDistribution(2, 9)),
        ("tag(log,int(interval(2,9)))", IntDistribution(2, 9, log=True)),
        ("range(8,20,4)", IntDistribution(8, 16, step=4)),  # 20 is not in Python's range either
        ("range(3)", IntDistribution(0, 2)),
        ("range(0,1,0.5)", CategoricalDistribution(["0.0", "0.5"])),
        ("relu,gelu", CategoricalDistribution(["relu", "gelu"])),
        ("choice({group_norm: 2},layer_norm)", CategoricalDistribution(["{group_norm:2}", "layer_norm"])),
    ],
)
def test_words_become_distributions(text: str, expected: BaseDistribution):
    space, same = space_of(OverridesParser.create().parse_overrides(["epochs=3", f"x={text}", "y='a b'"]))
    assert space == {"x": expected}
    assert same == ["epochs=3", "y='a b'"]


def test_of_one_key_the_last_word_counts():
    words = ["x=interval(0,1)", "z=1", "x=3", "z=interval(0.0,2.0)"]
    space, same = space_of(OverridesParser.create().parse_overrides(words))
    assert (list(space), same) == (["z"], ["x=3"])


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["x=1"], "nothing to search"), (["seed=range(3)"], "choosing luck"), (["x=interval(3,1)"], "x: ")],
)
def test_what_cannot_be_searched_is_told(words: list[str], reason: str):
    with pytest.raises(UserError, match=reason):
        space_of(OverridesParser.create().parse_overrides(words))


def make_in(folder: Path, holdout: int = 10):
    def make(words: Sequence[str]) -> Job | InvalidJob:
        if any(word.startswith("lr=") and float(word[3:]) > 0.5 for word in words):
            return InvalidJob(tuple(words), "lr: too much")
        data = DataConfig(name="digits", root="", train_limit=None, test_limit=None, holdout=holdout)
        return Job(tuple(words), replace(CONFIG, data=data), folder / ",".join(words))

    return make


def finish(job: Job, holdout: float, test: float) -> None:
    """As a run does, with these accuracies in percent."""
    finished(job.folder.parent, job.folder.name, [test], holdout=holdout)


def rate(job: Job) -> float:
    return float(job.overrides[-1].partition("=")[2])


def begin(folder: Path, n_trials: int) -> Search:
    return Search(LR, ["model=era4"], make_in(folder), sweep_config(folder), n_trials, seed=1)


def test_the_held_out_images_decide_and_the_best_is_found(tmp_path: Path):
    search = begin(tmp_path, 40)
    while (job := search.next_job()) is not None:
        found = 100 - 10 * abs(math.log10(rate(job)) + 2)  # best at 0.01
        finish(job, found, 100 - found)
        search.ended(job, None)
    search.close()
    study = load(tmp_path)
    states = Counter(trial.state for trial in study.trials)
    assert sum(states.values()) == 40 and states[TrialState.FAIL] == len(search_refusals(tmp_path))
    assert study.best_value > 98  # a factor of 1.6 from the best
    rows = read(tmp_path)
    first = max(rows, key=lambda row: row.holdout_final or 0)
    assert first.holdout_final == pytest.approx(study.best_value)
    text = as_text(rows)
    assert f"the first has {100 - study.best_value:.2f} % on " in text
    words = shlex.split(text.splitlines()[-2])[1:]  # the first is this Python: a bare name only where it is active
    assert words == ["-m", "mnist_lite.train", "-m", "model=era4", f"lr={first.overrides['lr']}", "seed=range(5)"]


def search_refusals(folder: Path) -> list[str]:
    return [row.error or "" for row in read(folder) if row.status == "failed"]


def test_a_search_that_was_cut_proposes_the_same_again(tmp_path: Path):
    search = begin(tmp_path, 6)
    jobs = [search.next_job() for _ in range(3)]
    done, *cut = [job for job in jobs if job is not None]
    finish(done, 50, 50)
    search.ended(done, None)
    search.close()  # as the end of its process does
    again = begin(tmp_path, 6)
    assert (dict(again.states), again.count) == ({"complete": 1}, 5)
    assert [job.overrides for _ in range(len(cut)) if (job := again.next_job())] == [job.overrides for job in cut]
    assert (new := again.next_job()) is not None and new.overrides not in [job.overrides for job in (done, *cut)]


def test_a_trial_that_fails_is_one_of_those_asked_for(tmp_path: Path):
    search = begin(tmp_path, 2)
    for _ in range(2):
        job = search.next_job()
        assert job is not None
        mark_failed(job.folder, "it has diverged", of_machine=False)
        search.ended(job, "it has diverged")
    assert search.next_job() is None
    assert [trial.user_attrs["error"] for trial in load(tmp_path).trials] == ["it has diverged"] * 2


def test_a_trial_that_the_machine_failed_is_proposed_again(tmp_path: Path):
    """Whether the fault could be written down or not: a full disk may keep nothing."""
    search = begin(tmp_path, 3)
    jobs = [job for _ in range(3) if (job := search.next_job()) is not None]
    mark_failed(jobs[0].folder, "cannot write last.pt", of_machine=True)
    for job in jobs[:2]:
        search.ended(job, "cannot write last.pt")
    finish(jobs[2], 50, 50)
    search.ended(jobs[2], None)
    search.close()
    again = begin(tmp_path, 3)
    assert (dict(again.states), again.count) == ({"complete": 1}, 2)
    proposed = [again.next_job(), again.next_job()]
    assert [job and job.overrides for job in proposed] == [job.overrides for job in jobs[:2]]
    assert again.next_job() is None


def test_a_choice_that_is_made_already_costs_no_second_run(tmp_path: Path):
    space: dict[str, BaseDistribution] = {"x": CategoricalDistribution(["a"])}
    search = Search(space, [], make_in(tmp_path), sweep_config(tmp_path), 3, seed=0)
    job = search.next_job()
    assert job is not None
    assert search.next_job() is None  # the same is running
    finish(job, 60, 50)
    search.ended(job, None)
    search.close()
    more = Search(space, [], make_in(tmp_path), sweep_config(tmp_path), 5, seed=0)
    assert more.count == 2 and more.next_job() is None
    assert [trial.value for trial in load(tmp_path).trials] == [60, None, None, 60, 60]


def test_two_do_not_search_in_one_folder_at_once(tmp_path: Path):
    """The second would take the running trials of the first for cut ones."""
    first = begin(tmp_path, 4)
    job = first.next_job()
    assert job is not None
    with pytest.raises(UserError, match=r"sweep\.dir: another process is searching"):
        begin(tmp_path, 4)
    finish(job, 50, 50)
    first.ended(job, None)
    first.close()
    assert dict(begin(tmp_path, 4).states) == {"complete": 1}


def test_without_held_out_images_there_is_no_search(tmp_path: Path):
    with pytest.raises(UserError, match=r"data\.holdout: a search selects on held-out training images"):
        Search(LR, [], make_in(tmp_path, holdout=0), sweep_config(tmp_path), 3, seed=0)
    assert list(tmp_path.iterdir()) == []


def proposals(folder: Path) -> list[tuple[str, ...]]:
    """What 16 trials propose, three of them at a time; the first ten are random."""
    search = begin(folder, 16)
    running: list[Job] = []
    found: list[tuple[str, ...]] = []
    while True:
        job = search.next_job() if len(running) < 3 else None
        if job is not None:
            running.append(job)
        elif running:
            ended = running.pop(0)
            found.append(ended.overrides)
            finish(ended, 100 - 10 * abs(math.log10(rate(ended)) + 2), 50)
            search.ended(ended, None)
        else:
            search.close()
            return found


def test_proposals_do_not_depend_on_the_defaults_of_the_installed_optuna(tmp_path: Path, monkeypatch):
    expected = proposals(tmp_path / "a")
    init = inspect.unwrap(optuna.samplers.TPESampler.__init__)
    other = {"multivariate": False, "constant_liar": False}  # Optuna 4.2's
    assert other.keys() <= init.__kwdefaults__.keys()
    monkeypatch.setattr(init, "__kwdefaults__", {**init.__kwdefaults__, **other})
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
    assert isinstance(study.sampler, optuna.samplers.TPESampler)
    assert not study.sampler._constant_liar  # the defaults have in fact changed
    assert proposals(tmp_path / "b") == expected


def test_every_argument_of_the_sampler_is_passed_or_means_the_same_in_all_versions():
    """The values are the defaults of Optuna 4.2. In 5.0 they are None and deprecated, and None means the same values."""
    tpe = importlib.import_module("optuna.samplers._tpe.sampler")
    same = {
        "consider_prior": True,
        "prior_weight": 1.0,
        "consider_magic_clip": True,
        "consider_endpoints": False,
        "gamma": tpe.default_gamma,
        "weights": tpe.default_weights,
        "warn_independent_sampling": True,
        "constraints_func": None,
        "categorical_distance_func": None,
    }
    ours = {"seed", *SAMPLER}
    parameters = dict(inspect.signature(optuna.samplers.TPESampler).parameters)
    assert ours <= set(parameters)
    unknown = {
        name: parameter.default
        for name, parameter in parameters.items()
        if name not in ours and (name not in same or parameter.default not in (None, same[name]))
    }
    assert not unknown
    assert [tpe.default_gamma(n) for n in (1, 25, 1000)] == [1, 3, 25]


def test_the_sampler_is_built_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder):
    load(tmp_path)
    assert [str(one.message) for one in recwarn] == []


def test_importances_are_shares_of_the_variance_and_do_not_depend_on_optunas_default(monkeypatch):
    """y = a + b / 3 has variance shares of 0.9 and 0.1; c has no part in it."""
    given: list[dict[str, object]] = []

    class Recorded(optuna.importance.FanovaImportanceEvaluator):
        def __init__(self, **arguments):
            given.append(arguments)
            super().__init__(**arguments)

    space: dict[str, BaseDistribution] = {key: FloatDistribution(0, 1) for key in "abc"}
    study = optuna.create_study(direction="maximize")
    draw = random.Random(0)
    for _ in range(300):
        params = {key: draw.random() for key in space}
        value = params["a"] + params["b"] / 3
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=value))
    monkeypatch.setattr(optuna.importance, "FanovaImportanceEvaluator", Recorded)
    found = importances(study)
    assert [found[key] for key in "abc"] == pytest.approx([0.9, 0.1, 0.0], abs=0.03)
    assert importances(study) == found
    signature = inspect.signature(Recorded.__mro__[1])
    assert [set(arguments) for arguments in given] == [set(signature.parameters)] * 2


SEARCH = (
    *("-m", *JOB, "hydra/sweeper=optuna", "data.holdout=50", "checkpoint.steps=2", "hydra.sweeper.n_trials=5"),
    *("optimizer.lr=tag(log,interval(0.001,0.1))", "model.dropout=interval(0.0,0.1)"),
)


@linux
def test_a_search_is_stopped_and_gone_on_with(tmp_path: Path):
    sweep = Sweep(tmp_path, *SEARCH)
    sweep.wait_for(lambda: sweep.checkpoints() > 1)
    sweep.process.send_signal(signal.SIGTERM)
    code, text = sweep.end()
    assert code == 143, text
    begun = {path.parent.name for path in sweep.folder.glob("*/config.yaml")}
    code, text = run(tmp_path, *SEARCH)
    assert code == 0, text
    assert "Traceback" not in text and "5 trials: 5 done" in text
    done = {path.parent.name for path in sweep.folder.glob("*/summary.json")}
    assert len(done) == 5 and begun <= done
    assert (sweep.folder / "search.png").read_bytes().startswith(b"\x89PNG")
    code, again = run(tmp_path, *SEARCH)
    assert code == 0 and "5 complete, 0 to make" in again


@linux
def test_a_search_survives_the_death_of_a_worker(tmp_path: Path):
    sweep = Sweep(tmp_path, *SEARCH, "hydra.sweeper.n_trials=3")
    sweep.wait_for(lambda: sweep.checkpoints() > 1)
    os.kill(sweep.workers()[0], signal.SIGKILL)
    code, text = sweep.end()
    assert code == 0, text
    assert "3 trials: 3 done" in text
    assert len(load(sweep.folder).trials) == 3


def test_a_search_by_another_launcher_makes_its_trials_in_batches(tmp_path: Path):
    words = ("hydra/launcher=submitit_local", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2", "epochs=2")
    code, text = run(tmp_path, *SEARCH, *words)
    assert code == 0, text
    assert "3 trials: 3 done" in text


@pytest.mark.parametrize("name", ["search_rates", "search_regularisation", "search_widths"])
def test_shipped_searches_make_a_trial(name: str, tmp_path: Path):
    words = ("experiment=era4", *(word for word in JOB if not word.startswith(("model=", "augment="))))
    code, text = run(tmp_path, f"sweep={name}", *words, "data.holdout=50", "hydra.sweeper.n_trials=1", "epochs=1")
    assert code == 0, text
    assert "1 trials: 1 done" in text


def test_without_optuna_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.startswith(("optuna", "mnist_lite.sweep.s"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "optuna.distributions", None)
    task = Task(Config, lambda config: 0)
    with pytest.raises(UserError, match=r'hydra/sweeper=optuna: .*; in the checkout: pip install -e "\.\[search\]"'):
        task.search(None, OmegaConf.create(), [], 1, 0)  # type: ignore[arg-type]


def test_bad_input_is_one_line_and_leaves_nothing(tmp_path: Path):
    for words, reason in (
        (("hydra/sweeper=optuna", "seed=1"), "nothing to search"),
        (
            ("hydra/sweeper=optuna", "optimizer.lr=interval(0.1,0.2)", "data.holdout=0"),
            "data.holdout: a search selects",
        ),
        (("hydra/sweeper=optuna", "optimizer.lr=interval(0.1,0.2)", "epochs=-1"), "epochs: -1 is out of range"),
        (("hydra/sweeper=optuna", "optimizer.lrr=interval(0.1,0.2)"), "lrr"),
        (
            ("hydra/sweeper=optuna", "optimizer.lr=interval(0.1,0.2)", "hydra.sweeper.n_trials=abc"),
            "n_trials: abc is out",
        ),
        (
            ("hydra/sweeper=optuna", "optimizer.lr=interval(0.1,0.2)", "hydra.sweeper.n_trials=0"),
            "n_trials: 0 is out of",
        ),
        (
            ("hydra/sweeper=optuna", "optimizer.lr=interval(0.1,0.2)", "hydra.sweeper.seed=-1"),
            "sweeper.seed: -1 is out",
        ),
        (("optimizer.lrr=1,2",), "lrr"),
        (("resume=runs/x", "seed=1,2"), "resume: goes on with one run"),
        (("sweep.workers=abc",), "sweep.workers: Value 'abc'"),
        (("sweep.workers=1,2",), "sweep.workers: one value for the whole sweep"),
        (("hydra/launcher=nowhere",), "nowhere"),
        (("sweep.workers=0",), "sweep.workers: 0 is out of range"),
    ):
        code, text = run(tmp_path, "-m", *JOB, *words)
        assert code == 2 and reason in text and len(text.strip().splitlines()) == 1, text
        assert list(tmp_path.iterdir()) == []


def test_a_study_with_half_a_line_is_gone_on_with_and_one_that_is_none_is_told(tmp_path: Path):
    search = begin(tmp_path, 4)
    jobs = [search.next_job() for _ in range(2)]
    for job in jobs:
        assert job is not None
        finish(job, 50, 50)
        search.ended(job, None)
    search.close()
    content = (tmp_path / "study.log").read_bytes()
    (tmp_path / "study.log").write_bytes(content[:-20])
    again = begin(tmp_path, 4)
    assert again.count in (2, 3) and again.next_job() is not None
    again.close()
    assert len(load(tmp_path).trials) >= 3
    (tmp_path / "study.log").write_bytes(b"\xff\x00garbage\nmore\n")
    with pytest.raises(UserError, match=r"study\.log is not the file of a study"):
        begin(tmp_path, 4)


def test_a_study_gone_on_with_over_other_keys_has_its_picture(tmp_path: Path):
    for key in ("lr", "momentum"):
        space: dict[str, BaseDistribution] = {key: FloatDistribution(0.1, 0.4)}
        search = Search(space, [], make_in(tmp_path), sweep_config(tmp_path), 5 if key == "lr" else 10, seed=0)
        while (job := search.next_job()) is not None:
            finish(job, 50 + rate(job), 50)
            search.ended(job, None)
        search.close()
    finalize(tmp_path)
    assert (tmp_path / "search.png").is_file()
