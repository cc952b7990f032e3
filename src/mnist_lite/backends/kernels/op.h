// The description of one operation, as Python gives it.
#pragma once
#include "pooling.h"

// SAVE remembers a map, SWAP exchanges the current map and a saved one, and ADD adds a saved map to the current one. A residual
// block is SAVE, the operations of its body, and ADD. With a projection it is SAVE, body, SWAP, projection, ADD.
enum Kind : int32_t { CONVOLUTION, POINTWISE, MAX_POOL, AVG_POOL, SAVE, SWAP, ADD };
enum Norm : int32_t { NO_NORM, BATCH_NORM, GROUP_NORM };
enum Activation : int32_t { NO_ACTIVATION, LEAKY_RELU, PRELU, ELU, RELU6, GELU, SILU, MISH, HARDSWISH, SOFTPLUS, TANH, SIGMOID };
enum Dropout : int32_t { NO_DROPOUT, DROP_VALUES, DROP_CHANNELS };

// One operation. operations.py has the same fields in the same order.
// A convolution can end with leaky ReLU. A pointwise operation is norm, activation and dropout, in this order; each can be missing.
struct Op {
    Kind kind;
    int32_t channels, height, width, out_channels, out_height, out_width;
    int32_t kernel, stride, padding, dilation, groups;  // groups: of channels, in a convolution or a group norm
    Norm norm;
    int32_t ghost_size;  // ghost batch norm: about this number of images share their statistics; 0: the whole batch
    Activation activation;
    Dropout dropout;
    int32_t saved;  // the number of the saved map
    float alpha, p, eps, momentum;
    // numbers of tensors; -1: none. alphas: one alpha for each channel
    int32_t weight, bias, running_mean, running_var, num_batches_tracked, alphas;

    int area() const { return height * width; }
    int out_area() const { return out_height * out_width; }
    long in_size() const { return (long)channels * area(); }
    long out_size() const { return (long)out_channels * out_area(); }
    bool has_relu() const { return activation == LEAKY_RELU; }
    Window window() const { return {height, width, out_height, out_width, kernel, stride, padding}; }
};
