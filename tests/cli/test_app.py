"""The commands as a user types them, in a subprocess, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hydra.errors import MissingConfigException

from mnist_lite.cli.commands import COMMANDS
from mnist_lite.config.error_messages import one_line
from mnist_lite.config.hydra_versions import VERSION_BASE
from tests.conftest import REPOSITORY, RunCommand

NO_MNIST = {
    "MNIST_LITE_DATA": "no-such-folder",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
}
HYDRA_1_3 = bool(VERSION_BASE)  # 1.4 and OmegaConf 2.4 find two more faults themselves, and say what is wrong
QUICK = ("data=digits", "data.train_limit=100", "data.test_limit=50", "epochs=1", "batch_size=50")


def assert_one_line(done: subprocess.CompletedProcess[str], *said: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    for words in said:
        assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["optimizer.momentm=0.9", "optimizer=sgd"], "optimizer.momentm: unknown key; did you mean momentum?"),
        (["+optimizer.momentm=0.9", "optimizer=sgd"], "optimizer.momentm: unknown key; did you mean momentum?"),
        (["model=stp3"], "model: no choice 'stp3'; did you mean step3?"),
        (["modle=step3"], "modle: unknown key; did you mean model?"),
        (["model.dropuot=0.1", "model=era4"], "model.dropuot: unknown key; did you mean dropout?"),
        (["+modle=step3"], "modle: unknown key; did you mean model?"),
        (["epochs=abc"], "epochs: Value 'abc'"),
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
        (["model=null"], "model: null is not a choice"),
        (["data.root=null"], "data.root"),
        (["+optimizer.capturable=true", "optimizer.fused=null"], "optimizer cannot do a training step"),
        (
            ["model.layers=[{conv: 10}, global_avg_pool, batch_norm]", "data.train_limit=101"],
            "leaves a batch of one image",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(overrides, said, run_command: RunCommand, tmp_path):
    assert_one_line(run_command("train", *QUICK, *overrides), said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("launcher", "extra"), [("ray", "ray"), ("submitit_slurm", "slurm")])
def test_a_launcher_that_is_not_installed_says_what_to_install_from_the_checkout(launcher, extra):
    error = MissingConfigException("no such file", missing_cfg_file=f"hydra/launcher/{launcher}", options=["local"])
    assert one_line(error) == (
        f'hydra/launcher: {launcher!r} is not installed; in the checkout: pip install -e ".[{extra}]"'
    )


HERE, TO_COPY = "that folder is found with", "copy the file to"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model=mine/model/tiny.yaml", f"{HERE}: --config-dir mine model=tiny"),
        ("model=./mine/model/tiny.yaml", f"{HERE}: --config-dir mine model=tiny"),
        ("model=mine/model/tiny", f"{HERE}: --config-dir mine model=tiny"),
        ("model=tiny.yaml", f"{TO_COPY} mine/model/tiny.yaml, then: --config-dir mine model=tiny"),
        ("model=tiny.yml", f"{TO_COPY} mine/model/tiny.yaml, then: --config-dir mine model=tiny"),
        ("model=../elsewhere/tiny.yaml", f"{TO_COPY} mine/model/tiny.yaml, then: --config-dir mine model=tiny"),
        ("model=a/b/model/tiny.yaml", f"{TO_COPY} mine/model/tiny.yaml, then: --config-dir mine model=tiny"),
        ("optimizer=a/lion.yaml", f"{TO_COPY} mine/optimizer/lion.yaml, then: --config-dir mine optimizer=lion"),
        ("hydra/launcher=a/big", f"{TO_COPY} mine/hydra/launcher/big.yaml, then: --config-dir mine hydra/launcher=big"),
        ("model=ear4.yaml", "did you mean era4?"),
    ],
)
def test_a_file_given_by_its_path_is_answered_with_the_flag_that_finds_it(override, said, run_command, tmp_path):
    """Whether the file exists or not. The flags of the answer work as they stand."""
    file = tmp_path / "mine" / "model" / "tiny.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("layers:\n  - {conv: 10}\n  - global_avg_pool\n", encoding="utf-8")
    done = run_command("summary", override)
    assert_one_line(done, f"error: {override.partition('=')[0]}: ", said)
    if said.startswith(HERE):
        assert run_command("summary", *done.stderr.rpartition(": ")[2].split()).returncode == 0


def test_an_absolute_path_is_answered_with_the_flag_that_finds_it(run_command: RunCommand, tmp_path):
    folder = tmp_path / "my own"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "tiny.yaml").write_text("layers:\n  - {conv: 10}\n  - global_avg_pool\n", encoding="utf-8")
    assert_one_line(run_command("summary", f"model={folder}/model/tiny.yaml"), f"--config-dir '{folder}' model=tiny")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layers:\n  - {conv: 10}\n  - {globl_avg_pool}\n", "entry 2"),
        ("layers: [relu\n", "mine"),
        ("width: 3\n", "model.layers: a list is expected"),
        ("layer:\n  - {conv: 10}\n  - global_avg_pool\n", "model.layer: unknown key; did you mean layers?"),
        ("layers:\n  - {conv: '${model.widht}'}\n", "widht"),
        ("- conv\n", "model: a list is not allowed"),
        ("layers: &a [*a]\n", "cannot be composed" if HYDRA_1_3 else "recursive aliases"),
        ("defaults: 5\nlayers: [relu]\n", "cannot be composed" if HYDRA_1_3 else "defaults must be a list"),
        ("defaults: [nothere]\n", "no config file 'model/nothere'"),
        ("layers: [relu]\nbudgte: {parameters: 3}\n", "did you mean budget?"),
    ],
)
def test_a_broken_file_of_the_users_is_one_line(text, said, run_command: RunCommand, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "mine.yaml").write_text(text, encoding="utf-8")
    assert_one_line(run_command("train", *QUICK, "--config-dir", "mine", "model=mine"), said)


def test_users_add_models_of_their_own(run_command: RunCommand, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    text = "width: 4\nlayers:\n  - {conv: '${model.width}', stride: 2}\n  - relu\n  - {conv: 10}\n  - global_avg_pool\n"
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text(text, encoding="utf-8")
    done = run_command("summary", "--config-dir", "mine", "model=tiny", "model.width=6", "format=json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parameters"] == 9 * 6 + 9 * 6 * 10
    done = run_command("train", "--config-dir", "mine", "model=tiny", *QUICK)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("_tiny")
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["model"] == "tiny"


LISTED = {
    "train": ("model", "data", "augment", "optimizer", "scheduler", "experiment", "sweep", "hydra/launcher"),
    "summary": ("model", "experiment"),
    "bench": ("model", "augment", "optimizer", "scheduler", "experiment"),
    "compare": (),
}
OWN_KEYS = {
    "train": (
        "epochs=14",
        "the sources ask for fewer than 15",
        "sweep.workers",
        "checkpoint.seconds=10",
        "data.holdout=0",
    ),
    "summary": ("format=table", "table | json | torchsummary"),
    "bench": ("rounds=5", "images=6400"),
    "compare": ("verify=true",),
}


def first_comment(path: Path) -> str:
    lines = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return next(line for line in lines if not line.startswith("@package"))


@pytest.mark.parametrize("command", LISTED)
def test_help_of_a_command_shows_its_files_keys_and_examples(command, run_command: RunCommand, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = run_command(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for group in LISTED[command]:
        part = done.stdout.split(f"\n{group}=<name>\n")[1].split("\n\n")[0].splitlines()
        expected = {path.stem: first_comment(path) for path in (REPOSITORY / "conf" / group).glob("*.yaml")}
        assert expected and {line.split()[0]: line.split(maxsplit=1)[1] for line in part} == expected
    assert done.stdout.count("=<name>\n") == len(LISTED[command])
    for words in OWN_KEYS[command]:
        assert words in done.stdout
    others = {word for keys in OWN_KEYS.values() for word in keys} - set(OWN_KEYS[command])
    assert not [word for word in others if word in done.stdout]
    named = set(re.findall(r"^  python -m mnist_lite\.(\w+) ", done.stdout, re.MULTILINE))
    assert named == {command}
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_help_comments_are_those_of_the_config_file(run_command: RunCommand):
    """Every key of config.yaml, with every word of the comment beside it."""
    shown = " ".join(run_command("train", "--help").stdout.split())
    text = (REPOSITORY / "conf" / "config.yaml").read_text(encoding="utf-8").split("\nhydra:")[0].split("\n\n", 1)[1]
    comments = re.findall(r"# (.*)", text)
    assert len(comments) > 25
    assert [comment for comment in comments if " ".join(comment.split()) not in shown] == []
    assert [key for key in re.findall(r"^(?:  )?(\w+):", text, re.MULTILINE) if key not in shown] == []


def test_help_lists_the_users_own_files(run_command: RunCommand, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text(
        "# One convolution.\nlayers: [{conv: 10}]\n", encoding="utf-8"
    )
    (tmp_path / "mine" / "model" / "bare.yaml").write_bytes(b"layers: [\xff]\n")
    done = run_command("summary", "--help", "--config-dir", "mine")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^  tiny +One convolution\.$", done.stdout, re.MULTILINE)
    assert re.search(r"^  bare$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", ["train", "summary", "bench"])
def test_examples_of_the_help_compose(command, run_command: RunCommand, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text("layers: [{conv: 10}]\n", encoding="utf-8")
    for example in COMMANDS[{"train": "config"}.get(command, command)].examples:
        if "<run>" not in example and not example.startswith("-m "):  # Hydra composes no sweep for --cfg
            done = run_command(command, *example.split(), "--cfg", "job")
            assert done.returncode == 0, (example, done.stderr)


@pytest.mark.parametrize("flags", [["--help"], ["--cfg", "job"], ["model=step3", "--cfg", "job", "epochs=3"]])
def test_help_and_config_answer_in_under_a_second(flags, run_command: RunCommand):
    def seconds() -> float:
        """Of the processor, which a busy machine changes less than those of the clock."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run_command("train", *flags).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 1.0
    code = "import sys, mnist_lite.train, mnist_lite.summary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_any_module_has_no_side_effect(tmp_path):
    code = """
import importlib, os, pkgutil, random, mnist_lite, torch
threads, draw, env = torch.get_num_threads(), torch.random.get_rng_state().clone(), dict(os.environ)
for module in pkgutil.walk_packages(mnist_lite.__path__, "mnist_lite."):
    importlib.import_module(module.name)
assert torch.equal(draw, torch.random.get_rng_state()) and threads == torch.get_num_threads()
changed = {k for k in {**env, **os.environ} if env.get(k) != os.environ.get(k)}
assert not {k for k in changed if "MNIST" in k or "HYDRA" in k}, changed
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_before_there_is_a_run_is_one_line(tmp_path):
    code = """
