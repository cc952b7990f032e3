"""A small network's training step and evaluation on the CPU in C++. The machine's own compiler builds the code on first use."""
