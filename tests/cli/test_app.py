"""What the commands do with bad input, with files of the user, and with missing data."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import ConfigKeyError

from mnist_lite.config.error_messages import one_line
from mnist_lite.config.hydra_versions import VERSION_BASE
from tests.conftest import QUICK, RunCommand, write_file

HYDRA_1_3 = bool(VERSION_BASE)  # Hydra 1.4 and OmegaConf 2.4 find two more errors themselves
TINY = "layers:\n  - {conv: 10}\n  - global_avg_pool\n"


def assert_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The command has printed one error line that contains ``parts``."""
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ")
    for part in parts:
        assert part in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.momentm=0.9", "optimizer=sgd"], "optimizer.momentm: unknown key; did you mean momentum?"),
        (["+optimizer.momentm=0.9", "optimizer=sgd"], "optimizer.momentm: unknown key; did you mean momentum?"),
        (["model=stp3"], "model: unknown choice 'stp3'; did you mean step3?"),
        (["modle=step3"], "modle: unknown key; did you mean model?"),
        (["model.dropuot=0.1", "model=era4"], "model.dropuot: unknown key; did you mean dropout?"),
        (["+modle=step3"], "modle: unknown key; did you mean model?"),
        (["compile=never"], "compile: this key has a new name; use backend=auto"),
        (["+compile=never"], "compile: this key has a new name; use backend=auto"),
        (["epochs=abc"], "epochs: 'abc' is not allowed; expected a whole number"),
        (["epochs=null"], "epochs: null is not allowed"),
        (["budget.enforce=maybe"], "budget.enforce: 'maybe' is not allowed; expected true or false"),
        (["budget.accuracy=high"], "budget.accuracy: 'high' is not allowed; expected a number"),
        (["optimizer.lr=0,1"], "optimizer.lr: 0,1 are several values: add -m"),
        (["~scheduler"], "scheduler: null is not allowed; a mapping is expected"),
        (["=step3"], "'=step3' is not of the form key=value"),
        (["seed=rang(3)"], "seed: no function 'rang'; did you mean range?"),
        (["model.layers=[]"], "model.layers: the list is empty; at least one layer is expected"),
        (["model.layers=[{dropout: 1.5}]"], "layer 1 (dropout 1.5) is not allowed: p must be"),
        (["sweep.dir=x"], "sweep.dir: only a sweep has this key; add -m"),
        (["resume=zoo:era4"], "resume: zoo:era4 has only weights; a resume needs the folder of a run"),
        (
            [f"resume={Path(__file__)}"],
            f"test_app.py is a file; name the folder of the run: resume={Path(__file__).parent}",
        ),
        (["epochs=0"], "epochs: 0 is out of range; expected > 0"),
        (["epochs"], "'epochs' is not of the form key=value"),
        (["epochs=[1"], "'epochs=[1' is not of the form key=value"),
        (["precision=fp8"], "precision: 'fp8' is not allowed"),
        (["device=gpu"], "device: 'gpu' is not allowed"),
        (["--confg-dir", "x"], "unrecognized arguments: --confg-dir"),
        (["--cfg", "jobs"], "invalid choice: 'jobs'"),
        (["model.layers=[{conv: 10}, {max_pool: 40}]"], "layer 2 (max_pool 40)"),
        (["--config-dir", "nowhere"], "nowhere"),
        (["--config-name", "nothing"], "nothing"),
        (["+optimizer._target_=os.system"], "optimizer._target_: unknown key"),
        (["optimizer.name=os.system"], "optimizer.name"),
        (["name=${nope}"], "nope"),
        (["resume=${nope}"], "nope"),
        (["resume="], "resume: empty"),
        (["model=null"], "model: null is not a choice"),
        (["data.root=null"], "data.root"),
        (["+optimizer.capturable=true", "optimizer.fused=null"], "optimizer cannot do a training step"),
        (
            ["model.layers=[{conv: 10}, global_avg_pool, batch_norm]", "data.train_limit=101"],
            "leaves a batch of one image",
        ),
        (["-m", "epochs=interval(1,2)"], "interval(...) is for a search"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(overrides, message, call: RunCommand, tmp_path):
    assert_one_line(call("train", *QUICK, *overrides), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "overrides", "message"),
    [
        ("summary", ["resume=x"], "resume: continues one run"),
        ("summary", ["-m", "model=stp3,stp4"], "model: unknown choice 'stp3'; did you mean step3?"),
        (
            "summary",
            ["-m", "hydra/sweeper=optuna", "epochs=interval(1,2)"],
            "interval(...) is for a search",
        ),
        ("train", ["-m", "data.root=${nope}", "seed=1,2"], "nope"),
        ("train", ["-m", "sweep.workers=0", "seed=1,2"], "sweep.workers: 0 is out of range"),
        ("train", ["-m", f"sweep.dir={Path(__file__)}", "seed=1,2"], "test_app.py is a file; name a folder"),
        ("train", ["-m", "resume=x", "seed=1,2"], "resume: continues one run"),
    ],
)
def test_what_a_command_or_a_sweep_cannot_do_is_one_line(command, overrides, message, call: RunCommand, tmp_path):
    assert_one_line(call(command, *overrides), message)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_does_not_train_runs_for_each_value(call: RunCommand):
    result = call("summary", "-m", "model=step3,step4", "format=json")
    assert result.returncode == 0, result.stderr
    assert [f'"parameters": {count}' in result.stdout for count in (7216, 7400)] == [True, True]
    assert call("summary", "-m", "model=step3", "epochs=0,1").returncode == 2


