"""What all commands share: Hydra composes the config, the schema checks it, errors become one line and an exit code.

Exit codes: 0 done, 1 the work failed, 2 bad input, 128 + n stopped by signal n (130: Ctrl-C, 143: SIGTERM). Nothing here or
above imports torch, so that ``--help``, ``--cfg job`` and completion answer at once.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from mnist_lite import recall
from mnist_lite.errors import RunError, UserError, did_you_mean
from mnist_lite.schema import Config, SweepConfig, explain, validate
from mnist_lite.sweep.job import Job, Refused, folder_of, known_folders

C = TypeVar("C", bound=Config)
T = TypeVar("T")
BAD_INPUT = 2
LONGEST_LINE = 400
GROUPS = ("model", "data", "augment", "optimizer", "scheduler", "experiment")


def config_dir() -> Path:
    """The folder of the shipped configs: inside the package when installed from a wheel, else at the top of the checkout."""
    here = Path(__file__).resolve().parent
    return here / "conf" if (here / "conf").is_dir() else here.parents[1] / "conf"


def run_command(config_name: str, schema: type[C], job: Callable[[C], int]) -> NoReturn:
    """Composes ``config_name`` with the command line's overrides, runs ``job`` on it, and exits.

    In a sweep (``-m``) of trainings the exit code is the number of jobs that have failed.
    """
    task = Task(schema, job)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets Hydra's errors through to us instead of printing and exiting 1
    codes = [_guarded(lambda: _put_flags_first(sys.argv))]
    if max(codes):
        sys.exit(max(codes))
    main = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)(task)
    try:
        codes.append(_guarded(lambda: main() or 0))
    except Exception as error:
        if task.faulty:
            raise
        # Not from a job, so from composing: a file that is not UTF-8, lists that hold themselves, a group set to null.
        print(f"error: the config cannot be composed: {_one_line(error)}", file=sys.stderr)
        codes.append(BAD_INPUT)
    for sweep in task.sweeps:
        _drop_if_empty(sweep)
    sys.exit(max(codes + task.codes))


class Task(Generic[C]):
    """What Hydra calls with a composed config. ``LocalLauncher`` calls ``plan`` instead, with all configs of a sweep."""

    def __init__(self, schema: type[C], job: Callable[[C], int]) -> None:
        self._schema, self._job = schema, job
        self.codes = [0]
        self.sweeps: set[Path] = set()
        self.faulty = False
        """Whether a job has raised what is nobody's input."""

    def __call__(self, composed: DictConfig) -> float | None:
        """One job; in a sweep, by another launcher than ours, its score."""
        try:
            if HydraConfig.get().mode == RunMode.MULTIRUN and self._schema is Config:
                return self._one_of_many(composed)
            self.codes.append(_guarded(lambda: self._job(_checked(composed, self._schema))))
        except Exception:
            self.faulty = True
            raise
        return None

    def plan(self, composed: Sequence[DictConfig]) -> list[float | None]:
        """A sweep on this machine; the scores of its jobs."""
        if self._schema is not Config:
            return [self._with_hydra(one, self) for one in composed]
        from mnist_lite.sweep.conduct import conduct
        from mnist_lite.sweep.job import score

        sweep = self._with_hydra(composed[0], _sweep)
        known = known_folders(Path(sweep.dir).expanduser())
        wanted = [self._with_hydra(one, lambda ours: self._wanted(ours, known)) for one in composed]
        self.sweeps.add(Path(sweep.dir))
        try:
            self.codes.append(_guarded(lambda: conduct(wanted, sweep)))
        except RunError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            self.codes.append(1)
        return [score(job) if isinstance(job, Job) else None for job in wanted]

    def _one_of_many(self, composed: DictConfig) -> float | None:
        from mnist_lite.sweep.conduct import write_plan
        from mnist_lite.sweep.job import score
        from mnist_lite.sweep.run import run

        folder = Path(_sweep(composed).dir).expanduser()
        wanted = self._wanted(composed, known_folders(folder))
        self.sweeps.add(folder)
        write_plan(folder, [wanted])
        error = wanted.error if isinstance(wanted, Refused) else run(wanted, None)
        if error is not None:
            print(f"FAILED  {','.join(wanted.overrides)}: {error}", file=sys.stderr, flush=True)
            self.codes.append(1)
        return score(wanted) if isinstance(wanted, Job) else None

    def _wanted(self, composed: DictConfig, known: Mapping[str, Path]) -> Job | Refused:
        ours = tuple(word for word in HydraConfig.get().overrides.task if not word.startswith("sweep."))
        try:
            config = _checked(composed, Config)
        except (UserError, HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
            return Refused(ours, _one_line(error))
        return Job(ours, config, folder_of(config, known))

    def _with_hydra(self, composed: DictConfig, use: Callable[[DictConfig], T]) -> T:
        HydraConfig.instance().set_config(composed)
        ours = copy.deepcopy(composed)
        with read_write(ours), open_dict(ours):
            del ours["hydra"]
        return use(ours)


def _sweep(composed: DictConfig) -> SweepConfig:
    made = OmegaConf.to_object(
        OmegaConf.merge(OmegaConf.structured(SweepConfig), OmegaConf.to_container(composed.sweep, resolve=True))
    )
    assert isinstance(made, SweepConfig)
    made.dir = HydraConfig.get().sweep.dir  # which is sweep.dir unless somebody has given Hydra another
    return made


def _put_flags_first(argv: list[str]) -> int:
    """Sorts ``argv`` in place: flags, then overrides. Hydra's parser refuses an override after a flag after an override."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")

    parser.error = refuse  # type: ignore[method-assign]
    overrides = parser.parse_intermixed_args(argv[1:]).overrides
    flags = argv[1:]
    for override in overrides:
        flags.remove(override)
    for override in overrides:
        group, _, value = override.partition("=")
        if group in GROUPS and value == "null":
            raise UserError(f"{group}: null is not a choice; name a file of the group, or leave {group}=... out")
    argv[1:] = [*flags, *(_quoted(override) for override in overrides)]
    return 0


def _quoted(override: str) -> str:
    """``resume=<path>`` as Hydra's grammar wants it: names of run folders have equals signs in them."""
    key, _, path = override.partition("=")
    if key != "resume" or path in ("", "null") or path[0] in "'\"":
        return override
    escaped = path.replace("'", "\\'")
    return f"resume='{escaped}'"


def _checked(composed: DictConfig, schema: type[C]) -> C:
    settings = HydraConfig.get()
    chosen = {str(group): name for group, name in settings.runtime.choices.items() if "hydra/" not in str(group)}
    with open_dict(composed):
        composed.choices = chosen
        if OmegaConf.select(composed, "name") is None:
            composed.name = chosen.get("experiment") or chosen.get("model") or "run"
        if settings.mode == RunMode.MULTIRUN:
            composed.runs_dir = settings.sweep.dir
            composed.name = f"{composed.name}_{settings.job.override_dirname}".rstrip("_")
    folder = OmegaConf.select(composed, "resume")
    if folder is not None:
        if not folder:
            raise UserError("resume: empty; name the folder of a run")
        if schema is not Config or settings.mode == RunMode.MULTIRUN:
            raise UserError("resume: goes on with one run, by the train command and without -m")
        config = recall.config(Path(str(folder)).expanduser(), composed, settings.overrides.task)
    else:
        config = validate(composed, schema)
    assert isinstance(config, schema)
    return config


def _drop_if_empty(sweep: Path) -> None:
    """Takes away the folder of a sweep in which no job got as far as a run folder; Hydra has left its config there."""
    if [path.name for path in sweep.iterdir()] == ["multirun.yaml"]:
        (sweep / "multirun.yaml").unlink()
        sweep.rmdir()
        above = (sweep.parent, sweep.parent.parent) if sweep.parent.name == "sweeps" else ()  # else it is not ours
        for folder in above:
            if any(folder.iterdir()):
                break
            folder.rmdir()


def _guarded(work: Callable[[], int], label: str = "") -> int:
    """The exit code of ``work``; errors of the user's making are printed as one line."""
    try:
        return work()
    except (UserError, HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        print(f"error: {label}{_one_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as signal:
        print(f"stopped by {str(signal) or 'SIGINT'}", file=sys.stderr)
        sys.exit(getattr(signal, "code", 130))


def _one_line(error: Exception) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if not error.options:
            return f"no config file {error.missing_cfg_file!r} (named by --config-name or by a defaults list)"
        return f"{group}: no choice {name!r}; {did_you_mean(name, error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} is not of the form key=value ({str(error).splitlines()[0]})"
    for cause in (error, error.__cause__):
        if isinstance(cause, OmegaConfBaseException):
            return explain(cause)
    text = str(error) if len(str(error)) < LONGEST_LINE else str(error)[:LONGEST_LINE] + "..."
    return str(UserError(text or type(error).__name__))
