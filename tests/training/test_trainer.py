from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mnist_lite import rng
from mnist_lite.config.schema import Config
from mnist_lite.data import dataset
from mnist_lite.model.build import build
from mnist_lite.training import schedule
from mnist_lite.training.step_metrics import Row
from tests.conftest import Compose
from tests.training.trainers import BASE, CPU, TINY, rows_of, trainer, without_times


def test_same_as_the_plain_loop_by_hand(composed: Compose):
    """The whole of training, written out with torch alone: order, batches, losses, rates, weights, evaluation."""
    config = composed(*BASE, "scheduler=onecycle", "optimizer.lr=0.1")
    ours = trainer(config)
    rows = rows_of(ours.fit())

    rng.seed_global(config.seed, "init")
    net = build(TINY, config.init).module
    loaded = dataset.load(config.data)
    x = ((loaded.train.images.float() / 255) - loaded.mean) / loaded.std
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    rate = torch.optim.lr_scheduler.OneCycleLR(sgd, 0.1, 8, pct_start=0.2, cycle_momentum=False)
    expected, step = [], 0
    for epoch in (1, 2):
        order = torch.randperm(250, generator=torch.Generator().manual_seed(rng.derive(config.seed, "order", epoch)))
        for batch in order.split(64):
            step += 1
            net.train()
            torch.manual_seed(rng.derive(config.seed, "dropout", step))
            out = net(x[batch])
            loss = F.cross_entropy(out, loaded.train.labels[batch])
            right = float((out.argmax(1) == loaded.train.labels[batch]).float().mean())
            expected.append((step, epoch, sgd.param_groups[0]["lr"], loss.item(), 100 * right))
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            rate.step()
    found = [(r["step"], r["epoch"], r["lr"], r["train/loss"], r["train/accuracy"]) for r in rows if "train/loss" in r]
    assert len(found) == 8
    for row, want in zip(found, expected, strict=True):
        assert row == pytest.approx(want, rel=1e-5)
    for a, b in zip(ours.module.state_dict().values(), net.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    net.eval()
    with torch.no_grad():
        out = net(((loaded.test.images.float() / 255) - loaded.mean) / loaded.std)
    last = rows[-1]
    assert last["test/loss"] == pytest.approx(float(F.cross_entropy(out, loaded.test.labels)), rel=1e-4)
    assert last["test/accuracy"] == pytest.approx(100 * float((out.argmax(1) == loaded.test.labels).float().mean()))


def test_rows_are_complete_and_in_order(composed: Compose):
    rows = rows_of(trainer(composed(*BASE)).fit())
    steps = [row for row in rows if "train/loss" in row]
    evaluations = [row for row in rows if "test/loss" in row]
    assert [row["step"] for row in steps] == list(range(1, 9))
    assert [(row["step"], row["epoch"], row["epoch_end"]) for row in evaluations] == [(4, 1, True), (8, 2, True)]
    assert rows.index(evaluations[0]) == 4
    assert set(steps[0]) == {"step", "epoch", "lr", "train/loss", "train/accuracy"}
    wanted = {
        "test/loss",
        "test/accuracy",
        "train/epoch_loss",
        "train/epoch_accuracy",
        "seconds/train",
        "seconds/eval",
        "lr",
    }
    assert wanted <= set(evaluations[0])
    sizes = [64, 64, 64, 58]
    mean = sum(n * row["train/accuracy"] for n, row in zip(sizes, steps[:4], strict=True)) / 250
    assert evaluations[0]["train/epoch_accuracy"] == pytest.approx(mean)


def test_an_evaluation_row_has_the_rate_of_the_last_step(composed: Compose):
    rows = rows_of(trainer(composed(*BASE, "scheduler=onecycle", "eval_every=3")).fit())
    used = {row["step"]: row["lr"] for row in rows if "train/loss" in row}
    evaluations = [row for row in rows if "test/loss" in row]
    assert [row["lr"] for row in evaluations] == [used[row["step"]] for row in evaluations]


@pytest.mark.parametrize("monitor", schedule.MONITORS)
def test_the_scheduler_watches_the_metric_of_this_name(monitor: str, composed: Compose):
    words = ("scheduler=plateau", f"scheduler.monitor={monitor}", "data.holdout=50", "epochs=3", "eval_every=2")
    watching = trainer(composed(*BASE, *words))
    watched: list[float] = []
    watching.schedule.scheduler.step = watched.append  # type: ignore[method-assign,assignment]
    rows = rows_of(watching.fit())
    assert watched == [row[monitor] for row in rows if row.get("epoch_end")]
    assert len(watched) == 3 and len(set(watched)) > 1


def test_every_image_once_an_epoch_in_a_new_order(composed: Compose):
    seen = trainer(composed(*BASE))
    seen.epoch = 1
    first = torch.cat(seen._batches())
    seen.epoch = 2
    second = torch.cat(seen._batches())
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(250))
    assert first.tolist() != second.tolist() != list(range(250))