@pytest.mark.parametrize(("launcher", "extra"), [("ray", "ray"), ("submitit_slurm", "slurm")])
def test_a_launcher_that_is_not_installed_says_what_to_install_from_the_checkout(launcher, extra):
    error = MissingConfigException("no such file", missing_cfg_file=f"hydra/launcher/{launcher}", options=["local"])
    assert one_line(error) == (
        f'hydra/launcher: {launcher!r} is not installed; in the checkout: pip install -e ".[{extra}]"'
    )


FOUND, COPY = "that folder is found with", "copy the file to"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=mine/model/tiny.yaml", f"{FOUND}: --config-dir mine model=tiny"),
        ("model=./mine/model/tiny.yaml", f"{FOUND}: --config-dir mine model=tiny"),
        ("model=mine/model/tiny", f"{FOUND}: --config-dir mine model=tiny"),
        ("model=tiny.yaml", f"{COPY} mine/model/tiny.yaml, then: --config-dir mine model=tiny"),
        ("model=tiny.yml", f"{COPY} mine/model/tiny.yaml, then: --config-dir mine model=tiny"),
        ("model=../elsewhere/tiny.yaml", f"{COPY} mine/model/tiny.yaml, then: --config-dir mine model=tiny"),
        ("model=a/b/model/tiny.yaml", f"{COPY} mine/model/tiny.yaml, then: --config-dir mine model=tiny"),
        ("optimizer=a/lion.yaml", f"{COPY} mine/optimizer/lion.yaml, then: --config-dir mine optimizer=lion"),
        ("hydra/launcher=a/big", "only an installed one can be chosen"),
        ("model=ear4.yaml", "did you mean era4?"),
    ],
)
def test_the_path_of_a_file_is_answered_with_the_flag_that_finds_it(override, message, call: RunCommand, tmp_path):
    """Whether the file exists or not. If it exists, the flags of the answer work as they are."""
    write_file(tmp_path / "mine" / "model" / "tiny.yaml", TINY)
    result = call("summary", override)
    assert_one_line(result, f"error: {override.partition('=')[0]}: ", message)
    if message.startswith(FOUND):
        assert call("summary", *result.stderr.rpartition(": ")[2].split()).returncode == 0


def test_an_absolute_path_is_answered_with_the_flag_that_finds_it(call: RunCommand, tmp_path):
    file = write_file(tmp_path / "my own" / "model" / "tiny.yaml", TINY)
    assert_one_line(call("summary", f"model={file}"), f"--config-dir '{tmp_path / 'my own'}' model=tiny")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers:\n  - {conv: 10}\n  - {globl_avg_pool}\n", "entry 2"),
        ("layers: [relu\n", "mine"),
        ("width: 3\n", "model.layers: a list is expected"),
        ("layer:\n  - {conv: 10}\n  - global_avg_pool\n", "model.layer: unknown key; did you mean layers?"),
        ("layers:\n  - {conv: '${model.widht}'}\n", "widht"),
        ("- conv\n", "model: a list is not allowed"),
        ("layers: &a [*a]\n", "*a contains itself"),
        ("defaults: 5\nlayers: [relu]\n", "cannot be composed" if HYDRA_1_3 else "defaults must be a list"),
        ("defaults: [nothere]\n", "no config file 'model/nothere'"),
        ("layers: [relu]\nbudgte: {parameters: 3}\n", "did you mean budget?"),
    ],
)
def test_an_invalid_file_of_the_user_is_one_line(text, message, call: RunCommand, tmp_path):
    write_file(tmp_path / "mine" / "model" / "mine.yaml", text)
    assert_one_line(call("train", *QUICK, "--config-dir", "mine", "model=mine"), message)


