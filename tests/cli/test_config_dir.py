"""The folder of ``--config-dir`` may be a stranger's: its files run no code, read no secret, and hang nothing."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import OmegaConf

from mnist_lite.config.compose import config_digest, config_dir
from mnist_lite.config.hydra_versions import starting_hydra
from mnist_lite.config.loader import CheckedLoader, UserFolder
from mnist_lite.errors import UserError
from tests.conftest import QUICK, RunCommand, write_file

GLOBAL = "# @package _global_\n"
WRITES = "{_target_: logging.FileHandler, filename: pwned}"
LAYERS = "layers: [{conv: 10}, global_avg_pool]\n"
MODEL = f"{GLOBAL}model: {{layers: [{{conv: 10}}, global_avg_pool]}}\n"
SECRET = "hunter2"
MINE = ("--config-dir", "mine")
TRAIN = (*MINE, *QUICK, "model=mine")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A secret, and an alarm for commands that hang."""
    monkeypatch.setenv("SECRET", SECRET)

    def hang(*_: object) -> None:
        raise AssertionError("hangs")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def mine(tmp_path: Path, files: dict[str, str]) -> None:
    """Writes config files into the user's folder. The model ``mine`` exists."""
    for name, text in {"model/mine": LAYERS, **files}.items():
        write_file(tmp_path / "mine" / f"{name}.yaml", text)


def assert_refused(result, *words: str) -> None:
    assert result.returncode == 2, result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    assert all(word in lines[0] for word in words), lines[0]
    assert SECRET not in result.stdout + result.stderr


NOT_ALLOWED = "may not set this key"
CODE: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    # name: (files, arguments, the key that the message names)
    "a callback": ({"model/mine": f"{MODEL}hydra: {{callbacks: {{x: {WRITES}}}}}"}, (), "hydra.callbacks.x"),
    "a package of a defaults list": (
        {"model/mine": f"defaults: [/other/x@_global_.hydra.callbacks.y]\n{LAYERS}", "other/x": WRITES},
        (),
        "hydra.callbacks.y",
    ),
    "a package of the header": (
        {"model/mine": f"defaults: [/other/x]\n{LAYERS}", "other/x": f"# @package hydra.callbacks.z\n{WRITES}"},
        (),
        "hydra.callbacks.z",
    ),
    "a merge key": (
        {"model/mine": f"{MODEL}a: &a {{callbacks: {{x: {WRITES}}}}}\nhydra: {{<<: *a}}"},
        (),
        "hydra.callbacks.x",
    ),
    "an interpolation": ({"model/mine": f"{MODEL}x: {{y: {WRITES}}}\nhydra: {{callbacks: '${{x}}'}}"}, (), "hydra."),
    "the whole node": ({"model/mine": f"{MODEL}x: {{callbacks: {{y: {WRITES}}}}}\nhydra: '${{x}}'"}, (), ""),
    "another file of Hydra": ({"hydra/callbacks/x": f"x: {WRITES}"}, ("hydra/callbacks=x",), "hydra"),
    "a file that hides Hydra's": ({"hydra/config": f"callbacks: {{x: {WRITES}}}"}, (), ""),
    "logging": (
        {
            "model/mine": f"{MODEL}hydra: {{job_logging: {{version: 1, root: {{level: INFO, handlers: [x]}}, "
            "handlers: {x: {class: logging.FileHandler, filename: pwned}}}}"
        },
        (),
        "hydra.job_logging",
    ),
    "Hydra's logging": (
        {
            "model/mine": f"{MODEL}hydra: {{hydra_logging: {{version: 1, root: {{level: INFO, handlers: [x]}}, "
            "handlers: {x: {(): logging.FileHandler, filename: pwned}}}}"
        },
        (),
        "hydra.hydra_logging",
    ),
    "the environment": ({"model/mine": f"{MODEL}hydra: {{job: {{env_set: {{CXX: x}}}}}}"}, (), "hydra.job.env_set.CXX"),
    "a copy of the environment": (
        {"model/mine": f"{MODEL}hydra: {{job: {{env_copy: [SECRET]}}}}"},
        (),
        "hydra.job.env_",
    ),
    "a folder": ({"model/mine": f"{MODEL}hydra: {{run: {{dir: pwned}}}}"}, (), "hydra.run.dir"),
    "a folder of Hydra's files": ({"model/mine": f"{MODEL}hydra: {{output_subdir: pwned}}"}, (), "hydra.output_subdir"),
    "the current folder": ({"model/mine": f"{MODEL}hydra: {{job: {{chdir: true}}}}"}, (), "hydra.job.chdir"),
    "the command line": (
        {"model/mine": f"{MODEL}hydra: {{overrides: {{hydra: ['+hydra.callbacks.x={WRITES}']}}}}"},
        (),
        "hydra.overrides",
    ),
    "the launcher": (
        {"model/mine": f"{MODEL}hydra: {{launcher: {{_target_: hydra_plugins.x.Y}}}}"},
        (),
        "hydra.launcher._target_",
    ),
    "a launcher of its own": (
        {"hydra/launcher/own": "_target_: hydra_plugins.mnist_lite_sweeps.LocalLauncher\n"},
        ("hydra/launcher=own",),
        "hydra/launcher/own",
    ),
    "a search path": (
        {"own": f"defaults: [config]\nhydra: {{searchpath: ['pkg://{__name__}']}}"},
        ("--config-name", "own"),
        "hydra.searchpath",
    ),
    "a search path by interpolation": (
        {"own": "defaults: [config]\nx: {searchpath: [pkg://mnist_lite]}\nhydra: '${x}'"},
        ("--config-name", "own"),
        "hydra.searchpath",
    ),
    "runs_dir": ({"model/mine": f"{MODEL}runs_dir: pwned"}, (), "runs_dir"),
    "data.root": ({"experiment/own": f"{GLOBAL}data: {{root: pwned}}"}, ("experiment=own",), "data.root"),
    "data by interpolation": ({"model/mine": f"{MODEL}x: {{root: pwned}}\ndata: '${{x}}'"}, (), "data"),
    "sweep.dir": ({"model/mine": f"{MODEL}sweep: {{dir: pwned}}"}, (), "sweep.dir"),
    "resume": ({"model/mine": f"{MODEL}resume: pwned"}, (), "resume"),
}


