"""Many runs at once: grids, searches, workers, tables."""