@pytest.mark.parametrize("size", [1, 7, 64, 100, 333])
def test_all_test_images_count_whatever_the_batch(size, composed: Compose, monkeypatch: pytest.MonkeyPatch):
    config = composed(*BASE, "data.test_limit=null")
    ready = trainer(config)
    expected = ready.evaluate(ready.data.test)
    monkeypatch.setattr("mnist_lite.training.trainer.EVAL_BATCH", size)
    assert ready.evaluate(ready.data.test) == pytest.approx(expected, rel=1e-5)
    ready.module.eval()
    with torch.no_grad():
        out = ready.module(ready.data.inputs(ready.data.test.images, CPU))
    assert round(expected[1] * 360 / 100) == int((out.argmax(1) == ready.data.test.labels).sum())


def test_same_seed_same_numbers_other_seed_other_numbers(composed: Compose):
    strong = (*BASE, "augment=strong")
    torch.manual_seed(123)
    first = without_times(rows_of(trainer(composed(*strong)).fit()))
    torch.rand(99)  # whatever else has been drawn in the process
    assert without_times(rows_of(trainer(composed(*strong)).fit())) == first
    assert without_times(rows_of(trainer(composed(*strong, "seed=1")).fit())) != first


def test_evaluating_more_often_changes_nothing_but_the_extra_rows(composed: Compose):
    plain = without_times(rows_of(trainer(composed(*BASE)).fit()))
    often = without_times(rows_of(trainer(composed(*BASE, "eval_every=3")).fit()))
    assert [row for row in often if row.get("epoch_end", True)] == plain
    assert [(row["step"], row["epoch"]) for row in often if row.get("epoch_end") is False] == [(3, 1), (6, 2)]


def test_training_stops_at_the_first_evaluation_that_reaches_the_target(composed: Compose):
    more = [arg for arg in BASE if not arg.startswith("epochs")]
    never = rows_of(trainer(composed(*more, "epochs=6", "optimizer.lr=0.1")).fit())
    accuracies = [float(row["test/accuracy"]) for row in never if "test/accuracy" in row]
    target = max(accuracies[:-1])
    stopped = trainer(
        composed(*more, "epochs=6", "optimizer.lr=0.1", f"stop_at_accuracy={target}", "scheduler=constant")
    )
    reference = trainer(composed(*more, "epochs=6", "optimizer.lr=0.1", "scheduler=constant"))
    curve = [float(row["test/accuracy"]) for row in rows_of(reference.fit()) if "test/accuracy" in row]
    rows_of(stopped.fit())
    assert stopped.epoch == next((i for i, a in enumerate(curve, 1) if a >= target), 6)


def test_stopping_looks_at_the_holdout_when_there_is_one(composed: Compose):
    held = trainer(composed(*BASE, "data.holdout=100", "stop_at_accuracy=0"))
    rows = rows_of(held.fit())
    assert held.epoch == 1
    assert "holdout/accuracy" in rows[-1] and held.data.selection_split == "holdout"


def one_step(config: Config, model: dict[str, Any]) -> tuple[nn.Module, nn.Module, torch.Tensor, torch.Tensor]:
    """Our network after one step of plain SGD, a copy of it before, and the batch."""
    ready = trainer(config, model)
    before = build(model, "torch").module
    before.load_state_dict(ready.module.state_dict())
    next(ready.fit())
    ready2 = trainer(config, model)
    ready2.epoch = 1
    batch = ready2._batches()[0]
    return (
        ready.module,
        before,
        ready2.data.inputs(ready2.data.train.images[batch], CPU),
        ready2.data.train.labels[batch],
    )


PLAIN: dict[str, Any] = {
    "layers": [{"conv": 6, "kernel": 5, "stride": 3, "bias": True}, "relu", {"conv": 10}, "global_avg_pool"]
}
SGD = (*BASE, "optimizer.momentum=0", "optimizer.lr=0.5", "scheduler=constant")


def test_label_smoothing_is_torchs(composed: Compose):
    after, before, x, y = one_step(composed(*SGD, "label_smoothing=0.2"), PLAIN)
    out = before(x)
    logp = out.log_softmax(1)
    loss = -(0.8 * logp.gather(1, y[:, None]).mean() + 0.2 * logp.mean())
    assert_stepped(after, before, loss)


