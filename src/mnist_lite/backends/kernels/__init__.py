"""A small network's step and evaluation on the CPU in C++, built by the machine's own compiler when first asked for."""
