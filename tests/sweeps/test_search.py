"""Searches: the search space, the proposals, and resuming a study."""

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
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from mnist_lite.config.schema import DataConfig, SearchConfig
from mnist_lite.errors import UserError
from mnist_lite.sweeps.finalize import finalize
from mnist_lite.sweeps.job import InvalidJob, Job, Overrides
from mnist_lite.sweeps.job_status import mark_failed
from mnist_lite.sweeps.results import read_results
from mnist_lite.sweeps.search import SAMPLER, Search
from mnist_lite.sweeps.search_plots import importances
from mnist_lite.sweeps.search_space import Space, parse_space
from mnist_lite.sweeps.search_table import as_text
from mnist_lite.sweeps.study import load_study, open_study
from mnist_lite.sweeps.sweep import Sweep as SweepOfJobs
from tests.sweeps.commands import JOB, Sweep, linux, run
from tests.sweeps.fake_sweep import CONFIG, sweep_config, write_run
from tests.sweeps.inline import RunInline

LR: Space = {"lr": FloatDistribution(1e-4, 1.0, log=True)}


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
def test_overrides_become_distributions(text: str, expected: BaseDistribution):
    space, shared = parse_space(OverridesParser.create().parse_overrides(["epochs=3", f"x={text}", "y='a b'"]))
    assert space == {"x": expected}
    assert shared == ["epochs=3", "y='a b'"]