def test_l1_is_the_sum_of_absolute_parameters(composed: Compose):
    after, before, x, y = one_step(composed(*SGD, "l1=0.01"), PLAIN)
    loss = F.cross_entropy(before(x), y) + 0.01 * sum(p.abs().sum() for p in before.parameters())
    assert_stepped(after, before, loss)


def test_gradient_clipping_bounds_the_step(composed: Compose):
    after, before, x, y = one_step(composed(*SGD, "clip_grad_norm=0.001"), PLAIN)
    F.cross_entropy(before(x), y).backward()
    norm = torch.cat([p.grad.flatten() for p in before.parameters() if p.grad is not None]).norm()
    moved = (
        torch.cat([(a - b).flatten() for a, b in zip(after.parameters(), before.parameters(), strict=True)])
        .detach()
        .norm()
    )
    assert float(norm) > 0.001
    assert float(moved) == pytest.approx(0.5 * 0.001, rel=1e-2)


def assert_stepped(after: nn.Module, before: nn.Module, loss: torch.Tensor) -> None:
    gradients = torch.autograd.grad(loss, list(before.parameters()))
    for a, b, g in zip(after.parameters(), before.parameters(), gradients, strict=True):
        assert torch.allclose(a, b - 0.5 * g, atol=1e-6)


def test_ema_is_the_average_and_is_what_is_evaluated(composed: Compose):
    averaged = trainer(composed(*BASE, "ema_decay=0.9"))
    plain = trainer(composed(*BASE))
    mean: list[torch.Tensor] = []
    rows: list[Row] = []
    counted = 0
    for _, new in zip(plain.fit(), averaged.fit(), strict=True):
        rows += new
        if plain.step > counted:  # the end of an epoch yields once more
            counted = plain.step
            weights = [p.detach().clone() for p in plain.module.parameters()]
            mean = [0.9 * m + 0.1 * w for m, w in zip(mean, weights, strict=True)] if mean else weights
    assert counted == 8
    assert averaged.ema is not None
    for a, b in zip(averaged.ema.module.parameters(), mean, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert averaged.evaluate(averaged.data.test) == pytest.approx((rows[-1]["test/loss"], rows[-1]["test/accuracy"]))
    averaged.eval_module = averaged.module
    assert averaged.evaluate(averaged.data.test)[0] != pytest.approx(rows[-1]["test/loss"], rel=1e-6)


def test_augmentation_is_for_training_only(composed: Compose):
    plain, strong = trainer(composed(*BASE)), trainer(composed(*BASE, "augment=strong"))
    assert plain.evaluate(plain.data.test) == strong.evaluate(strong.data.test)
    next(plain.fit())
    next(strong.fit())
    different = [
        not torch.equal(a, b) for a, b in zip(plain.module.parameters(), strong.module.parameters(), strict=True)
    ]
    assert any(different)


@pytest.mark.parametrize("backend", ["torch", "kernels"])
def test_label_smoothing_is_for_training_only(backend: str, composed: Compose):
    plain, smooth = (trainer(composed(*BASE, f"backend={backend}", *more)) for more in ((), ("label_smoothing=0.2",)))
    assert plain.evaluate(plain.data.test) == smooth.evaluate(smooth.data.test)
    plain_row, smooth_row = next(plain.fit()), next(smooth.fit())
    assert (plain_row or plain.drain())[0]["train/loss"] != (smooth_row or smooth.drain())[0]["train/loss"]


def test_evaluation_leaves_batch_norm_alone(composed: Compose):
    ready = trainer(composed(*BASE))
    before = {k: v.clone() for k, v in ready.module.state_dict().items()}
    ready.evaluate(ready.data.test)
    assert all(torch.equal(before[k], v) for k, v in ready.module.state_dict().items())


def test_bf16_trains_and_differs(composed: Compose):
    full = rows_of(trainer(composed(*BASE)).fit())
    half = rows_of(trainer(composed(*BASE, "precision=bf16")).fit())
    assert half[0]["train/loss"] != full[0]["train/loss"]
    assert half[-1]["test/loss"] == pytest.approx(full[-1]["test/loss"], rel=0.1)


def test_training_on_shuffled_labels_stays_near_chance(composed: Compose):
    """The measure itself: a network trained on wrong labels stays near chance on the test split."""
    config = composed(
        "data=digits", "data.train_limit=1000", "epochs=5", "batch_size=64", "model=era4", "optimizer.lr=0.02"
    )
    honest, cheated = trainer(config, config.model), trainer(config, config.model)
    order = torch.randperm(len(cheated.data.train), generator=torch.Generator().manual_seed(0))
    cheated.data.train.labels.copy_(cheated.data.train.labels[order])
    assert float(rows_of(honest.fit())[-1]["test/accuracy"]) > 85
    assert float(rows_of(cheated.fit())[-1]["test/accuracy"]) < 35
