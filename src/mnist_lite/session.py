"""One run from its config to its folder: prepares the parts, iterates over the engine, records what comes."""

from __future__ import annotations

import copy
import math
import traceback
from dataclasses import asdict
from pathlib import Path

import torch
from omegaconf import OmegaConf

from mnist_lite import augment, budget, curves, environment, optim, results, rng, schedule, table
from mnist_lite.data import Dataset, load
from mnist_lite.engine import Trainer
from mnist_lite.errors import UserError
from mnist_lite.model import INPUT_SHAPE, Network, build
from mnist_lite.recorder import Row
from mnist_lite.runfolder import RunFolder
from mnist_lite.schema import Config
from mnist_lite.terminal import Reporter


class TrainingError(Exception):
    """The training cannot go on; its text is one line for the user."""


def run(config: Config) -> int:
    """Trains as ``config`` says and writes the run folder. The result is the command's exit code.

    0: trained. 1: training failed, or the budget was missed with ``budget.enforce``.

    Raises:
        UserError: the config or the data is not usable. Nothing has been written then.
    """
    reporter = Reporter()
    try:
        return _run(config, reporter)
    finally:
        reporter.close()


def _run(config: Config, reporter: Reporter) -> int:
    device = environment.pick_device(config.device)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    if device.type == "cuda":
        torch.cuda.set_device(device)
    rng.seed_global(config.seed, "init")
    network = build(config.model, config.init)
    transforms = augment.build(config.augment)
    # a trial with MNIST's size, so that a bad argument is found before any data is touched
    trial = optim.build_optimizer(config.optimizer, network.module)
    steps = math.ceil((config.data.train_limit or 60_000) / config.batch_size)
    schedule.rehearse(config.scheduler, trial, config.epochs, steps, config.data.holdout > 0)
    _rehearse_step(config, network, 2, "optimizer")
    early = budget.before_training(config.budget, network.parameters, config.epochs, network.fully_connected)

    reporter.line(f"{config.name}\n\n{table.as_text(network)}\n")
    for check in early.checks:
        reporter.line(f"budget {check}")
    data = load(config.data)
    if data.warning:
        reporter.warn(data.warning)
    last = len(data.train) % config.batch_size or config.batch_size
    if last == 1:
        _rehearse_step(config, network, 1, f"batch_size: {config.batch_size} leaves a batch of one image, which")
    network.module.to(device)
    trainer = _trainer(config, network, transforms, data.to(device), device)
    reporter.line(_data_line(data) + f"; {environment.describe_device(device)}, {config.precision}, seed {config.seed}")

    folder = RunFolder.claim(Path(config.runs_dir).expanduser(), config.name)
    reporter.log_to(folder.path / "run.log")
    reporter.line(f"run folder: {folder.path}\n")
    rows: list[Row] = []
    try:
        folder.write_text("config.yaml", OmegaConf.to_yaml(OmegaConf.create(asdict(config))))
        folder.write_text("model.txt", table.as_text(network) + "\n")
        _train(trainer, folder, reporter, rows)
        return _finish(config, network, trainer, rows, folder, reporter)
    except KeyboardInterrupt:
        folder.flush()
        curves.draw(
            rows, folder.path / "curves.png", f"{config.name} on {data.name}, interrupted in epoch {trainer.epoch}"
        )
        reporter.line(f"interrupted in epoch {trainer.epoch}; what there is: {folder.path}")
        raise
    except TrainingError as failure:
        reporter.warn(str(failure))
        return 1
    except Exception:
        reporter.note(traceback.format_exc())
        reporter.warn(f"internal error; the traceback is in {folder.path / 'run.log'}")
        raise
    finally:
        folder.close()


def _rehearse_step(config: Config, network: Network, images: int, who: str) -> None:
    """One training step of a copy on noise: some arguments are refused by torch no earlier than here.

    Raises:
        UserError: what torch says, blamed on ``who``.
    """
    module = copy.deepcopy(network.module).train()
    try:
        optimizer = optim.build_optimizer(config.optimizer, module)
        module(torch.randn(images, *INPUT_SHAPE)).square().mean().backward()
        optimizer.step()
    except (ValueError, RuntimeError, AssertionError, TypeError) as error:
        raise UserError(f"{who} cannot do a training step: {str(error).splitlines()[0]}") from error


def _trainer(
    config: Config, network: Network, transforms: augment.Augment, data: Dataset, device: torch.device
) -> Trainer:
    optimizer = optim.build_optimizer(config.optimizer, network.module)
    steps = math.ceil(len(data.train) / config.batch_size)
    plan = schedule.build_schedule(config.scheduler, optimizer, config.epochs, steps, data.holdout is not None)
    return Trainer(config, network.module, optimizer, plan, transforms, data, device)


