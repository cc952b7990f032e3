"""Measures our training loop against a plain PyTorch loop."""
