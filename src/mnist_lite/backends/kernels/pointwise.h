// Pointwise operations on one group of LANES images: batch norm, ReLU and dropout in one pass, forward and backward.
#pragma once
#include <algorithm>

#include "batch_norm.h"

// A dropout mask is a hash of the key (step, layer and group) and the position (value and image). So the mask is not stored, and
// it does not depend on the thread. The hash is Wellons' lowbias32, with the second half of the key added in the middle.
struct DropoutMask {
    uint32_t threshold;  // p * 2^32
    float scale;         // 1 / (1 - p)
    uint32_t key, second_key;

    Vec apply(Vec v, uint32_t position) const {
        UintVec x = (LANE_NUMBERS + position * (uint32_t)LANES) * 0x9E3779B9u + key;
        x = (x ^ x >> 16) * 0x21F0AAADu + second_key;
        x = (x ^ x >> 15) * 0xD35A2D97u;
        x ^= x >> 15;
        return x < threshold ? Vec{} : v * scale;
    }
};

inline uint64_t splitmix64(uint64_t x) {
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

inline DropoutMask make_dropout_mask(float p, uint64_t key, int layer, int group) {
    const uint64_t hash = splitmix64(key ^ splitmix64((uint64_t)layer << 32 | (uint32_t)group));
    return {(uint32_t)std::min((double)p * 4294967296.0, 4294967295.0), p < 1 ? 1 / (1 - p) : 0.0f, (uint32_t)hash,
            (uint32_t)(hash >> 32)};
}

struct Pointwise {
    // Calls f with a type that says what the operation has, so that the inner loops have no branches.
    template <bool norm, bool relu, Dropout dropout> struct Parts {};
    template <class F>
    static void dispatch(const Op& op, bool training, F f) {
        const Dropout dropout = training ? op.dropout : NO_DROPOUT;
#define CASE(norm, relu_)                                                                             \
    if (op.batch_norm == norm && op.relu == relu_) {                                                  \
        if (dropout == NO_DROPOUT) f(Parts<norm, relu_, NO_DROPOUT>());                               \
        else if (dropout == DROP_VALUES) f(Parts<norm, relu_, DROP_VALUES>());                        \
        else f(Parts<norm, relu_, DROP_CHANNELS>());                                                  \
        return;                                                                                       \
    }
        CASE(0, 0) CASE(0, 1) CASE(1, 0) CASE(1, 1)
#undef CASE
    }

    template <bool norm, bool relu, Dropout dropout>
    static void forward(Parts<norm, relu, dropout>, const Op& op, const BatchNorm& n, const DropoutMask& mask,
                        const Vec* in, Vec* out) {
        const int area = op.area();
        for (int c = 0; c < op.channels; c++) {
            const float scale = norm ? n.scale[c] : 1, shift = norm ? n.shift[c] : 0;
            const Vec keep = dropout == DROP_CHANNELS ? mask.apply(broadcast(1), c) : Vec{};
            for (int i = 0; i < area; i++) {
                const uint32_t at = (uint32_t)(c * area + i);
                Vec v = in[at];
                if (norm) v = v * scale + shift;
                if (relu) v = leaky_relu(v, op.negative_slope);
                if (dropout == DROP_VALUES) v = mask.apply(v, at);
                if (dropout == DROP_CHANNELS) v *= keep;
                out[at] = v;
            }
        }
    }

    // Takes the gradient through dropout and ReLU, in place. With batch norm, it also computes this group's grad_sums.
    // After ReLU, the output says what was dropped: it is zero there, and the gradient of a zero is zero. So the mask of the
    // forward pass is not computed again.
    template <bool norm, bool relu, Dropout dropout>
    static void backward(Parts<norm, relu, dropout>, const Op& op, const BatchNorm& n, const DropoutMask& mask,
                         const Vec* in, const Vec* out, Vec* grad, double* grad_sums) {
        const int area = op.area();
        const bool mask_is_known = relu && op.negative_slope == 0;
        for (int c = 0; c < op.channels; c++) {
            const float mean = norm ? n.mean[c] : 0;
            const Vec keep = dropout != DROP_CHANNELS ? Vec{}
                             : mask_is_known          ? broadcast(mask.scale)
                                                      : mask.apply(broadcast(1), c);
            Vec total{}, weighted{};
            for (int i = 0; i < area; i++) {
                const uint32_t at = (uint32_t)(c * area + i);
                Vec g = grad[at];
                if (dropout == DROP_VALUES) g = mask_is_known ? g * mask.scale : mask.apply(g, at);
                if (dropout == DROP_CHANNELS) g *= keep;
                if (relu) g = leaky_relu_backward(g, out[at], op.negative_slope);
                grad[at] = g;
                if (norm) total += g, weighted += g * (in[at] - mean);
            }
            if (norm) grad_sums[2 * c] = sum_lanes(total), grad_sums[2 * c + 1] = sum_lanes(weighted);
        }
    }

    // Takes the gradient through batch norm, in place. It needs the grad_sums of all groups.
    static void batch_norm_backward(const Op& op, const BatchNorm& n, const Vec* in, Vec* grad, Vec lane_mask) {
        for (int c = 0; c < op.channels; c++) {
            const BatchNormGradient gradient = n.gradient(c, lane_mask);
            for (int i = c * op.area(); i < (c + 1) * op.area(); i++) grad[i] = gradient.of_input(grad[i], in[i]);
        }
    }
};
