// Group norm on one group of LANES images. Each image has its own statistics, so nothing waits for other images.
//
// Layer norm has one group of channels, instance norm has one group for each channel.
#pragma once
#include "norm.h"

namespace group_norm {

// Computes the statistics of the map, and from them scale and shift. weight and bias can be null.
inline void set_statistics(const Op& op, const Vec* in, const float* weight, const float* bias, NormedChannel* channels) {
    const int size = op.channels / op.groups;
    for (int first = 0; first < op.channels; first += size) {
        Vec mean{}, squares{};  // of the channels so far, merged as in Chan et al., 1979
        for (int i = 0; i < size; i++) {
            const LaneMoments channel = compute_moments(in + (long)(first + i) * op.area(), op.area());
            const Vec difference = channel.mean - mean;
            mean += difference * (1.0f / (float)(i + 1));
            squares += channel.squares + difference * difference * ((float)op.area() * (float)i / (float)(i + 1));
        }
        const Vec variance = squares / (float)(size * op.area()) + op.eps;
        Vec inverse_std;
        for (int lane = 0; lane < LANES; lane++) inverse_std[lane] = 1 / std::sqrt(variance[lane]);
        for (int c = first; c < first + size; c++) {
            NormedChannel& channel = channels[c];
            channel.mean = mean, channel.inverse_std = inverse_std;
            channel.scale = weight ? inverse_std * weight[c] : inverse_std;
            channel.shift = (bias ? broadcast(bias[c]) : Vec{}) - mean * channel.scale;
        }
    }
}

// Computes the gradients of weight and bias, and the two terms of the gradient of the input, from the sums of each channel.
inline void set_gradient_terms(const Op& op, const GradSums* sums, const float* weight, NormedChannel* channels,
                               float* weight_grad, float* bias_grad) {
    const int size = op.channels / op.groups;
    const float values = (float)(size * op.area());
    for (int first = 0; first < op.channels; first += size) {
        const Vec inverse_std = channels[first].inverse_std;
        Vec grads{}, weighted{};  // of the normalised values, before weight
        for (int c = first; c < first + size; c++) {
            grads += weight ? sums[c].grads * weight[c] : sums[c].grads;
            weighted += weight ? sums[c].weighted * weight[c] : sums[c].weighted;
            if (weight_grad) weight_grad[c] = sum_lanes(sums[c].weighted * inverse_std);
            if (bias_grad) bias_grad[c] = sum_lanes(sums[c].grads);
        }
        for (int c = first; c < first + size; c++) {
            channels[c].mean_term = grads * inverse_std / values;
            channels[c].variance_term = weighted * inverse_std * inverse_std * inverse_std / values;
        }
    }
}

}  // namespace group_norm