import mnist_lite.runner.run
def interrupted(config):
    raise KeyboardInterrupt
mnist_lite.runner.run.run = interrupted
from mnist_lite.train import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped by SIGINT\n")
    assert list(tmp_path.iterdir()) == []


def test_auto_without_mnist_warns_trains_and_labels(run_command: RunCommand, tmp_path):
    done = run_command("train", "model=era4", *QUICK[1:], env=NO_MNIST)
    assert done.returncode == 0, done.stderr
    assert "THIS IS NOT MNIST" in done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["data"]["name"] == "digits"
    assert "THIS IS NOT MNIST" in (folder / "run.log").read_text(encoding="utf-8")


def test_strict_mnist_without_mnist_is_one_line(run_command: RunCommand, tmp_path):
    done = run_command("train", *QUICK[1:], "data=mnist", env=NO_MNIST)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: data.root:") and "data=digits" in last and "MNIST_LITE_DATA" in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_sweep_is_a_folder_of_run_folders(run_command: RunCommand, tmp_path):
    done = run_command("train", "-m", "model=era4", *QUICK, "optimizer.lr=0.01,0.03,0.1")
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "runs" / "sweeps").iterdir()
    summaries = sorted(sweep.glob("*/config.yaml"))
    assert len(summaries) == 3
    rates = [path.parent.name.rpartition("optimizer.lr=")[2].partition("_")[0] for path in summaries]
    assert rates == ["0.01", "0.03", "0.1"]
    assert [
        f"lr: {lr}" in path.read_text(encoding="utf-8") for path, lr in zip(summaries, (0.01, 0.03, 0.1), strict=True)
    ] == [True] * 3


