"""Trains a run that is set up: iterates over the trainer, and decides what is printed, recorded, saved and drawn.

It computes nothing itself. The trainer gives rows of metrics and its state.
"""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Iterable
from typing import Any

import torch

from mnist_lite.backends import out_of_memory, without_compiler
from mnist_lite.config.overrides import train_command
from mnist_lite.config.schema import Config
from mnist_lite.errors import MachineError, NoMemoryError, RunError
from mnist_lite.model import budget
from mnist_lite.model.build import INPUT_SHAPE
from mnist_lite.process.stop_request import Interrupted, StopRequest
from mnist_lite.reporting import curves, layer_table
from mnist_lite.reporting.console import Console
from mnist_lite.reporting.png import DrawingError
from mnist_lite.reporting.progress_text import epoch_line
from mnist_lite.reporting.tensorboard import TensorBoard
from mnist_lite.runner import checkpoint, config_file, metrics, provenance, resume, summary
from mnist_lite.runner.checkpoint import Best, Checkpoint, CheckpointTimer
from mnist_lite.runner.folder import BEST, CURVES, LAST, LOG, MODEL, RunFolder
from mnist_lite.runner.metrics_file import parse_rows
from mnist_lite.runner.run_format import FORMAT
from mnist_lite.runner.setup import RunParts
from mnist_lite.runner.summary import SUMMARY
from mnist_lite.training.mistakes import worst_mistakes
from mnist_lite.training.step_metrics import Row
from mnist_lite.training.trainer import DivergedError

DEAD_NETWORK = (
    "The network has learned nothing in epoch {epoch}: its loss is ln 10 = 2.303, so every digit has the same probability.\n"
    "Likely cause: all units of a ReLU are dead, often the last ReLU before an average pool. Try another seed, a lower lr,\n"
    "a warm-up (scheduler=onecycle), init=kaiming, or batch norm."
)


MISTAKES = 25
"""The number of images of mistakes for TensorBoard."""