LONG = pytest.mark.long


@pytest.mark.parametrize("flags", [(), pytest.param(("-m",), marks=LONG)], ids=["run", "sweep"])
@pytest.mark.parametrize("case", CODE)
def test_a_file_cannot_configure_hydra_or_name_paths(case: str, flags: tuple[str, ...], call: RunCommand, tmp_path):
    files, arguments, key = CODE[case]
    mine(tmp_path, files)
    before = set(tmp_path.rglob("*"))
    assert_refused(call("train", *flags, *TRAIN, *arguments), key)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("flags", [("--cfg", "all"), ("--info", "all"), ("-m", "hydra/launcher=basic")], ids=" ".join)
def test_every_flag_composes_with_the_same_check(flags: tuple[str, ...], run_command: RunCommand, tmp_path):
    mine(tmp_path, CODE["a callback"][0])
    assert_refused(run_command("train", *TRAIN, *flags), "hydra.callbacks.x")
    assert not (tmp_path / "pwned").exists()


PARAMS = {
    "an override of Hydra": "{+hydra.callbacks.x: '{_target_: logging.FileHandler, filename: pwned}'}",
    "a choice of Hydra": "{hydra/launcher: basic}",
    "a package": "{model@hydra.callbacks: mine}",
    "an object": f"{{x: {WRITES}}}",
    "a class": "{_target_: logging.FileHandler, filename: pwned}",
    "an interpolation": "{x: '${evil}'}",
    "all by interpolation": "'${evil}'",
    "a path": "{runs_dir: pwned}",
    "an endless range": "{seed: range(1000000000000)}",
}


@pytest.mark.parametrize("sweeper", ["grid", pytest.param("basic", marks=LONG)])
@pytest.mark.parametrize("case", PARAMS)
def test_a_sweep_of_a_file_changes_no_key_of_hydra_and_no_path(case, sweeper, call: RunCommand, tmp_path, monkeypatch):
    if case == "an endless range":
        if sweeper == "basic":
            pytest.skip("Hydra's own sweeper")
        monkeypatch.setattr("mnist_lite.process.limits.MAX_SECONDS", 0.5)
    text = (
        f"{GLOBAL}defaults: [override /hydra/sweeper: {sweeper}]\nevil: {WRITES}\n"
        f"hydra: {{mode: MULTIRUN, sweeper: {{params: {PARAMS[case]}}}}}"
    )
    mine(tmp_path, {"sweep/own": text})
    before = set(tmp_path.rglob("*"))
    assert_refused(call("train", *TRAIN, "sweep=own", "hydra.mode=MULTIRUN"))
    assert set(tmp_path.rglob("*")) == before


def test_each_job_of_a_sweep_is_checked(call: RunCommand, tmp_path):
    mine(tmp_path, {"model/evil": CODE["the environment"][0]["model/mine"]})
    result = call("summary", "-m", *MINE, "model=mine,evil", "format=json")
    assert_refused(result, "hydra.job.env_set.CXX: a config file")
    assert '"parameters": 90' in result.stdout


