"""Looks at trained networks: evaluates them, explains them, compares them, uses them."""
