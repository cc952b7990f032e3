"""The training loop, the optimizer, and the learning-rate schedule."""