@LONG
def test_a_job_that_is_refused_does_not_stop_the_others(run_command: RunCommand, tmp_path):
    mine(tmp_path, {"model/evil": CODE["the environment"][0]["model/mine"]})
    result = run_command("train", "-m", *TRAIN, "model=mine,evil", "sweep.dir=sweep")
    assert result.returncode == 1, result.stderr
    assert "hydra.job.env_set.CXX: a config file" in result.stderr
    assert len(list(tmp_path.rglob("summary.json"))) == 1


def test_users_sweeps_and_settings_on_the_command_line_still_work(call: RunCommand, tmp_path):
    own = (
        f"{GLOBAL}defaults: [override /hydra/sweeper: grid]\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {model: 'mine,era4', optimizer.lr: 0.1, +model.note: x}}}"
    )
    mine(tmp_path, {"sweep/own": own, "experiment/own": f"{GLOBAL}name: own\noptimizer: {{lr: 0.5}}\nepochs: 3"})
    result = call("summary", *MINE, "sweep=own", "hydra.mode=MULTIRUN", "format=json", "hydra.job.chdir=false")
    assert result.returncode == 0, result.stderr
    assert '"parameters": 90' in result.stdout and '"parameters": 7838' in result.stdout
    arguments = ("+hydra.job.env_set.A=b", "runs_dir=x", "data.root=y", "hydra.verbose=true", "sweep=lr")
    result = call("train", *MINE, "experiment=own", *arguments, "hydra/launcher=slurm", "--cfg", "all")
    assert result.returncode == 0, result.stderr
    composed = OmegaConf.create(result.stdout)
    assert (composed.epochs, composed.runs_dir, composed.hydra.job.env_set.A) == (3, "x", "b")
    assert composed.hydra.launcher.timeout_min == 60


@pytest.mark.parametrize(
    "argument", ["hydra.searchpath=[file://mine]", "+hydra.searchpath=[mine]", "--config-path=mine"]
)
def test_there_is_one_way_to_name_a_folder_of_configs(argument: str, call: RunCommand, tmp_path):
    mine(tmp_path, {})
    assert_refused(call("train", argument), "--config-dir")


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:SECRET}",
        "${oc.env:NOT_THERE,${oc.env:SECRET}}",
        "${oc.env:${variable}}",
        "${oc.decode:'${oc.env:SECRET}'}",
        "${oc.select:nope,${oc.env:SECRET}}",
        "${oc.decode:\"'$\\\\{oc.env:SECRET}'\"}",
        "a-${oc.env:HOME}",
    ],
)
def test_a_config_reads_no_environment_variable_but_ours(text: str, call: RunCommand, tmp_path):
    mine(tmp_path, {"experiment/own": f"{GLOBAL}variable: SECRET\nname: {text}\n"})
    before = set(tmp_path.rglob("*"))
    result = call("train", *MINE, *QUICK, "experiment=own", "+variable=x" if "variable" not in text else "epochs=1")
    assert result.returncode == 2 and SECRET not in result.stdout + result.stderr, result.stderr
    assert set(tmp_path.rglob("*")) == before
    result = call("train", *MINE, "experiment=own", "--cfg", "job", "--resolve")
    assert SECRET not in result.stdout + result.stderr


def test_the_message_names_the_variable_and_the_key(call: RunCommand, tmp_path):
    mine(tmp_path, {"experiment/own": f"{GLOBAL}name: '${{oc.env:SECRET}}'\n"})
    assert_refused(call("train", *MINE, *QUICK, "experiment=own"), "name: ${oc.env:SECRET} is not allowed")
    assert_refused(call("train", *QUICK, "name='${oc.env:SECRET}'"), "name: ${oc.env:SECRET} is not allowed")


def test_our_own_variable_is_read(call: RunCommand, monkeypatch):
    monkeypatch.setenv("MNIST_LITE_DATA", "a b")
    assert "root: a b" in call("train", "--cfg", "job", "--resolve").stdout
    monkeypatch.delenv("MNIST_LITE_DATA")
    assert "root: data" in call("train", "--cfg", "job", "--resolve").stdout


@pytest.mark.parametrize("launcher", ["local", "basic", "slurm", "submitit_local", "ray_cluster", "ray_aws"])
def test_all_installed_launchers_still_compose(launcher: str, call: RunCommand):
    result = call("train", f"hydra/launcher={launcher}", "--cfg", "all", "--resolve", "-p", "hydra.launcher")
    if "is not installed" in result.stderr or "unknown choice" in result.stderr:
        pytest.skip("not installed")
    assert "_target_" in result.stdout and "UserError" not in result.stderr, result.stderr


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


