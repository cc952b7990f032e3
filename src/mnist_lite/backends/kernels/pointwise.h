// Pointwise operations on one group of LANES images: norm, activation and dropout in one pass, forward and backward.
#pragma once
#include <algorithm>
#include <type_traits>

#include "activations.h"
#include "norm.h"

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
    template <bool norm, class Activation, Dropout dropout> struct Parts {};
    template <class F>
    static void dispatch(const Op& op, bool training, F f) {
        op.norm ? dispatch<true>(op, training, f) : dispatch<false>(op, training, f);
    }
    template <bool norm, class F>
    static void dispatch(const Op& op, bool training, F f) {
        switch (op.activation) {
            case NO_ACTIVATION: return with_dropout<norm, NoActivation>(op, training, f);
            case LEAKY_RELU: return with_dropout<norm, LeakyRelu>(op, training, f);
            case PRELU: return with_dropout<norm, PRelu>(op, training, f);
            case ELU: return with_dropout<norm, Elu>(op, training, f);
            case RELU6: return with_dropout<norm, Relu6>(op, training, f);
            case GELU: return with_dropout<norm, Gelu>(op, training, f);
            case SILU: return with_dropout<norm, Silu>(op, training, f);
            case MISH: return with_dropout<norm, Mish>(op, training, f);
            case HARDSWISH: return with_dropout<norm, Hardswish>(op, training, f);
            case SOFTPLUS: return with_dropout<norm, Softplus>(op, training, f);
            case TANH: return with_dropout<norm, Tanh>(op, training, f);
            case SIGMOID: return with_dropout<norm, Sigmoid>(op, training, f);
        }
    }
    template <bool norm, class Activation, class F>
    static void with_dropout(const Op& op, bool training, F f) {
        if (!training || op.dropout == NO_DROPOUT) f(Parts<norm, Activation, NO_DROPOUT>());
        else if (op.dropout == DROP_VALUES) f(Parts<norm, Activation, DROP_VALUES>());
        else f(Parts<norm, Activation, DROP_CHANNELS>());
    }

    // channels: those of the norm. alphas: of each channel, or null if op.alpha is for all.
    template <bool norm, class Activation, Dropout dropout>
    static void forward(Parts<norm, Activation, dropout>, const Op& op, const NormedChannel* channels, const float* alphas,
                        const DropoutMask& mask, const Vec* in, Vec* out) {
        const int area = op.area();
        for (int c = 0; c < op.channels; c++) {
            const NormedChannel channel = norm ? channels[c] : NormedChannel{};
            const float alpha = alphas ? alphas[c] : op.alpha;
            const Vec keep = dropout == DROP_CHANNELS ? mask.apply(broadcast(1), c) : Vec{};
            for (int i = 0; i < area; i++) {
                const uint32_t at = (uint32_t)(c * area + i);
                Vec v = Activation::value(norm ? channel.output(in[at]) : in[at], alpha);
                if (dropout == DROP_VALUES) v = mask.apply(v, at);
                if (dropout == DROP_CHANNELS) v *= keep;
                out[at] = v;
            }
        }
    }

    // Takes the gradient through dropout and activation, in place, and computes the sums that its parameters and its norm need.
    // After ReLU, the output says what was dropped: it is zero there, and the gradient of a zero is zero. So the mask of the
    // forward pass is not computed again.
    template <bool norm, class Activation, Dropout dropout>
    static void backward(Parts<norm, Activation, dropout>, const Op& op, const NormedChannel* channels, const float* alphas,
                         const DropoutMask& mask, const Vec* in, const Vec* out, Vec* grad, GradSums* sums) {
        constexpr bool has_alphas = std::is_same<Activation, PRelu>::value;
        constexpr bool is_relu = std::is_same<Activation, LeakyRelu>::value;
        constexpr bool changes_grad = dropout != NO_DROPOUT || !std::is_same<Activation, NoActivation>::value;
        const bool mask_is_known = is_relu && op.alpha == 0;
        const float kept = dropout == NO_DROPOUT ? 1 : 1 - op.p;  // a kept output times this is the output before dropout
        const int area = op.area();
        for (int c = 0; c < op.channels; c++) {
            const NormedChannel channel = norm ? channels[c] : NormedChannel{};
            const float alpha = alphas ? alphas[c] : op.alpha;
            const Vec keep = dropout != DROP_CHANNELS ? Vec{}
                             : mask_is_known          ? broadcast(mask.scale)
                                                      : mask.apply(broadcast(1), c);
            GradSums sum{};
            for (int i = 0; i < area; i++) {
                const uint32_t at = (uint32_t)(c * area + i);
                const Vec x = norm ? channel.output(in[at]) : in[at];
                Vec g = grad[at];
                if (dropout == DROP_VALUES) g = mask_is_known ? g * mask.scale : mask.apply(g, at);
                if (dropout == DROP_CHANNELS) g *= keep;
                if constexpr (has_alphas) sum.alphas += PRelu::alpha_grad(g, x);
                g = Activation::backward(g, x, is_relu ? out[at] : out[at] * kept, alpha);
                if constexpr (changes_grad) grad[at] = g;
                if (norm) sum.grads += g, sum.weighted += g * (in[at] - channel.mean);
            }
            if (norm || has_alphas) sums[c] = sum;
        }
    }
};
