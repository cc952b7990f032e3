// The description of one operation, as Python gives it.
#pragma once
#include "pooling.h"

enum Kind : int32_t { CONVOLUTION, POINTWISE, MAX_POOL, AVG_POOL };
enum Dropout : int32_t { NO_DROPOUT, DROP_VALUES, DROP_CHANNELS };

// One operation. operations.py has the same fields in the same order.
// A convolution can end with ReLU. A pointwise operation is batch norm, ReLU and dropout, in this order; each can be missing.
struct Op {
    Kind kind;
    int32_t channels, height, width, out_channels, out_height, out_width;
    int32_t kernel, stride, padding, dilation, groups;
    int32_t relu, batch_norm;
    Dropout dropout;
    float negative_slope, p, eps, momentum;
    int32_t weight, bias, running_mean, running_var, num_batches_tracked;  // numbers of tensors; -1: none

    int area() const { return height * width; }
    int out_area() const { return out_height * out_width; }
    long in_size() const { return (long)channels * area(); }
    long out_size() const { return (long)out_channels * out_area(); }
    Window window() const { return {height, width, out_height, out_width, kernel, stride, padding}; }
};
