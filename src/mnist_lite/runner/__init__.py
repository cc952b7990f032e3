"""One run: its folder, its checkpoints, its metrics and its summary."""