def test_a_bad_job_does_not_stop_a_sweep_and_shows_in_the_exit_code(run_command: RunCommand, tmp_path):
    done = run_command("train", "-m", "model=era4", *QUICK, "optimizer.lr=0.01,-1,x,0.1")
    assert done.returncode == 1, done.stdout + done.stderr  # some jobs have failed
    assert re.search(r"FAILED  optimizer\.lr=-1 .*: optimizer\.lr: -1\.0 is out of range", done.stdout)
    assert re.search(r"FAILED  optimizer\.lr=x ", done.stdout)
    assert len(list((tmp_path / "runs" / "sweeps").glob("*/*/summary.json"))) == 2


def test_a_sweep_of_bad_jobs_leaves_nothing_behind(run_command: RunCommand, tmp_path):
    done = run_command("train", "-m", "model=era4", *QUICK, "seed=-1,-2,x")
    assert done.returncode == 2
    assert done.stderr.count("error: job seed=") == 3
    assert list(tmp_path.iterdir()) == []


def test_the_smoke_test_learns_real_mnist_in_time(run_command: RunCommand, mnist_root, tmp_path):
    started = time.perf_counter()
    done = run_command("train", "experiment=smoke", env={"MNIST_LITE_DATA": str(mnist_root)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "budget [ok] >= 90 % test accuracy" in done.stdout
    assert time.perf_counter() - started < 280  # 30 s on a quiet machine, 156 s were seen on a very busy one


SHUFFLED = """
import torch
from mnist_lite.data import mnist
from mnist_lite.train import main

load = mnist.load_mnist

def shuffled(root):
    train, test = load(root)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    return mnist.Split(train.images, train.labels[order]), test

mnist.load_mnist = shuffled
main()
"""


def test_the_smoke_test_fails_when_labels_are_shuffled(mnist_root, tmp_path):
    """The same images and the same labels, in another order. On disk that would be refused: the md5 is verified."""
    done = subprocess.run(
        [sys.executable, "-c", SHUFFLED, "experiment=smoke", "epochs=3"],
        cwd=tmp_path,
        env={**os.environ, "MNIST_LITE_DATA": str(mnist_root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "budget [MISSED] >= 90 % test accuracy" in done.stdout


def test_an_installed_wheel_works_from_another_folder(tmp_path):
    wheels, site, away = tmp_path / "wheels", tmp_path / "site", tmp_path / "away"
    away.mkdir()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [
        *pip,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(wheels),
        str(REPOSITORY),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    shipped = {name.removeprefix("mnist_lite/") for name in zipfile.ZipFile(wheel).namelist()}
    assert {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "conf").rglob("*.yaml")} <= shipped
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True, capture_output=True
    )
    env = {**os.environ, "PYTHONPATH": str(site)}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command], cwd=away, env=env, capture_output=True, text=True, check=False
        )

    assert Path(run("-c", "import mnist_lite; print(mnist_lite.__file__)").stdout).is_relative_to(site)
    done = run("-m", "mnist_lite.train", "model=step3", *QUICK)
    assert done.returncode == 0, done.stderr
    assert len(list((away / "runs").glob("*_step3/summary.json"))) == 1
    assert "7,216 parameters" in run("-m", "mnist_lite.summary", "model=step3").stdout
    assert "step3  " in run("-m", "mnist_lite.train", "--help").stdout