def test_the_last_override_of_a_key_counts():
    overrides = ["x=interval(0,1)", "z=1", "x=3", "z=interval(0.0,2.0)"]
    space, shared = parse_space(OverridesParser.create().parse_overrides(overrides))
    assert (list(space), shared) == (["z"], ["x=3"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [(["x=1"], "nothing to search"), (["seed=range(3)"], "would be chance"), (["x=interval(3,1)"], "x: ")],
)
def test_an_invalid_search_space_is_one_line(overrides: list[str], message: str):
    with pytest.raises(UserError, match=message):
        parse_space(OverridesParser.create().parse_overrides(overrides))


def maker(folder: Path, holdout: int = 10) -> Callable[[Overrides], Job | InvalidJob]:
    """Makes jobs with held-out images. A rate above 0.5 is invalid."""

    def make(overrides: Overrides) -> Job | InvalidJob:
        if any(each.startswith("lr=") and float(each[3:]) > 0.5 for each in overrides):
            return InvalidJob(overrides, "lr: out of range")
        data = DataConfig(name="digits", root="", train_limit=None, test_limit=None, holdout=holdout)
        return Job(overrides, replace(CONFIG, data=data), folder / ",".join(overrides))

    return make


def finish(search: Search, job: Job, holdout: float, test: float = 50.0) -> None:
    """Ends the run with these accuracies in percent."""
    write_run(job.folder.parent, job.folder.name, [test], holdout=holdout)
    search.job_ended(job, None)


def rate(job: Job) -> float:
    return float(job.overrides[-1].partition("=")[2])


def distance(job: Job) -> float:
    """The distance of the rate from the best rate, 0.01, in powers of ten."""
    return abs(math.log10(rate(job)) + 2)


def open_search(folder: Path, n_trials: int) -> Search:
    return Search(LR, ["model=era4"], maker(folder), sweep_config(folder), n_trials, seed=1)


def test_held_out_images_decide_and_the_best_trial_is_found(tmp_path: Path):
    search = open_search(tmp_path, 40)
    for job in search.jobs():
        accuracy = max(0.0, 100 - 10 * distance(job))
        finish(search, job, accuracy, test=100 - accuracy)
    search.close()
    study = load_study(tmp_path)
    states = Counter(trial.state for trial in study.trials)
    assert sum(states.values()) == 40 and states[TrialState.FAIL] == len(search.invalid_jobs)
    assert study.best_value > 98  # a factor of 1.6 from the best rate
    rows = read_results(tmp_path)
    assert sum(row.status == "failed" for row in rows) == len(search.invalid_jobs)
    first = max(rows, key=lambda row: row.holdout_final or 0)
    assert first.holdout_final == pytest.approx(study.best_value)
    text = as_text(rows)
    assert f"the first has {100 - study.best_value:.2f} % on " in text
    [line] = [line for line in text.splitlines() if "mnist_lite.train" in line]
    command = shlex.split(line)[1:]  # without the name of the Python
    assert command == ["-m", "mnist_lite.train", "-m", "model=era4", f"lr={first.overrides['lr']}", "seed=range(5)"]


def test_an_interrupted_search_proposes_the_interrupted_trials_again(tmp_path: Path):
    search = open_search(tmp_path, 6)
    done, *interrupted = islice(search.jobs(), 3)
    finish(search, done, 50)
    search.close()  # as the end of the process does
    again = open_search(tmp_path, 6)
    assert (dict(again.states), again.count) == ({"done": 1}, 5)
    first, second, new = (job.overrides for job in islice(again.jobs(), 3))
    assert [first, second] == [job.overrides for job in interrupted]
    assert new not in [done.overrides, first, second]


def test_a_failed_trial_counts(tmp_path: Path):
    search = open_search(tmp_path, 2)
    jobs = list(islice(search.jobs(), 2))
    for job in jobs:
        mark_failed(job.folder, "it has diverged", of_machine=False)
        search.job_ended(job, "it has diverged")
    assert list(search.jobs()) == []
    assert [trial.user_attrs["error"] for trial in load_study(tmp_path).trials] == ["it has diverged"] * 2


def test_a_trial_that_the_machine_failed_is_proposed_again(tmp_path: Path):
    """Also if no file says so: a full disk may have no room for it."""
    search = open_search(tmp_path, 3)
    jobs = list(islice(search.jobs(), 3))
    mark_failed(jobs[0].folder, "cannot write last.pt", of_machine=True)
    for job in jobs[:2]:
        search.job_ended(job, "cannot write last.pt")
    finish(search, jobs[2], 50)
    search.close()
    again = open_search(tmp_path, 3)
    assert (dict(again.states), again.count) == ({"done": 1}, 2)
    assert [job.overrides for job in again.jobs()] == [job.overrides for job in jobs[:2]]


def test_a_proposal_that_has_run_before_does_not_run_again(tmp_path: Path):
    space: Space = {"x": CategoricalDistribution(["a"])}
    search = Search(space, [], maker(tmp_path), sweep_config(tmp_path), 3, seed=0)
    jobs = search.jobs()
    job = next(jobs)
    assert list(jobs) == []  # the same job is running
    finish(search, job, 60)
    search.close()
    more = Search(space, [], maker(tmp_path), sweep_config(tmp_path), 5, seed=0)
    assert more.count == 2 and list(more.jobs()) == []
    assert [trial.value for trial in load_study(tmp_path).trials] == [60, None, None, 60, 60]


def test_two_searches_in_one_folder_at_the_same_time_are_refused(tmp_path: Path):
    """The second search would take the running trials of the first for interrupted ones."""
    first = open_search(tmp_path, 4)
    job = next(first.jobs())
    with pytest.raises(UserError, match=r"sweep\.dir: another process is searching"):
        open_search(tmp_path, 4)
    finish(first, job, 50)
    first.close()
    assert dict(open_search(tmp_path, 4).states) == {"done": 1}


def test_a_study_does_not_mix_data_sets(tmp_path: Path):
    open_search(tmp_path, 4).close()
    open_study(tmp_path).set_user_attr("data", "mnist")
    with pytest.raises(UserError, match=r"sweep\.dir: the search in .* uses mnist, not digits"):
        open_search(tmp_path, 4)


def test_without_held_out_images_there_is_no_search(tmp_path: Path):
    with pytest.raises(UserError, match=r"data\.holdout: a search selects on held-out training images"):
        Search(LR, [], maker(tmp_path, holdout=0), sweep_config(tmp_path), 3, seed=0)
    assert list(tmp_path.iterdir()) == []


def proposals(folder: Path) -> list[Overrides]:
    """The proposals of 16 trials, three of them at a time. The first ten are random."""
    search = open_search(folder, 16)
    jobs = search.jobs()
    running = list(islice(jobs, 3))
    proposed = [job.overrides for job in running]
    while running:
        job = running.pop(0)
        finish(search, job, 100 - 10 * distance(job))
        started = list(islice(jobs, 1))
        running += started
        proposed += [job.overrides for job in started]
    search.close()
    return proposed


def test_proposals_do_not_depend_on_the_defaults_of_the_installed_optuna(tmp_path: Path, monkeypatch):
    expected = proposals(tmp_path / "a")
    init = inspect.unwrap(optuna.samplers.TPESampler.__init__)
    other = {"multivariate": False, "constant_liar": False}  # Optuna 4.2's
    assert other.keys() <= init.__kwdefaults__.keys()
    monkeypatch.setattr(init, "__kwdefaults__", {**init.__kwdefaults__, **other})
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
    assert isinstance(study.sampler, optuna.samplers.TPESampler)
    assert not study.sampler._constant_liar  # the defaults have changed
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
    passed = {"seed", *SAMPLER}
    parameters = dict(inspect.signature(optuna.samplers.TPESampler).parameters)
    assert passed <= set(parameters)
    unknown = {
        name: parameter.default
        for name, parameter in parameters.items()
        if name not in passed and (name not in same or parameter.default not in (None, same[name]))
    }
    assert not unknown
    assert [tpe.default_gamma(n) for n in (1, 25, 1000)] == [1, 3, 25]


def test_the_sampler_is_built_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder):
    open_search(tmp_path, 4).close()
    assert [str(one.message) for one in recwarn] == []


