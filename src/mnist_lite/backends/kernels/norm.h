// The parts that all norms share. A norm multiplies each channel by a scale and adds a shift.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "op.h"

// One channel of one group of images, normalised. Each image, so each lane, can have its own values.
struct NormedChannel {
    Vec scale, shift;                     // output = input * scale + shift
    Vec mean, inverse_std;
    Vec variance_term, mean_term;         // of the gradient

    Vec output(Vec in) const { return in * scale + shift; }
    Vec input_grad(Vec grad, Vec in) const { return grad * scale - (in - mean) * variance_term - mean_term; }
};

// Sums over one channel of each image, which the gradients of parameters and norms need.
struct GradSums {
    Vec grads, weighted;  // of the gradient, and of gradient * (input - mean)
    Vec alphas;           // of the gradient of alpha
};

// Mean and sum of squared deviations of one channel of each image.
struct LaneMoments {
    Vec mean, squares;
};

inline LaneMoments compute_moments(const Vec* in, int area) {
    // The deviations are from the mean of a sample, so that one pass over the map is enough and little is lost to rounding.
    const int step = std::max(1, area / 8);
    Vec sample{};
    int samples = 0;
    for (int i = step / 2; i < area; i += step, samples++) sample += in[i];
    const Vec near_mean = sample / (float)samples;
    Vec deviations{}, squares{};
    for (int i = 0; i < area; i++) {
        const Vec d = in[i] - near_mean;
        deviations += d;
        squares += d * d;
    }
    const Vec difference = deviations / (float)area;
    return {near_mean + difference, squares - difference * deviations};
}

// Takes the gradient of one group of images through a norm, in place. channels: those of the norm.
inline void norm_backward(const Op& op, const NormedChannel* channels, const Vec* in, Vec* grad) {
    for (int c = 0; c < op.channels; c++) {
        const NormedChannel channel = channels[c];
        for (int i = c * op.area(); i < (c + 1) * op.area(); i++) grad[i] = channel.input_grad(grad[i], in[i]);
    }
}
