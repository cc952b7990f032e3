"""What Hydra calls: one run for a composed config, or the parts of a sweep."""

from __future__ import annotations

import copy
import hashlib
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from mnist_lite.config.error_messages import BAD_INPUT, USER_ERRORS, exit_code_of, one_line
from mnist_lite.config.overrides import train_command
from mnist_lite.config.schema import Config, SweepConfig, validate, validate_sweep
from mnist_lite.errors import LauncherError, RunError, UserError
from mnist_lite.process.startup import keep_streams_usable
from mnist_lite.runner import resume
from mnist_lite.sweeps.job import InvalidJob, Job, has_checkpoint, job_folder, known_folders, score, without_sweep_keys
from mnist_lite.sweeps.manifest import add_entries, manifest_entry

if TYPE_CHECKING:  # Optuna is an extra
    from mnist_lite.sweeps.search import Search

C = TypeVar("C", bound=Config)
T = TypeVar("T")
MAX_SEED = 2**31


class Task(Generic[C]):
    """A command. What it leaves for the process to say is in ``codes``."""

    def __init__(self, schema: type[C], job: Callable[[C], int]) -> None:
        self._schema, self._job = schema, job
        self._found: dict[str, str] = {}  # travels to the nodes of a cluster with the task
        self.codes = [0]
        self.composed = False
        """Whether Hydra has composed the config. An error before that lies in the config's files, one after it in our code."""

    @property
    def trains(self) -> bool:
        """Whether its jobs are runs, which have a place in a sweep's folder."""
        return self._schema is Config

    def __call__(self, composed: DictConfig) -> float | None:
        """One job; in a sweep of trainings, by another launcher than ours, its score."""
        self.composed = True
        if HydraConfig.get().mode == RunMode.MULTIRUN and self.trains:
            return self._one_of_many(composed)
        self.codes.append(exit_code_of(lambda: self._job(_checked(composed, self._schema))))
        return None

    def compose(self, loader: ConfigLoader, master: DictConfig, words: Sequence[str]) -> DictConfig:
        """The config of the job whose overrides are ``words``.

        Raises:
            UserError: it cannot be composed.
        """
        try:
            return loader.load_sweep_config(master, list(words))
        except USER_ERRORS as error:
            raise UserError(one_line(error)) from error
        except Exception as error:  # for a list that holds itself or a file that is not text Hydra raises anything
            raise UserError(f"the config cannot be composed: {one_line(error)}") from error

    def sweep_config(self, master: DictConfig) -> SweepConfig:
        """How the sweep of ``master`` is to be carried out; its folder as a path that holds on any machine.

        Raises:
            UserError: a value that is not allowed.
        """

        def checked(ours: DictConfig) -> SweepConfig:
            if not HydraConfig.get().sweep.dir:
                raise UserError("sweep.dir: empty; name a folder, . for this one")
            if ours.get("resume") is not None:
                raise UserError("resume: goes on with one run, by the train command and without -m")
            return validate_sweep(ours.sweep, str(_here(HydraConfig.get().sweep.dir)))

        return _with_hydra(master, checked)

    def maker(
        self, loader: ConfigLoader, master: DictConfig, sweep: SweepConfig
    ) -> Callable[[Sequence[str]], Job | InvalidJob]:
        """What makes a job of the words of its overrides."""
        known = known_folders(Path(sweep.dir))
        made = 0

        def make(words: Sequence[str]) -> Job | InvalidJob:
            nonlocal made
            try:
                composed = self.compose(loader, master, words)
            except UserError as error:
                return InvalidJob(without_sweep_keys(words), str(error))
            composed.hydra.job.id, composed.hydra.job.num = str(made), made
            made += 1
            return _with_hydra(composed, lambda ours: self._wanted(ours, known.get))

        return make

    def run_here(self, loader: ConfigLoader, master: DictConfig, wanted: Sequence[Sequence[str]]) -> list[float | None]:
        """A grid of jobs on this machine; their scores."""
        if not self.trains:
            composed = [self.compose(loader, master, words) for words in wanted]
            return [_with_hydra(one, self) for one in composed]
        from mnist_lite.sweeps.grid import Grid
        from mnist_lite.sweeps.run_local import run_local

        sweep = self.sweep_config(master)
        grid = Grid(
            [tuple(words) for words in wanted],
            self.maker(loader, master, sweep),
            sweep,
            config_digest(loader),
            lambda: self.find_data(str(master.data.root)),
        )
        states = ", ".join(f"{number} {state}" for state, number in grid.states.items())
        failures = run_local(f"sweep of {len(wanted)} jobs in {sweep.dir}: {states}", grid, str(master.device), sweep)
        self.codes.append(
            BAD_INPUT if len(grid.invalid_jobs) == len(wanted) else int(failures + len(grid.invalid_jobs) > 0)
        )
        folders = [grid.folders.get(tuple(words)) for words in wanted]
        return [None if folder is None else score(folder) for folder in folders]

    def search(
        self, loader: ConfigLoader, master: DictConfig, overrides: Sequence[Override], n_trials: int, seed: int
    ) -> Search:
        """The search of ``overrides``, begun or gone on with.

        Raises:
            UserError: it cannot be made, or Optuna is not installed.
        """
        if not self.trains:
            raise UserError("hydra/sweeper=optuna: only the train command can search")
        if not (type(n_trials) is int and n_trials >= 1):
            raise UserError(f"hydra.sweeper.n_trials: {n_trials} is out of range; expected a whole number >= 1")
        if not (type(seed) is int and 0 <= seed < MAX_SEED):
            raise UserError(
                f"hydra.sweeper.seed: {seed} is out of range; expected a whole number from 0 to {MAX_SEED - 1}"
            )
        try:
            from mnist_lite.sweeps.search import Search
            from mnist_lite.sweeps.search_space import parse_space
        except ModuleNotFoundError as error:
            raise UserError(f'hydra/sweeper=optuna: {error}; in the checkout: pip install -e ".[search]"') from error

        space, same = parse_space(overrides)
        sweep = self.sweep_config(master)
        return Search(space, same, self.maker(loader, master, sweep), sweep, n_trials, seed)

    def search_here(self, search: Search, master: DictConfig) -> None:
        """Makes the trials of ``search`` on this machine."""
        from mnist_lite.sweeps.run_local import run_local

        sweep = self.sweep_config(master)
        states = "".join(f"{number} {state}, " for state, number in search.states.items())
        failures = run_local(
            f"search in {sweep.dir}: {states}{search.count} to make", search, str(master.device), sweep
        )
        self.codes.append(int(failures > 0))

    @contextmanager
    def sweeping(self, master: DictConfig) -> Iterator[None]:
        """Whatever happens within, what there is of the sweep is written down at its end, and shown if it was not stopped."""
        if not self.trains:
            yield
            return
        from mnist_lite.sweeps.results import has_failures
        from mnist_lite.sweeps.run_local import finalize, list_outputs

        folder = Path(self.sweep_config(master).dir)
        new = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            yield
        except KeyboardInterrupt:
            if folder in new and not any(path.is_dir() for path in folder.glob("*")):  # no job has begun
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(OSError):
                    for parent in new[1:]:  # innermost first
                        parent.rmdir()
            elif folder.is_dir():
                saved = any(has_checkpoint(job) for job in folder.iterdir())
                what = "To go on" if saved else "No job has a checkpoint yet. To start again"
                print(f"{what}:\n{_again(folder)}", flush=True)
                with suppress(UserError, RunError):
                    finalize(folder)
            raise
        except LauncherError as error:
            traceback.print_exception(error.__cause__)
            print(f"error: the launcher has given up: {error}", file=sys.stderr, flush=True)
            self.codes.append(1)
        rows, text = finalize(folder)
        if rows:
            print(f"\n{text}\n\n{list_outputs(folder)}", flush=True)
        self.codes.append(int(has_failures(rows)))

    def _one_of_many(self, composed: DictConfig) -> float | None:
        from mnist_lite.sweeps.run_job import run_job

        keep_streams_usable()  # another launcher runs this in a process that has not begun as a command of ours
        folder = _here(HydraConfig.get().sweep.dir)
        wanted = self._wanted(composed, known_folders(folder).get)
        add_entries(folder, [manifest_entry(wanted)])
        error = wanted.error if isinstance(wanted, InvalidJob) else run_job(wanted).error
        if error is not None:
            print(f"FAILED  {','.join(wanted.overrides)}: {error}", file=sys.stderr, flush=True)
            self.codes.append(1)
        return score(wanted.folder) if isinstance(wanted, Job) else None

    def find_data(self, root: str) -> str:
        """What ``data=auto`` is in the folder ``root``: ``mnist`` or ``digits``. Looks once, and warns once."""
        if root not in self._found:
            from mnist_lite.data.dataset import available  # imports torch
            from mnist_lite.reporting.console import Console

            self._found[root], warning = available(root)
            if warning is not None:
                with closing(Console()) as reporter:
                    reporter.warn(warning)
        return self._found[root]

    def _wanted(self, composed: DictConfig, known: Callable[[str], Path | None]) -> Job | InvalidJob:
        """The job of a composed config. The data set is part of what the job is, so ``auto`` is resolved here."""
        ours = without_sweep_keys(HydraConfig.get().overrides.task)
        try:
            config = _checked(composed, Config)
        except USER_ERRORS as error:
            return InvalidJob(ours, one_line(error))
        found = self.find_data(config.data.root) if config.data.name == "auto" else None
        if found is not None:
            config = replace(config, data=replace(config.data, name=found))
        return Job(ours, config, job_folder(config, known), found)


