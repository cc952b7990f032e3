"""The peers of ``bench``: their table, what is refused, that each one learns, and that the network in JAX is torch's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mnist_lite.benchmark import report
from mnist_lite.benchmark.ab import MakeLoop, Timing, run_ab
from mnist_lite.benchmark.peers import PEERS, Peer, select_peers
from mnist_lite.benchmark.report import peers_as_text
from mnist_lite.config.schema import BenchConfig, Config
from mnist_lite.data.augment import affine
from mnist_lite.errors import UserError
from mnist_lite.model.build import build
from tests.commands import command_config

SMALL = [{"conv": 8, "kernel": 5, "stride": 3}, "batch_norm", "relu", {"dropout": 0.1}, {"conv": 10, "kernel": 8}]


def config(root: Path, *overrides: str) -> BenchConfig:
    return command_config("bench", BenchConfig, f"data.root={root}", "threads=1", "batch_size=64", *overrides)


def test_the_table():
    plain = Timing("cpu", 2.5, [1000.0, 2000.0, 1000.0], loss=2.25)
    ours = Timing("cpu too", 33.25, [10000.0, 8000.0, 3000.0], loss=0.5)
    lines = peers_as_text({"plain": ("torch 2.9.0", plain), "ours": ("mnist-lite 0.1.0", ours)}).splitlines()
    assert lines[0] == "plain: cpu"
    assert lines[-1].split() == [
        "ours",
        "mnist-lite",
        "0.1.0",
        "8,000",
        "125.0",
        "3.00",
        "4.00",
        "10.00",
        "33.2",
        "0.500",
    ]
    assert max(map(len, lines)) <= 80


def test_the_names_of_peers():
    assert select_peers("none") == {}
    assert select_peers("all") == PEERS
    assert list(select_peers(["jax", "workers"])) == ["workers", "jax"]
    with pytest.raises(UserError, match="peers: 'jaxx' is not allowed; did you mean jax"):
        select_peers(["jaxx"])
    with pytest.raises(UserError, match="peers: 5 is not allowed; expected none, all, or a list"):
        select_peers(5)


def test_a_peer_that_is_not_installed_is_named(
    mnist_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def no_measurement(_config: Config, loops: list[MakeLoop], *_: Any, evaluation: bool) -> list[Timing]:
        assert not evaluation
        return [Timing(loop.__name__, 1.0, [1000.0]) for loop in loops]

    monkeypatch.setattr(report, "run_ab", no_measurement)
    monkeypatch.setitem(PEERS, "jax", Peer("jax_peer.jax_loop", ("no-such-package",)))
    assert report.bench(config(mnist_root, "peers=[jax,eager]")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'jax: not measured: no-such-package is not installed; in the checkout: pip install -e ".[peers]"' in lines
    assert "eager: eager_loop" in lines
    assert [line.split()[0] for line in lines[-3:]] == ["plain", "eager", "ours"]


@pytest.mark.parametrize(
    "name",
    ["workers", "eager", pytest.param("compile", marks=pytest.mark.long), "jax"],  # 30 s
)
def test_a_peer_learns(name: str, mnist_root: Path):
    peer = PEERS[name]
    if peer.obstacle:
        pytest.skip(peer.obstacle)
    settings = config(mnist_root, "optimizer.lr=0.03")
    settings.model = {"layers": SMALL}
    (timing,) = run_ab(settings, [peer.make_loop], 1, 1920, print, evaluation=False)
    assert 0 < timing.loss < 0.9  # it starts near 2.3
    assert timing.training[0] > 0


def test_the_network_in_jax_is_torchs():
    jax_peer = pytest.importorskip("mnist_lite.benchmark.jax_peer", reason="JAX or optax is not installed")
    layers = [
        {"conv": 6, "kernel": 3, "stride": 2, "bias": True},
        "batch_norm",
        "relu",
        {"conv": 9, "kernel": 3, "groups": 3, "padding": 1, "dilation": 2},
        {"max_pool": 2},
        {"avg_pool": 2, "stride": 1},
        {"dropout": 0.0},
        {"conv": 10, "kernel": 3},
        "global_avg_pool",
    ]
    torch.manual_seed(0)
    network = build({"layers": layers}).module
    functions, parameters, statistics = zip(*map(jax_peer._layer, network), strict=True)
    images = torch.randn(8, 1, 28, 28)
    x = jax_peer.jnp.asarray(images.permute(0, 2, 3, 1).numpy())
    logits, new = jax_peer._forward(functions, parameters, statistics, x, jax_peer.jax.random.key(0))
    assert torch.allclose(torch.tensor(logits.tolist()), network.train()(images), rtol=1e-4, atol=1e-5)
    for name in ("mean", "var"):
        assert torch.allclose(torch.tensor(new[1][name].tolist()), getattr(network[1], f"running_{name}"), rtol=1e-4)


def test_the_rotation_in_jax_is_ours():
    jax_peer = pytest.importorskip("mnist_lite.benchmark.jax_peer", reason="JAX or optax is not installed")
    image = torch.rand(28, 28)
    angle = torch.tensor([0.3])
    matrix = affine.matrix(1, angle.cos(), -angle.sin(), 0.0, angle.sin(), angle.cos(), 0.0, torch.device("cpu"))
    expected = affine.resample(image[None, None], matrix)[0, 0]
    found = jax_peer._rotate(jax_peer.jnp.asarray(image.numpy()), float(torch.rad2deg(angle)))
    assert torch.allclose(torch.tensor(found.tolist()), expected, atol=1e-4)
