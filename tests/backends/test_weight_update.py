from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist_lite.backends.weight_update import WeightUpdate


def test_the_average_is_that_of_torch():
    """Parameters and buffers, the counter of batch norm too, bit for bit."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 16, 2))
    update = WeightUpdate(module, torch.optim.SGD(module.parameters(), lr=0.1), ema_decay=0.75)
    expected = AveragedModel(copy.deepcopy(module), multi_avg_fn=get_ema_multi_avg_fn(0.75), use_buffers=True)
    for _ in range(5):
        module.zero_grad()
        module(torch.randn(4, 1, 6, 6)).square().mean().backward()
        update(torch.tensor(True))
        expected.update_parameters(module)
    assert update.average is not None
    state, torchs = update.average.state_dict(), expected.state_dict()
    assert state.keys() == torchs.keys()
    assert all(torch.equal(value, torchs[key]) for key, value in state.items())
    assert state["n_averaged"] == 5 and state["module.1.num_batches_tracked"] > 0
