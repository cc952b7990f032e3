// The statistics of batch norm: merged over the groups of a batch, and applied by pointwise.h.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "op.h"

// Count, mean and sum of squared deviations of some values.
struct Moments {
    double count, mean, squares;

    void merge(const Moments& other) {  // Chan et al., 1979
        if (!other.count) return;
        const double total = count + other.count, delta = other.mean - mean;
        squares += other.squares + delta * delta * count * other.count / total;
        mean += delta * other.count / total;
        count = total;
    }
};

// The moments of one channel of one group. lane_mask: 1 for lanes that hold an image, 0 for the others.
inline Moments compute_moments(const Vec* in, int area, Vec lane_mask, int images) {
    // The deviations are from the mean of a sample, so that one pass over the map is enough and little is lost to rounding.
    const int step = std::max(1, area / 8);
    Vec sample{};
    int samples = 0;
    for (int i = step / 2; i < area; i += step, samples++) sample += in[i];
    const float near_mean = sum_lanes(sample * lane_mask) / (float)(samples * images);
    Vec deviations{}, squares{};
    for (int i = 0; i < area; i++) {
        const Vec d = in[i] - near_mean;
        deviations += d;
        squares += d * d;
    }
    const double count = (double)area * images, difference = sum_lanes(deviations * lane_mask) / count;
    return {count, near_mean + difference, sum_lanes(squares * lane_mask) - difference * difference * count};
}

// The gradient of the input of one channel, from that of the output. lane_mask: 1 for lanes that hold an image, 0 for the others.
struct BatchNormGradient {
    Vec scale, variance_term, mean_term;
    float mean;
    Vec of_input(Vec grad, Vec in) const { return grad * scale - (in - mean) * variance_term - mean_term; }
};

// One batch norm in one step. All vectors but moments and grad_sums have one value per channel.
struct BatchNorm {
    std::vector<Moments> moments;                 // group by group
    std::vector<double> grad_sums;                // sum of the gradient, and of gradient * (input - mean), group by group
    std::vector<float> mean, scale, shift;        // output = input * scale + shift
    std::vector<float> mean_term, variance_term;  // grad_in = scale * grad - variance_term * (input - mean) - mean_term
    std::vector<double> inverse_std;

    BatchNormGradient gradient(int c, Vec lane_mask) const {
        return {lane_mask * scale[c], lane_mask * variance_term[c], lane_mask * mean_term[c], mean[c]};
    }
    void set_channels(int channels) {
        for (auto* values : {&mean, &scale, &shift, &mean_term, &variance_term}) values->resize(channels);
        inverse_std.resize(channels);
    }
    void set_groups(int groups, int channels) {
        moments.resize((long)groups * channels);
        grad_sums.resize(2l * groups * channels);
    }

    void set_affine(const Op& op, float* const* tensors, int c, double mean_, double variance) {
        inverse_std[c] = 1 / std::sqrt(variance + op.eps);
        mean[c] = (float)mean_;
        scale[c] = (float)(tensors[op.weight][c] * inverse_std[c]);
        shift[c] = (float)(tensors[op.bias][c] - mean_ * tensors[op.weight][c] * inverse_std[c]);
    }
    void use_running_statistics(const Op& op, float* const* tensors) {
        for (int c = 0; c < op.channels; c++)
            set_affine(op, tensors, c, tensors[op.running_mean][c], tensors[op.running_var][c]);
    }
    // Merges the moments of all groups and updates the running statistics.
    void use_batch_statistics(const Op& op, float* const* tensors, int groups) {
        for (int c = 0; c < op.channels; c++) {
            Moments batch{};
            for (int g = 0; g < groups; g++) batch.merge(moments[g * op.channels + c]);
            const double unbiased = batch.squares / (batch.count - 1);
            float &running_mean = tensors[op.running_mean][c], &running_var = tensors[op.running_var][c];
            running_mean = (float)(running_mean + op.momentum * (batch.mean - running_mean));
            running_var = (float)(running_var + op.momentum * (unbiased - running_var));
            set_affine(op, tensors, c, batch.mean, batch.squares / batch.count);
        }
    }
    // Merges the grad_sums of all groups: the gradients of weight and bias, and the two terms of the gradient of the input.
    void merge_grad_sums(const Op& op, float* const* gradients, int groups, int batch_size) {
        const double values = (double)batch_size * op.area();
        for (int c = 0; c < op.channels; c++) {
            double total = 0, weighted = 0;
            for (int g = 0; g < groups; g++) {
                total += grad_sums[2l * (g * op.channels + c)];
                weighted += grad_sums[2l * (g * op.channels + c) + 1];
            }
            gradients[op.weight][c] = (float)(weighted * inverse_std[c]);
            gradients[op.bias][c] = (float)total;
            mean_term[c] = (float)(scale[c] * total / values);
            variance_term[c] = (float)(scale[c] * weighted * inverse_std[c] * inverse_std[c] / values);
        }
    }
};