def test_users_add_their_own_models(call: RunCommand, tmp_path):
    text = "width: 4\nlayers:\n  - {conv: '${model.width}', stride: 2}\n  - relu\n  - {conv: 10}\n  - global_avg_pool\n"
    write_file(tmp_path / "mine" / "model" / "tiny.yaml", text)
    result = call("summary", "--config-dir", "mine", "model=tiny", "model.width=6", "format=json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["parameters"] == 9 * 6 + 9 * 6 * 10
    result = call("train", "--config-dir", "mine", "model=tiny", *QUICK)
    assert result.returncode == 0, result.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("_tiny")
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["model"] == "tiny"


@pytest.mark.parametrize("flags", [["--help"], ["--cfg", "job"], ["model=step3", "--cfg", "job", "epochs=3"]])
def test_help_and_config_are_printed_in_under_a_second(flags, run_command: RunCommand):
    def seconds() -> float:
        """Processor time. Other processes on the machine change it less than the time of the clock."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run_command("train", *flags).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 1.0


def test_importing_any_module_has_no_side_effect(tmp_path):
    code = """
import importlib, os, pkgutil, random, mnist_lite, torch
threads, draw, env = torch.get_num_threads(), torch.random.get_rng_state().clone(), dict(os.environ)
for module in pkgutil.walk_packages(mnist_lite.__path__, "mnist_lite."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name not in ("jax", "optax"):  # of the extra "peers"
            raise
assert torch.equal(draw, torch.random.get_rng_state()) and threads == torch.get_num_threads()
changed = {k for k in {**env, **os.environ} if env.get(k) != os.environ.get(k)}
assert not {k for k in changed if "MNIST" in k or "HYDRA" in k}, changed
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def raise_in_run(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(_config: object, **_more: object) -> int:
        raise error

    monkeypatch.setattr("mnist_lite.runner.run.run", run)


def test_ctrl_c_before_the_run_folder_exists_is_one_line(call: RunCommand, monkeypatch, tmp_path):
    raise_in_run(monkeypatch, KeyboardInterrupt())
    result = call("train", "model=step3")
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "stopped by SIGINT\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), ConfigKeyError("x"), HydraException("x"), KeyError("x")])
def test_an_internal_error_is_not_bad_input(error, call: RunCommand, monkeypatch):
    """An error of OmegaConf or Hydra is bad input only while the config is composed and checked."""
    raise_in_run(monkeypatch, error)
    with pytest.raises(type(error)) as caught:
        call("train", "model=step3")
    assert caught.value is error


@pytest.fixture
def no_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a folder with MNIST, nor a network."""
    monkeypatch.setenv("MNIST_LITE_DATA", "no-such-folder")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request._opener", None)  # urllib keeps its first opener, with the proxies of that time


@pytest.mark.usefixtures("no_mnist")
def test_auto_without_mnist_warns_trains_and_labels(call: RunCommand, tmp_path):
    result = call("train", "model=era4", *QUICK[1:])
    assert result.returncode == 0, result.stderr
    assert "THIS IS NOT MNIST" in result.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["data"]["name"] == "digits"
    assert "THIS IS NOT MNIST" in (folder / "run.log").read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_mnist")
def test_strict_mnist_without_mnist_is_one_line(call: RunCommand, tmp_path):
    result = call("train", *QUICK[1:], "data=mnist")
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: data.root:") and "data=digits" in last and "MNIST_LITE_DATA" in last
    assert not (tmp_path / "runs").exists()


def test_a_sweep_is_a_folder_of_run_folders(run_command: RunCommand, tmp_path):
    result = run_command("train", "-m", "model=era4", *QUICK, "optimizer.lr=0.01,0.03,0.1")
    assert result.returncode == 0, result.stderr
    (sweep,) = (tmp_path / "runs" / "sweeps").iterdir()
    configs = sorted(sweep.glob("*/config.yaml"))
    rates = [path.parent.name.rpartition("optimizer.lr=")[2].partition("_")[0] for path in configs]
    assert rates == ["0.01", "0.03", "0.1"]
    for path, rate in zip(configs, rates, strict=True):
        assert f"lr: {rate}" in path.read_text(encoding="utf-8")


def test_a_bad_job_does_not_stop_a_sweep_and_shows_in_the_exit_code(run_command: RunCommand, tmp_path):
    result = run_command("train", "-m", "model=era4", *QUICK, "optimizer.lr=0.01,-1,x,0.1")
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(r"FAILED  optimizer\.lr=-1 .*: optimizer\.lr: -1\.0 is out of range", result.stdout)
    assert re.search(r"FAILED  optimizer\.lr=x ", result.stdout)
    assert len(list((tmp_path / "runs" / "sweeps").glob("*/*/summary.json"))) == 2


def test_a_sweep_of_bad_jobs_leaves_nothing_behind(run_command: RunCommand, tmp_path):
    result = run_command("train", "-m", "model=era4", *QUICK, "seed=-1,-2,x")
    assert result.returncode == 2
    assert result.stderr.count("error: job seed=") == 3
    assert list(tmp_path.iterdir()) == []