def _data_line(data: Dataset) -> str:
    held = "" if data.holdout is None else f", {len(data.holdout):,} held out"
    return f"data: {data.name}, {len(data.train):,} training images{held}, {len(data.test):,} test images"


def _train(trainer: Trainer, folder: RunFolder, reporter: Reporter, rows: list[Row]) -> None:
    """Iterates over the training; every row goes to the folder, the terminal and ``rows``."""
    best, epoch = -1.0, 0
    steps = math.ceil(len(trainer.data.train) / trainer.config.batch_size)
    for new in trainer.fit():
        if trainer.epoch != epoch:
            epoch = trainer.epoch
            reporter.start_epoch(epoch, trainer.config.epochs, steps)
        _check_finite(new)
        rows += new
        folder.add_rows(new)
        evaluation = next((row for row in reversed(new) if "test/loss" in row), None)
        reporter.show(trainer.step, [row for row in new if "train/loss" in row])
        if evaluation is None:
            continue
        if evaluation["epoch_end"]:
            reporter.end_epoch()
        reporter.line(results.epoch_line(evaluation, trainer.config.epochs))
        if results.has_died(evaluation, steps):
            reporter.warn(_DEATH.format(epoch=epoch))
        folder.flush()
        state = {**trainer.state_dict(), "config": asdict(trainer.config), "row": evaluation}
        score = float(evaluation[f"{trainer.data.judge}/accuracy"])
        if score > best:
            best = score
            folder.save("best.pt", state)
        folder.save("last.pt", state)


_DEATH = (
    "The network has not learned anything in epoch {epoch}: its loss stands at ln 10 = 2.303, every digit gets the same chance.\n"
    "Likely cause: all units of a ReLU are dead, as can happen just before an average pool. Try another seed, a lower lr,\n"
    "a warm-up (scheduler=onecycle), init=kaiming, or batch norm."
)


def _check_finite(rows: list[Row]) -> None:
    for row in rows:
        for key, value in row.items():
            if key.endswith("loss") and not math.isfinite(value):
                raise TrainingError(
                    f"{key} is {value} at step {row['step']} (epoch {row['epoch']}, lr {row['lr']:.3g}): training has diverged; "
                    "try a lower optimizer.lr or clip_grad_norm=1"
                )


def _finish(
    config: Config, network: Network, trainer: Trainer, rows: list[Row], folder: RunFolder, reporter: Reporter
) -> int:
    ends = results.epoch_ends(rows)
    verdict = budget.after_training(
        config.budget,
        network.parameters,
        trainer.epoch,
        network.fully_connected,
        [float(row["test/accuracy"]) for row in ends],
    )
    figures = results.accuracies(rows)
    data = trainer.data
    folder.write_json(
        "summary.json",
        {
            "name": config.name,
            "model": config.choices.get("model"),
            "experiment": config.choices.get("experiment"),
            "parameters": network.parameters,
            "multiply_adds": table.work(network),
            "data": {
                "name": data.name,
                "train": len(data.train),
                "test": len(data.test),
                "holdout": 0 if data.holdout is None else len(data.holdout),
                "mean": data.mean,
                "std": data.std,
            },
            "seed": config.seed,
            "epochs": trainer.epoch,
            "steps": trainer.step,
            "accuracy": figures,
            "seconds": results.seconds(rows),
            "budget": verdict.as_dict(),
            **environment.record(trainer.device),
        },
    )
    final = figures["test"]["final"]
    target = config.budget.accuracy
    title = f"{config.name} on {data.name}: {network.parameters:,} parameters, final test accuracy {final:.2f} %"
    curves.draw(rows, folder.path / "curves.png", title, target)
    for text in _closing(figures, data, network.parameters, len(ends)):
        reporter.line(text)
    for check in verdict.checks:
        reporter.line(f"budget {check}")
    reporter.line(f"curves: {folder.path / 'curves.png'}")
    return 1 if config.budget.enforce and not verdict.met else 0


def _closing(figures: dict[str, dict[str, float]], data: Dataset, parameters: int, epochs: int) -> list[str]:
    test, gap = figures["test"], figures["gap"]
    label = data.name if data.name == "mnist" else f"{data.name} (NOT MNIST)"
    last = min(epochs, results.LAST_EPOCHS)
    mean = f"mean of the last {last} epochs {test['mean_last_5']:.2f} %; " if last > 1 else ""
    lines = [
        f"\nfinal test accuracy {test['final']:.2f} % on {label}, {parameters:,} parameters",
        f"{mean}train minus test {gap['final']:+.2f}; "
        f"best epoch on test {test['best']:.2f} % (epoch {test['best_epoch']}, chosen on the test images)",
    ]
    if "selected" in figures:
        chosen = figures["selected"]
        lines.append(
            f"test accuracy at the epoch best on the holdout (epoch {chosen['epoch']}): {chosen['test']:.2f} %"
        )
    return lines
