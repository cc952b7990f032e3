"""One run from its config to its folder: prepares or recalls the parts, iterates over the engine, records what comes."""

from __future__ import annotations

import copy
import math
import time
import traceback
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mnist_lite.backends import out_of_memory
from mnist_lite.config.overrides import train_command
from mnist_lite.config.schema import Config
from mnist_lite.errors import NoMemoryError, RunError, UserError
from mnist_lite.model import budget
from mnist_lite.model.build import build
from mnist_lite.process.stop_request import Interrupted, StopRequest
from mnist_lite.reporting import curves, layer_table
from mnist_lite.reporting.console import Console
from mnist_lite.reporting.png import DrawingError
from mnist_lite.runner import checkpoint, metrics, provenance, resume, summary
from mnist_lite.runner.folder import BEST, CONFIG, CURVES, STATE, RunFolder
from mnist_lite.runner.metrics import SUMMARY
from mnist_lite.runner.setup import RunParts, check_extension, same_so_far, set_up_run, trial_step
from mnist_lite.training.step_metrics import Row
from mnist_lite.training.trainer import DivergedError


def run(config: Config, reporter: Console | None = None, folder: Path | None = None) -> int:
    """Trains as ``config`` says, or goes on with ``config.resume``, and writes the run folder. The result is the exit code.

    The folder is a new one in ``config.runs_dir`` if ``folder`` does not name one.

    0: trained. 1: training failed, or the budget was missed with ``budget.enforce``.

    Raises:
        UserError: the config or the data is not usable. Nothing has been written then.
        Interrupted: a signal came; the state has been saved.
    """
    with closing(reporter or Console()) as told, StopRequest() as stop:
        try:
            return _new(config, told, stop, folder) if config.resume is None else _resumed(config, told, stop)
        except RunError as failure:
            told.error(failure)
            return 1


def _new(config: Config, reporter: Console, stop: StopRequest, where: Path | None) -> int:
    parts = set_up_run(config, reporter)
    stop.armed = True
    root = Path(config.runs_dir).expanduser()
    with closing(RunFolder.create(root, config.name) if where is None else RunFolder.create_at(where)) as folder:
        try:
            reporter.log_to(folder.path / "run.log")
            _write_config_and_model(config, parts, folder)
        except RunError:
            folder.delete()
            raise
        reporter.line(f"run folder: {folder.path}\n")
        return Run(config, parts, folder, reporter).train(stop)


def _resumed(config: Config, reporter: Console, stop: StopRequest) -> int:
    assert config.resume is not None
    with closing(RunFolder.open_existing(Path(config.resume))) as folder:
        state, complaints = folder.latest()
        if (state is None or folder.altered) and (folder.path / SUMMARY).exists():
            why = "; ".join(complaints) or "its checkpoints are gone"
            raise UserError(f"resume: the run in {folder.path} is finished and cannot be gone on with: {why}")
        if state is not None:
            resume.check(config, state)
            reached = state["good_enough"] is True
            if not complaints and folder.finished() and (reached or state["config"]["epochs"] == config.epochs):
                hint = (
                    f"it reached stop_at_accuracy={config.stop_at_accuracy:g}" if reached else _extension(config, state)
                )
                reporter.line(f"{folder.path} is finished: nothing is left to train ({hint})")
                return 0
        reporter.log_to(folder.path / "run.log")
        for complaint in complaints:
            reporter.warn(complaint)
        parts = set_up_run(config, reporter, state)
        run = Run(config, parts, folder, reporter)
        run.restore(state)
        stop.armed = True
        return run.train(stop)