BAD_FILES = {
    "billion laughs": (laughs(10) + LAYERS, "describes more than 10,000 values"),
    "laughs in mappings": (
        "a0: &a0 {x: 1, y: 2}\n"
        + "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 30))
        + LAYERS,
        "describes more than 10,000 values",
    ),
    "laughs in merge keys": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30)) + LAYERS,
        "describes more than 10,000 values",
    ),
    "many long texts": (f"a: &a {'x' * 50_000}\nb: [{', '.join(['*a'] * 1_000)}]\n{LAYERS}", "10,000 values"),
    "itself": (f"a: &a [*a]\n{LAYERS}", "*a contains itself"),
    "itself in a mapping": (f"a: &a {{b: {{c: *a}}}}\n{LAYERS}", "*a contains itself"),
    "deep lists": (f"a: {'[' * 20_000}{']' * 20_000}\n{LAYERS}", "more than 50"),
    "deep lists that stay open": (f"a: {'[' * 50_000}", "more than 50"),
    "deep mappings": (f"a: {'{b: ' * 5_000}1{'}' * 5_000}\n{LAYERS}", "more than 50"),
    "deep blocks": ("".join(f"{' ' * n}a:\n" for n in range(400)), "more than 50"),
    "too large": (f"{LAYERS}# {'x' * 200_000}\n", "more than 100,000 bytes"),
    "half of a surrogate pair": (f'a: "\\ud800"\n{LAYERS}', "'\\ud800' is no character"),
    "half of a surrogate pair in a key": (f'"\\udcff": 1\n{LAYERS}', "is no character"),
    "a zero byte in quotes": (f'a: "\\0"\n{LAYERS}', "is no character"),
    "a zero byte": (f"{LAYERS}a: \0\n", "special characters are not allowed"),
}


@pytest.mark.parametrize(
    "flags",
    [("--cfg", "job"), pytest.param(("--help",), marks=LONG), pytest.param(("-m",), marks=LONG)],
    ids=["cfg", "help", "sweep"],
)
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_describes_too_much_is_one_line(case: str, flags: tuple[str, ...], call: RunCommand, tmp_path):
    text, message = BAD_FILES[case]
    mine(tmp_path, {"model/mine": text})
    result = call("summary", *MINE, "model=mine", *flags)
    if flags == ("--help",):
        assert result.returncode == 0
    else:
        assert_refused(result, "mine/model/mine.yaml", message)


def write_as(kind: str, path: Path) -> str:
    """Makes ``path`` a file of this kind. Returns a part of the message."""
    path.unlink()
    outside = path.parents[2] / "outside.yaml"
    outside.write_text(f"{LAYERS}secret: {SECRET}\n", encoding="utf-8")
    if kind == "a FIFO":
        os.mkfifo(path)
        return "not a regular file"
    if kind == "a sparse file":
        with path.open("wb") as file:
            file.truncate(200 * 10**9)
        return "more than 100,000 bytes"
    if kind == "a link to a link":
        path.symlink_to(path.name)
        return "cannot be read"
    if kind == "Latin-1":
        path.write_bytes(f"{LAYERS}# größer\n".encode("latin-1"))
        return "not UTF-8"
    if kind == "UTF-16":
        path.write_bytes(LAYERS.encode("utf-16"))
        return "not UTF-8"
    targets = {"a device": Path("/dev/zero"), "a link out of the folder": outside, "a dangling link": Path("nowhere")}
    path.symlink_to(targets[kind])
    return "cannot be read" if kind == "a dangling link" else "outside of"


@pytest.mark.parametrize(
    "kind",
    [
        *("a FIFO", "a sparse file", "a link to a link", "Latin-1", "UTF-16"),
        *("a device", "a link out of the folder", "a dangling link"),
    ],
)
def test_what_is_no_config_file_is_one_line(kind: str, call: RunCommand, tmp_path):
    mine(tmp_path, {"model/good": LAYERS})
    message = write_as(kind, tmp_path / "mine" / "model" / "mine.yaml")
    assert_refused(call("summary", *MINE, "model=mine"), "mine/model/mine.yaml", message)
    if kind in ("a FIFO", "a link out of the folder"):
        assert call("summary", *MINE, "model=good").returncode == 0
        result = call("summary", *MINE, "--help")
        assert result.returncode == 0 and SECRET not in result.stdout