class RunLoop:
    """The parts of a run, its folder, and all that was recorded so far."""

    def __init__(self, config: Config, parts: RunParts, folder: RunFolder, console: Console) -> None:
        self._config, self._parts, self._folder, self._console = config, parts, folder, console
        self._trainer = parts.trainer
        self._provenance = provenance.collect(parts.trainer.device, parts.plan.record)
        self._timer = CheckpointTimer(config.checkpoint.steps, config.checkpoint.seconds)
        self._rows: list[Row] = []
        self._best: Best | None = None
        self._best_is_saved = True
        self._saved_step: int | None = None
        self._resumes: list[dict[str, Any]] = []
        self._board: TensorBoard | None = None

    def write_config_and_model(self) -> None:
        """Writes ``config.yaml`` and ``model.txt``."""
        self._folder.write(config_file.CONFIG, config_file.as_yaml(self._config))
        self._folder.write(MODEL, f"{layer_table.as_text(self._parts.network)}\n".encode())

    def restore(self, state: Checkpoint | None, damaged: Iterable[str]) -> None:
        """Goes back to the checkpoint ``state``, and removes all later results from the folder. None: to the beginning.

        Raises:
            UserError: the checkpoint does not fit the config or the data.
        """
        console, folder, changed = self._console, self._folder, {}
        if state is not None:
            resume.check_images(self._parts.data, state)
            self._rows = parse_rows(state["metrics"])
            self._trainer.load_state_dict(state, self._rows)
            self._best, self._best_is_saved = state["best"], False
            self._saved_step = state["step"]
            changed = resume.changed_conditions(state["conditions"], provenance.conditions(self._provenance))
            self._resumes = [*state["resumes"], {"step": state["step"], "changed": changed}]
        folder.set_aside(damaged)
        folder.metrics.restore("" if state is None else state["metrics"])
        # Before the first step there is no best epoch. A run that goes on from a checkpoint is no longer finished.
        folder.remove(BEST if state is None else SUMMARY)
        self.write_config_and_model()
        if changed:
            text = "; ".join(f"{key}: {before}, now {now}" for key, (before, now) in changed.items())
            console.warn(
                f"The run continues under other conditions ({text}).\n"
                "Its results may differ in the last bits from those of a run without interruption."
            )
        if state is None:
            console.line(f"no checkpoint in {folder.path}: starting from the first step\n")
        else:
            console.line(f"resuming after step {state['step']} (epoch {state['epoch']}) in {folder.path}\n")

    def train(self, stop: StopRequest) -> int:
        """Trains to the end and writes all files. Returns the exit code.

        Raises:
            RunError: the training failed.
            Interrupted: a signal came. The state was saved.
        """
        if self._config.tensorboard:
            self._board = TensorBoard(self._folder.path, self._trainer.step)
            self._board.text("config", config_file.as_yaml(self._config).decode())
            self._board.text("layers", layer_table.as_text(self._parts.network))
        try:
            self._iterate(stop)
            code = self._finish()
        except MachineError:  # the disk is full, or the folder cannot be written, so no curves can be written
            raise
        except Exception as error:
            failure = error
        else:
            stop.raise_if_received()
            return code
        finally:
            if self._board is not None:
                self._board.close()
        # This is after the ``except`` block. Inside it, Python 3.10 keeps the error's frames alive, so their tensors stay in
        # memory.
        explained = self._explain(failure)
        self._draw(f"{self._images_title()}, failed in epoch {self._trainer.epoch}")
        if explained is failure:
            raise failure
        raise explained from failure

    def _iterate(self, stop: StopRequest) -> None:
        trainer, console, epoch = self._trainer, self._console, None
        for rows in trainer.fit():
            if trainer.epoch != epoch:
                epoch = trainer.epoch
                console.start_epoch(epoch, self._config.epochs, trainer.steps_per_epoch)
            self._record(rows)
            console.show_step(trainer.step, rows)
            if rows and "test/loss" in rows[-1]:
                self._show_evaluation(rows[-1])
                self._keep_best(rows[-1])
            if stop.received is not None and not trainer.done:
                self._interrupt(Interrupted(stop.received))
            if self._timer.due(trainer.step) and not trainer.done:
                started = time.perf_counter()
                self._save()
                self._timer.written(time.perf_counter() - started)

    def _record(self, rows: list[Row]) -> None:
        self._rows += rows
        self._folder.metrics.append(rows)
        if self._board is not None:
            self._board.rows(rows)

    def _show_evaluation(self, row: Row) -> None:
        if row["epoch_end"]:
            self._console.end_epoch()
        self._console.line(lambda width: epoch_line(row, self._config.epochs, width))
        if metrics.has_died(row, self._trainer.steps_per_epoch):
            self._console.warn(DEAD_NETWORK.format(epoch=row["epoch"]))
        self._folder.metrics.flush()

    def _keep_best(self, row: Row) -> None:
        trainer = self._trainer
        score = row[f"{trainer.data.selection_split}/accuracy"]
        if self._best is None or score > self._best["score"]:
            state = trainer.state_dict()
            model, ema = copy.deepcopy((state["model"], state["ema"]))
            self._best = Best(epoch=trainer.epoch, step=trainer.step, score=score, row=row, model=model, ema=ema)
            self._best_is_saved = False

    def _save(self) -> None:
        """Writes ``last.pt``, then ``best.pt``.

        ``last.pt`` holds everything, also the best weights. If the process is killed before ``best.pt`` is written, a
        resume writes it from ``last.pt``.
        """
        self._record(self._trainer.drain())
        config = config_file.as_dict(self._config)
        self._folder.save(
            {
                **self._trainer.state_dict(),
                "format": FORMAT,
                "best": self._best,
                "config": config,
                "data": summary.describe_data(self._parts.data),
                "conditions": provenance.conditions(self._provenance),
                "resumes": self._resumes,
            }
        )
        self._saved_step = self._trainer.step
        if self._best is not None and not self._best_is_saved:
            self._folder.write(BEST, checkpoint.pack({**self._best, "format": FORMAT, "config": config}))
            self._best_is_saved = True

    def _interrupt(self, signal: Interrupted) -> None:
        trainer, path = self._trainer, self._folder.path
        self._save()
        self._console.end_epoch()
        self._console.line(
            f"stopped by {signal} after step {trainer.step} (epoch {trainer.epoch}); saved. To continue:\n"
            f"{train_command([f'resume={path}'])}"
        )
        self._draw(f"{self._images_title()}, stopped in epoch {trainer.epoch}")
        raise signal

    def _finish(self) -> int:
        config, parts, console = self._config, self._parts, self._console
        self._save()
        result = summary.build_summary(config, parts.network, parts.data, self._provenance, self._rows, self._resumes)
        self._folder.write(SUMMARY, summary.as_json(result))  # from here on the run is finished
        if self._board is not None:
            for number, mistake in enumerate(worst_mistakes(self._trainer, MISTAKES), 1):
                title = (
                    f"mistakes/{number:02d}: {mistake.label} taken for {mistake.prediction}, loss {mistake.loss:.2f}"
                )
                self._board.image(title, mistake.image, self._trainer.step)
        if self._trainer.step < config.epochs * self._trainer.steps_per_epoch:
            console.line(
                f"stopped in epoch {self._trainer.epoch}: stop_at_accuracy={config.stop_at_accuracy:g} is reached"
            )
        verdict = budget.after_training(config.budget, result.reached)
        for text in [*summary.result_lines(result), *(f"budget {check}" for check in verdict.checks)]:
            console.line(text)
        if self._draw(summary.headline(result), config.budget.accuracy):
            console.line(f"curves: {self._folder.path / CURVES}")
        if config.budget.enforce and not verdict.passes:
            state = "not judged" if verdict.met is None else "missed"
            console.warn(f"the budget is {state}, and budget.enforce=true: the exit code is 1")
            return 1
        return 0

    def _draw(self, title: str, target: float | None = None) -> bool:
        """Draws ``curves.png``. Returns whether it was drawn. A failure is only a warning, because no result depends on it."""
        try:
            self._folder.write(CURVES, curves.draw(self._rows, title, target))
        except (DrawingError, RunError) as error:
            self._console.warn(f"The curves were not drawn: {error}")
            self._console.log(traceback.format_exc())
            return False
        return True

    def _images_title(self) -> str:
        data = self._parts.data
        return f"{self._config.name} on {budget.describe_test_set(data.name, len(data.test))}"

    def _explain(self, error: Exception) -> Exception:
        """The error for the user. An internal error is returned unchanged, and its traceback is written to the log."""
        saved = "no checkpoint was due before"
        if self._saved_step is not None:
            saved = f"last good checkpoint: {self._folder.path / LAST} (step {self._saved_step})"
        if isinstance(error, RunError):
            return error
        if isinstance(error, DivergedError):
            self._record(error.rows)
            self._folder.metrics.flush()
            return RunError(f"{error}: training has diverged; {saved}; try a lower optimizer.lr or clip_grad_norm=1")
        if out_of_memory.is_out_of_memory(error):
            error.with_traceback(None)  # its frames hold the tensors that filled the memory
            size = out_of_memory.largest_that_fits(self._try_batch_size, self._config.batch_size)
            hint = f"a trial step with batch_size={size} fits" if size else "not even a trial step with one image fits"
            return NoMemoryError(
                f"out of memory on {self._trainer.device} with batch_size={self._config.batch_size}; {hint}; {saved}"
            )
        self._console.log("".join(traceback.format_exception(error)))
        self._console.warn(f"internal error; the traceback is in {self._folder.path / LOG}; {saved}")
        return error

    def _try_batch_size(self, images: int) -> None:
        """A training step on ``images`` images of noise. The weights are of no use afterwards."""
        device, optimizer = self._trainer.device, self._trainer.optimizer
        labels = torch.zeros(images, dtype=torch.int64, device=device)
        optimizer.zero_grad(set_to_none=True)
        self._parts.plan.backend.gradients(torch.randn(images, *INPUT_SHAPE, device=device), labels, 0)
        without_compiler.step(optimizer)