class Run:
    """A prepared run and its open folder."""

    def __init__(self, config: Config, parts: RunParts, folder: RunFolder, reporter: Console) -> None:
        self._config, self._parts, self._folder, self._reporter = config, parts, folder, reporter
        self._trainer = parts.trainer
        self._rows: list[Row] = []
        self._best: dict[str, Any] | None = None
        self._best_is_new = False
        self._saved_step: int | None = None
        self._conditions = provenance.conditions(parts.trainer.device, parts.plan.record)
        self._resumes: list[dict[str, Any]] = []
        self._cadence = checkpoint.CheckpointTimer(config.checkpoint.steps, config.checkpoint.seconds)

    def restore(self, state: dict[str, Any] | None) -> None:
        """To the ``state`` of a checkpoint and the rows until then; None: to the beginning.

        Raises:
            UserError: the state does not fit, or the run cannot be extended to the epochs that are asked for.
        """
        epochs = self._config.epochs
        if state is not None:
            if state["data"] != summary.describe_data(self._parts.data):
                raise UserError(f"data.root: the images are not those of the run ({state['data']})")
            if state["config"]["epochs"] != epochs:
                check_extension(self._config, self._parts, state["config"]["epochs"])
            if state["step"] > epochs * self._trainer.steps_per_epoch:
                raise UserError(f"epochs: {epochs} asked for, and the run is in epoch {state['epoch']} already")
        self._rows = self._folder.rewind(state)
        if state is None:
            self._folder.remove(BEST)
            self._reporter.line(f"no checkpoint in {self._folder.path}: starting from the first step\n")
            return
        self._trainer.load_state_dict(state, self._rows)
        self._best, self._best_is_new = state["best"], True
        self._saved_step, self._resumes = state["step"], state["resumes"]
        then, now = state["conditions"], self._conditions
        changed = {key: [then.get(key), now[key]] for key in now if then.get(key) != now[key]}
        missing = metrics.missing_steps(self._rows, int(state["step"]))
        self._resumes.append({"step": state["step"], "changed": changed, "missing_steps": missing})
        if self._folder.altered:
            gaps = ", ".join(f"{first} to {last}" for first, last in missing) or "none"
            self._reporter.warn(
                "The run continues from a good checkpoint, with the rows of metrics.jsonl that can still be read.\n"
                f"Rows of these steps are missing, in the curves too: {gaps}. Rows that were changed cannot be told from others."
            )
        if changed:
            said = "; ".join(f"{key}: {old}, now {new}" for key, (old, new) in changed.items())
            self._reporter.warn(
                f"The run goes on under other conditions ({said}).\n"
                "Its figures may differ in the last bits from those of a run that was never interrupted."
            )
        self._folder.remove(SUMMARY)
        _write_config_and_model(self._config, self._parts, self._folder)
        self._reporter.line(f"going on after step {state['step']} (epoch {state['epoch']}) in {self._folder.path}\n")

    def train(self, stop: StopRequest) -> int:
        """Trains to the end and writes everything; the exit code.

        Raises:
            RunError: the training cannot go on.
            Interrupted: a signal came.
        """
        failure: BaseException
        try:
            self._iterate(stop)
            code = self._finish()
        except (RunError, Interrupted):
            raise
        except DivergedError as error:
            self._add(error.rows)
            self._folder.flush()
            raise RunError(
                f"{error}: training has diverged, and this update was not made; {self._describe_last_checkpoint()}; "
                "try a lower optimizer.lr or clip_grad_norm=1"
            ) from error
        except Exception as error:
            if not out_of_memory.is_out_of_memory(error):
                self._reporter.note(traceback.format_exc())
                self._reporter.warn(
                    f"internal error; the traceback is in {self._folder.path / 'run.log'}; {self._describe_last_checkpoint()}"
                )
                raise
            failure = error.with_traceback(None)  # which holds what filled the memory
        else:
            stop.raise_if_received()
            return code
        raise NoMemoryError(self._describe_memory_error(failure)) from failure

    def _iterate(self, stop: StopRequest) -> None:
        trainer, epoch = self._trainer, -1
        for new in trainer.fit():
            if trainer.epoch != epoch:
                epoch = trainer.epoch
                self._reporter.start_epoch(epoch, self._config.epochs, trainer.steps_per_epoch)
            self._add(new)
            self._reporter.show(trainer.step, [row for row in new if "train/loss" in row])
            if new and "test/loss" in new[-1]:
                self._evaluated(new[-1])
            if stop.received is not None and not trainer.done:
                self._interrupted(stop)
            if self._cadence.due(trainer.step) and not trainer.done:
                started = time.perf_counter()
                self._save()
                self._cadence.written(time.perf_counter() - started)

    def _add(self, rows: list[Row]) -> None:
        for row in rows:
            for key, value in row.items():
                if not math.isfinite(value):
                    raise RunError(
                        f"{key} is {value} at step {row['step']} (epoch {row['epoch']}, lr {row['lr']:.3g}): training has "
                        f"diverged; {self._describe_last_checkpoint()}; try a lower optimizer.lr or clip_grad_norm=1"
                    )
        self._rows += rows
        self._folder.add_rows(rows)

    def _evaluated(self, row: Row) -> None:
        trainer = self._trainer
        if row["epoch_end"]:
            self._reporter.end_epoch()
        self._reporter.evaluated(float(row["test/accuracy"]))
        self._reporter.line(lambda width: metrics.epoch_line(row, self._config.epochs, width))
        if metrics.has_died(row, trainer.steps_per_epoch):
            self._reporter.warn(_DEATH.format(epoch=row["epoch"]))
        self._folder.flush()
        score = float(row[f"{trainer.data.selection_split}/accuracy"])
        if self._best is None or score > self._best["score"]:
            state = trainer.state_dict()
            weights = {key: copy.deepcopy(state[key]) for key in ("model", "ema")}
            self._best = {"epoch": trainer.epoch, "step": trainer.step, "score": score, "row": row, **weights}
            self._best_is_new = True

    def _save(self) -> None:
        """Everything in one file, so that no kill leaves two that do not belong together; ``best.pt`` is a copy of its part."""
        self._add(self._trainer.drain())
        config = _recorded(self._config)
        self._folder.save(
            {
                "version": resume.VERSION,
                **self._trainer.state_dict(),
                "best": self._best,
                "config": config,
                "data": summary.describe_data(self._parts.data),
                "conditions": self._conditions,
                "resumes": self._resumes,
            }
        )
        self._saved_step = self._trainer.step
        if self._best is not None and self._best_is_new:
            self._folder.save_best({**self._best, "config": config})
            self._best_is_new = False

    def _interrupted(self, stop: StopRequest) -> None:
        trainer, path = self._trainer, self._folder.path
        assert stop.received is not None
        reason = Interrupted(stop.received)
        self._save()
        self._reporter.end_epoch()
        self._reporter.line(
            f"stopped by {reason} after step {trainer.step} (epoch {trainer.epoch}); saved. To go on:\n"
            f"{train_command([f'resume={path}'])}"
        )
        data = self._parts.data
        measured = budget.describe_test_set(data.name, len(data.test))
        self._draw(f"{self._config.name} on {measured}, stopped in epoch {trainer.epoch}")
        raise reason

    def _finish(self) -> int:
        config, network, data, rows = self._config, self._parts.network, self._parts.data, self._rows
        self._save()
        said = summary.summary(config, network, data, self._trainer.device, self._parts.plan.record, rows)
        self._folder.write_json(SUMMARY, {**said, "resumes": self._resumes})  # from here on the run is finished
        for text in summary.lines(config, network, data, rows):
            self._reporter.line(text)
        if self._draw(summary.title(config, network, data, rows), config.budget.accuracy):
            self._reporter.line(f"curves: {self._folder.path / CURVES}")
        return 1 if config.budget.enforce and not summary.verdict_of(config, network, data, rows).passes else 0

    def _draw(self, title: str, target: float | None = None) -> bool:
        """Draws the curves. If that fails, a warning is all: no figure depends on a picture. Whether it was drawn."""
        try:
            self._folder.write_bytes(CURVES, curves.draw(self._rows, title, target))
        except (DrawingError, RunError) as error:
            self._reporter.warn(f"The curves were not drawn: {error}")
            self._reporter.note(traceback.format_exc())
            return False
        return True

    def _describe_last_checkpoint(self) -> str:
        if self._saved_step is None:
            return "no checkpoint was due before"
        return f"last good checkpoint: {self._folder.path / STATE} (step {self._saved_step})"

    def _describe_memory_error(self, failure: BaseException) -> str:
        config, device = self._config, self._trainer.device
        self._trainer.optimizer.zero_grad(set_to_none=True)
        parts = self._parts
        fits = out_of_memory.largest_that_fits(
            lambda size: trial_step(config, parts.network, size, device, parts.plan.backend), config.batch_size
        )
        hint = f"a step with batch_size={fits} fits" if fits else "not even a step with one image fits"
        return (
            f"out of memory on {device} with batch_size={config.batch_size}; {hint} (tried); "
            f"{self._describe_last_checkpoint()}"
        )


def _extension(config: Config, state: Mapping[str, Any]) -> str:
    """What to say of more epochs for the finished run of ``state``."""
    steps = state["step"] // state["epoch"]
    module = build(config.model).module
    if same_so_far(config, module, steps, config.epochs, config.epochs + 1):
        return "epochs=... extends it"
    return f"a run with {config.scheduler['name']} cannot be extended: the schedule depends on the number of epochs"


def _recorded(config: Config) -> dict[str, Any]:
    """What the run is, however often it was gone on with."""
    return {**asdict(config), "resume": None}


def _write_config_and_model(config: Config, parts: RunParts, folder: RunFolder) -> None:
    folder.write_text(CONFIG, OmegaConf.to_yaml(OmegaConf.create(_recorded(config))))
    folder.write_text("model.txt", layer_table.as_text(parts.network) + "\n")


_DEATH = (
    "The network has not learned anything in epoch {epoch}: its loss stands at ln 10 = 2.303, every digit gets the same chance.\n"
    "Likely cause: all units of a ReLU are dead, as can happen just before an average pool. Try another seed, a lower lr,\n"
    "a warm-up (scheduler=onecycle), init=kaiming, or batch norm."
)
