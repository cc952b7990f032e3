"""The process itself: signals, closed standard streams, and the number of cores."""
