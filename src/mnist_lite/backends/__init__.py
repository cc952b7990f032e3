"""How losses and gradients are computed: by torch, or by kernels in C++."""