def test_a_defaults_list_does_not_lead_out_of_the_folder(call: RunCommand, tmp_path):
    mine(tmp_path, {"model/mine": f"defaults: [../../outside]\n{LAYERS}"})
    write_file(tmp_path / "outside.yaml", f"secret: {SECRET}\n")
    assert_refused(call("summary", *MINE, "model=mine"), "outside of")


def doubled(template: str) -> str:
    lines = "".join(f"x{n}: {template.format(f'${{model.x{n + 1}}}')}\n" for n in range(40))
    return f"{lines}x40: aaaaaaaa\n{LAYERS}"


ENDLESS = {
    "texts": {"model/mine": doubled("{0}{0}")},
    "nodes": {"model/mine": doubled("['{0}', '{0}']")},
    "one long text": {"model/mine": f"a: {'x' * 40_000}\nb: {'${model.a}' * 5_000}\nc: {'${model.b}' * 900}\n{LAYERS}"},
    "defaults lists": {
        "model/mine": f"defaults: [/x0@a, /x0@b]\n{LAYERS}",
        **{f"x{n}": f"defaults: [x{n + 1}@a, x{n + 1}@b]\n" for n in range(25)},
        "x25": "y: 1\n",
    },
}


@pytest.mark.parametrize("case", ENDLESS)
def test_an_endless_config_of_small_files_ends_with_one_line(case: str, call: RunCommand, tmp_path, monkeypatch):
    monkeypatch.setattr("mnist_lite.process.limits.MAX_SECONDS", 0.5)
    monkeypatch.setattr("mnist_lite.process.limits.MAX_BYTES", 2**28)
    mine(tmp_path, ENDLESS[case])
    before, limits = time.process_time(), resource.getrlimit(resource.RLIMIT_AS)
    assert_refused(call("train", *TRAIN))
    assert time.process_time() - before < 8
    assert resource.getrlimit(resource.RLIMIT_AS) == limits and signal.getitimer(signal.ITIMER_PROF)[0] == 0


@pytest.mark.parametrize("override", [f"model.x={'[' * 2000}", f"name='{'${oc.select:' * 900}a{'}' * 900}'"], ids=len)
def test_an_override_that_is_nested_too_deeply_is_one_line(override: str, call: RunCommand):
    result = call("summary", override)
    assert_refused(result)
    assert len(result.stderr) < 1000


def test_a_byte_order_mark_is_accepted(call: RunCommand, tmp_path):
    mine(tmp_path, {"experiment/own": f"\ufeff{GLOBAL}epochs: 3\n"})
    assert "epochs: 3" in call("train", *MINE, "experiment=own", "--cfg", "job").stdout


def test_the_lock_of_an_editor_is_ignored(call: RunCommand, tmp_path, monkeypatch):
    mine(tmp_path, {})
    (tmp_path / "mine" / "model" / ".#mine.yaml").symlink_to("me@host.1234:567")
    os.mkfifo(tmp_path / "mine" / "model" / "pipe.yaml")
    source = UserFolder("command-line", f"user://{tmp_path / 'mine'}")
    loader = SimpleNamespace(get_sources=lambda: [source])
    before = config_digest(loader)  # type: ignore[arg-type]
    mine(tmp_path, {"model/other": LAYERS})
    assert config_digest(loader) != before  # type: ignore[arg-type]
    assert set(source.list("model", None)) == {"mine", "other", "pipe"}
    monkeypatch.setattr("mnist_lite.config.compose.MAX_FILES", 3)
    with pytest.raises(UserError, match="more than 3 files"):
        config_digest(loader)  # type: ignore[arg-type]
    result = call("summary", *MINE, "--help")
    assert result.returncode == 0 and ".#mine" not in result.stdout
    assert ".#mine" not in call("summary", *MINE, "model=nothing").stderr


def test_a_loader_that_was_sent_to_another_machine_still_checks(tmp_path):
    """Launchers of other packages pickle Hydra's loader, and the job composes its config on its own machine."""
    mine(tmp_path, {"model/evil": CODE["the environment"][0]["model/mine"]})
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    path.append("main", f"file://{config_dir()}")
    path.append("command-line", f"file://{tmp_path / 'mine'}")
    path.append("schema", "structured://")
    with starting_hydra():
        Plugins.instance()
        loader = CheckedLoader(path)
        sweep = loader.load_configuration("config", ["hydra.mode=MULTIRUN"], RunMode.MULTIRUN)
        loader.load_sweep_config(sweep, ["model=mine"])
        loader = pickle.loads(pickle.dumps(loader))
        assert loader.load_sweep_config(sweep, ["model=mine"]).model.layers
        with pytest.raises(UserError, match=r"hydra\.job\.env_set\.CXX"):
            loader.load_sweep_config(sweep, ["model=evil"])
