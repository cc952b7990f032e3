"""Measures the speed of the training loop against a plain PyTorch loop."""