def _again(folder: Path) -> str:
    """The command line of this process, for the sweep in ``folder``."""
    words = [word for word in sys.argv[1:] if not word.startswith("sweep.dir=")]
    return train_command([*words, f"sweep.dir={folder}"])


def config_digest(loader: ConfigLoader) -> str:
    """The same for two starts if all config files that they can choose from are the same."""
    digest = hashlib.sha256()
    for source in loader.get_sources():
        digest.update(source.full_path().encode())
        if source.scheme() == "file":
            for path in sorted(Path(source.path).rglob("*.yaml")):
                digest.update(str(path.relative_to(source.path)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _with_hydra(composed: DictConfig, use: Callable[[DictConfig], T]) -> T:
    HydraConfig.instance().set_config(composed)
    ours = copy.deepcopy(composed)
    with read_write(ours), open_dict(ours):
        del ours["hydra"]
    return use(ours)


def _here(folder: Any) -> Path:
    """A relative path as the user meant it: a job may run elsewhere."""
    return Path(HydraConfig.get().runtime.cwd) / Path(str(folder)).expanduser()


def _checked(composed: DictConfig, schema: type[C]) -> C:
    settings = HydraConfig.get()
    chosen = {str(group): name for group, name in settings.runtime.choices.items() if "hydra/" not in str(group)}
    with open_dict(composed):
        composed.choices = chosen
        if OmegaConf.select(composed, "name") is None:
            composed.name = chosen.get("experiment") or chosen.get("model") or "run"
        if settings.mode == RunMode.MULTIRUN:
            composed.runs_dir = str(_here(settings.sweep.dir))
            composed.name = f"{composed.name}_{settings.job.override_dirname}".rstrip("_")
    folder = OmegaConf.select(composed, "resume")
    if folder is not None:
        if not folder:
            raise UserError("resume: empty; name the folder of a run")
        if schema is not Config or settings.mode == RunMode.MULTIRUN:
            raise UserError("resume: goes on with one run, by the train command and without -m")
        config = resume.config(Path(str(folder)).expanduser(), composed, settings.overrides.task)
    else:
        config = validate(composed, schema)
    assert isinstance(config, schema)
    return config