def test_importances_are_shares_of_the_variance_and_do_not_depend_on_optunas_default(monkeypatch):
    """y = a + b / 3 has variance shares of 0.9 and 0.1. c has no influence."""
    given: list[dict[str, object]] = []

    class Recorded(optuna.importance.FanovaImportanceEvaluator):
        def __init__(self, **arguments):
            given.append(arguments)
            super().__init__(**arguments)

    space: Space = {key: FloatDistribution(0, 1) for key in "abc"}
    study = optuna.create_study(direction="maximize")
    draw = random.Random(0)
    for _ in range(100):
        params = {key: draw.random() for key in space}
        value = params["a"] + params["b"] / 3
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=value))
    monkeypatch.setattr(optuna.importance, "FanovaImportanceEvaluator", Recorded)
    found = importances(study)
    assert [found[key] for key in "abc"] == pytest.approx([0.9, 0.1, 0.0], abs=0.05)
    assert importances(study) == found
    signature = inspect.signature(Recorded.__mro__[1])
    assert [set(arguments) for arguments in given] == [set(signature.parameters)] * 2


def test_a_study_with_half_a_line_is_resumed(tmp_path: Path):
    search = open_search(tmp_path, 4)
    for job in list(islice(search.jobs(), 2)):
        finish(search, job, 50)
    search.close()
    content = (tmp_path / "study.log").read_bytes()
    (tmp_path / "study.log").write_bytes(content[:-20])
    assert len(load_study(tmp_path).trials) == 2  # reading works, too
    again = open_search(tmp_path, 4)
    assert again.count in (2, 3) and list(islice(again.jobs(), 1))
    again.close()
    assert len(load_study(tmp_path).trials) >= 3


def test_a_file_that_is_not_a_study_is_one_line(tmp_path: Path):
    (tmp_path / "study.log").write_bytes(b"\xff\x00garbage\nmore\n")
    with pytest.raises(UserError, match=r"study\.log is not a study of Optuna"):
        open_search(tmp_path, 4)


def test_a_study_that_was_resumed_with_another_key_has_its_picture(tmp_path: Path):
    for key, n_trials in (("lr", 5), ("momentum", 10)):
        space: Space = {key: FloatDistribution(0.1, 0.4)}
        search = Search(space, [], maker(tmp_path), sweep_config(tmp_path), n_trials, seed=0)
        for job in search.jobs():
            finish(search, job, 50 + rate(job))
        search.close()
    finalize(tmp_path)
    assert (tmp_path / "search.png").is_file()


SEARCH = (
    *("-m", *JOB, "hydra/sweeper=optuna", "data.holdout=50", "epochs=2", "hydra.sweeper.n_trials=3"),
    *("optimizer.lr=tag(log,interval(0.001,0.1))", "model.dropout=interval(0.0,0.1)"),
)


def test_a_search_runs_its_trials_and_is_extended(run_inline: RunInline, tmp_path: Path):
    code, text = run_inline(*SEARCH)
    assert code == 0 and "3 trials: 3 done" in text, text
    assert (tmp_path / "sweep" / "search.png").read_bytes().startswith(b"\x89PNG")
    code, text = run_inline(*SEARCH, "hydra.sweeper.n_trials=4")
    assert code == 0 and "3 done, 1 to " in text and "4 trials: 4 done" in text, text
    code, text = run_inline(*SEARCH, "hydra.sweeper.n_trials=4")
    assert code == 0 and "4 done, 0 to " in text, text


