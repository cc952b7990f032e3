from __future__ import annotations

import pytest
import torch

from mnist_lite.backends import out_of_memory


def fits_up_to(largest: int):
    def trial(size: int) -> None:
        if size > largest:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    return trial


@pytest.mark.parametrize(
    ("batch_size", "largest", "expected"), [(1000, 999, 500), (1000, 130, 125), (64, 1, 1), (64, 0, None), (1, 0, None)]
)
def test_batch_sizes_are_halved_until_one_fits(batch_size: int, largest: int, expected: int | None):
    assert out_of_memory.largest_that_fits(fits_up_to(largest), batch_size) == expected


def test_other_errors_are_raised():
    def trial(_size: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        out_of_memory.largest_that_fits(trial, 8)
    assert not out_of_memory.is_out_of_memory(RuntimeError("shapes do not match"))


def test_out_of_memory_errors_of_torch_and_python():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert out_of_memory.is_out_of_memory(caught.value)
    assert out_of_memory.is_out_of_memory(MemoryError())


def test_convolutions_that_got_no_memory():
    """tests/faults/test_memory.py gets this message from oneDNN in about one of three runs."""
    assert out_of_memory.is_out_of_memory(RuntimeError("could not create a primitive"))
    other = "could not create a primitive descriptor for the convolution forward propagation primitive"
    assert not out_of_memory.is_out_of_memory(RuntimeError(other))
