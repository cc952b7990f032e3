"""Starting, stopping and measuring the process: signals, closed streams, cores."""