def test_a_search_by_another_launcher_runs_its_trials_in_batches(run_inline: RunInline):
    code, text = run_inline(*SEARCH, "hydra/launcher=basic", "hydra.sweeper.n_jobs=2")
    assert code == 0, text
    assert "3 trials: 3 done" in text


@pytest.mark.long
@linux
def test_a_search_is_stopped_and_resumed(tmp_path: Path):
    words = (*SEARCH, "checkpoint.steps=2", "epochs=4", "hydra.sweeper.n_trials=5")
    sweep = Sweep(tmp_path, *words)
    sweep.wait_for(lambda: sweep.checkpoints() > 1)
    sweep.process.send_signal(signal.SIGTERM)
    code, text = sweep.end()
    assert code == 143, text
    started = {path.parent.name for path in sweep.folder.glob("*/config.yaml")}
    code, text = run(tmp_path, *words)
    assert code == 0, text
    assert "Traceback" not in text and "5 trials: 5 done" in text
    done = {path.parent.name for path in sweep.folder.glob("*/summary.json")}
    assert len(done) == 5 and started <= done


@pytest.mark.long
@linux
def test_a_search_survives_the_death_of_a_worker(tmp_path: Path):
    sweep = Sweep(tmp_path, *SEARCH, "checkpoint.steps=2", "epochs=4")
    sweep.wait_for(lambda: sweep.checkpoints() > 1)
    os.kill(sweep.workers()[0], signal.SIGKILL)
    code, text = sweep.end()
    assert code == 0, text
    assert "3 trials: 3 done" in text
    assert len(load_study(sweep.folder).trials) == 3


@pytest.mark.parametrize("name", ["search_rates", "search_regularisation", "search_widths"])
def test_shipped_searches_run_a_trial(name: str, run_inline: RunInline):
    job = [each for each in JOB if not each.startswith(("model=", "augment="))]
    arguments = (f"sweep={name}", "experiment=era4", *job, "data.holdout=50", "hydra.sweeper.n_trials=1", "epochs=1")
    code, text = run_inline(*arguments)
    assert code == 0, text
    assert "1 trial: 1 done" in text


def test_without_optuna_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in [name for name in sys.modules if name.startswith(("optuna", "mnist_lite.sweeps.search"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "optuna.distributions", None)
    sweep = SweepOfJobs(sweep_config(tmp_path), lambda _: CONFIG, lambda _: "digits", DataConfig(), "cpu")
    with pytest.raises(UserError, match=r'hydra/sweeper=optuna: .*; in the checkout: pip install -e "\.\[search\]"'):
        sweep.open_search([], SearchConfig(n_trials=1, n_jobs=1, seed=0))


OPTUNA = ("hydra/sweeper=optuna", "optimizer.lr=interval(0.1,0.2)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hydra/sweeper=optuna", "seed=1"), "nothing to search"),
        ((*OPTUNA, "data.holdout=0"), "data.holdout: a search selects"),
        ((*OPTUNA, "epochs=-1"), "epochs: -1 is out of range"),
        (("hydra/sweeper=optuna", "optimizer.lrr=interval(0.1,0.2)"), "lrr"),
        ((*OPTUNA, "hydra.sweeper.n_trials=abc"), "n_trials: 'abc' is not allowed; expected a whole number"),
        ((*OPTUNA, "hydra.sweeper.n_trials=0"), "n_trials: 0 is out of"),
        ((*OPTUNA, "hydra.sweeper.seed=-1"), "sweeper.seed: -1 is out"),
        (("name=x,y", "seed=1,2"), "name: jobs that differ only"),
        (("optimizer.lr=interval(0.1,0.2)",), "train -m with hydra/sweeper=optuna"),
        (("optimizer.lrr=1,2",), "lrr"),
        (("resume=runs/x", "seed=1,2"), "resume: "),
        (("sweep.workers=abc",), "sweep.workers: 'abc' is not allowed; expected a whole number"),
        (("sweep.workers=1,2",), "sweep.workers: "),
        (("hydra/launcher=nowhere",), "nowhere"),
        (("sweep.workers=0",), "sweep.workers: 0 is out of range"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: tuple[str, ...], message: str, run_inline: RunInline, tmp_path: Path
):
    code, text = run_inline("-m", *JOB, *arguments)
    assert code == 2 and message in text and len(text.strip().splitlines()) == 1, text
    assert list(tmp_path.iterdir()) == []
