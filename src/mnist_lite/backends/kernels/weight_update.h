// The update of the weights: L1, clipping, weight decay, the optimizer, and the average of the weights, in one pass.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "threads.h"

enum Rule : int32_t { SGD, ADAM, RMSPROP };

// The settings of a parameter group of the optimizer. weight_update.py has the same fields in the same order.
struct ParameterGroup {
    Rule rule;
    int32_t nesterov, decoupled_weight_decay, maximize;
    double lr, weight_decay, momentum, dampening, beta1, beta2, eps;  // RMSprop: beta2 is torch's alpha
};

// A parameter and its state. weight_update.py has the same fields in the same order.
struct Parameter {
    float* value;
    float* grad;
    float* momentum_buffer;  // SGD, RMSprop with momentum; Adam: the mean of the gradient (exp_avg)
    float* square_avg;       // Adam (exp_avg_sq), RMSprop
    float* step;             // a count of the updates; null with SGD
    float* average;          // of the weights; null: no average
    int64_t size;
    int32_t group;
};

// A buffer of the network that the average of the weights contains, too, such as a running mean.
struct AveragedBuffer {
    const void* value;
    void* average;
    int64_t size;
    int32_t is_integer;  // int64, else float
};

struct UpdateSettings {
    double l1;
    double clip_grad_norm;  // 0: no clipping
    double decay;           // of the average of the weights
};

class WeightUpdate {
public:
    WeightUpdate(const UpdateSettings& settings, const ParameterGroup* groups) : settings_(settings), groups_(groups) {}

    // The sum of the squares of a gradient, with L1. It is needed for the clipping.
    double squared_norm(const Parameter& p) const {
        double total = 0;
        for (int64_t i = 0; i < p.size; i++) {
            const double g = with_l1(p, i);
            total += g * g;
        }
        return total;
    }
    // As torch.nn.utils.clip_grad_norm_. total_norm: of all gradients together.
    void clip(double total_norm) { factor_ = (float)std::min(1.0, settings_.clip_grad_norm / (total_norm + 1e-6)); }

    void apply(const Parameter& p) const {
        const ParameterGroup& group = groups_[p.group];
        switch (group.rule) {
            case SGD: sgd(p, group); break;
            case ADAM: adam(p, group); break;
            case RMSPROP: rmsprop(p, group); break;
        }
        const float rate = (float)(1 - settings_.decay);
        for (int64_t i = 0; p.average && i < p.size; i++) p.average[i] += (p.value[i] - p.average[i]) * rate;
    }
    void apply(const AveragedBuffer& b) const {
        const float decay = (float)settings_.decay, rate = (float)(1 - settings_.decay);
        for (int64_t i = 0; i < b.size; i++) {
            if (b.is_integer) {  // as torch does it: a mean in float, rounded down
                int64_t& average = ((int64_t*)b.average)[i];
                average = (int64_t)((float)average * decay + (float)((const int64_t*)b.value)[i] * rate);
            } else {
                float& average = ((float*)b.average)[i];
                average += (((const float*)b.value)[i] - average) * rate;
            }
        }
    }

private:
    float with_l1(const Parameter& p, int64_t i) const {
        const float l1 = (float)settings_.l1, w = p.value[i];
        return p.grad[i] + (w > 0 ? l1 : w < 0 ? -l1 : 0);
    }
    // The gradient that the optimizer sees: with L1, clipped, and with the weight decay that is a part of the gradient.
    float gradient(const Parameter& p, const ParameterGroup& group, float weight_decay, int64_t i) const {
        const float g = with_l1(p, i) * factor_;
        return (group.maximize ? -g : g) + weight_decay * p.value[i];
    }

    void sgd(const Parameter& p, const ParameterGroup& group) const {
        const float lr = (float)group.lr, decay = (float)group.weight_decay, momentum = (float)group.momentum;
        const float rate = (float)(1 - group.dampening);
        for (int64_t i = 0; i < p.size; i++) {
            const float g = gradient(p, group, decay, i);
            float& buffer = p.momentum_buffer[i];
            buffer = momentum * buffer + rate * g;
            p.value[i] -= lr * (group.nesterov ? g + momentum * buffer : buffer);
        }
    }
    void adam(const Parameter& p, const ParameterGroup& group) const {
        const double step = *p.step += 1;
        const float step_size = (float)(group.lr / (1 - std::pow(group.beta1, step)));
        const float correction = (float)std::sqrt(1 - std::pow(group.beta2, step)), eps = (float)group.eps;
        const float rate1 = (float)(1 - group.beta1), beta2 = (float)group.beta2, rate2 = (float)(1 - group.beta2);
        const float decay = (float)(group.decoupled_weight_decay ? 0 : group.weight_decay);
        const float kept = (float)(group.decoupled_weight_decay ? 1 - group.lr * group.weight_decay : 1);
        for (int64_t i = 0; i < p.size; i++) {
            const float g = gradient(p, group, decay, i);
            float &mean = p.momentum_buffer[i], &square = p.square_avg[i];
            mean += rate1 * (g - mean);
            square = beta2 * square + rate2 * g * g;
            p.value[i] = kept * p.value[i] - step_size * mean / (std::sqrt(square) / correction + eps);
        }
    }
    void rmsprop(const Parameter& p, const ParameterGroup& group) const {
        *p.step += 1;
        const float lr = (float)group.lr, decay = (float)group.weight_decay, momentum = (float)group.momentum;
        const float alpha = (float)group.beta2, rate = (float)(1 - group.beta2), eps = (float)group.eps;
        for (int64_t i = 0; i < p.size; i++) {
            const float g = gradient(p, group, decay, i);
            float& square = p.square_avg[i];
            square = alpha * square + rate * g * g;
            float step = g / (std::sqrt(square) + eps);
            if (p.momentum_buffer) step = p.momentum_buffer[i] = momentum * p.momentum_buffer[i] + step;
            p.value[i] -= lr * step;
        }
    }

    const UpdateSettings& settings_;
    const ParameterGroup* const groups_;
    float factor_ = 1;  // of the clipping
};

constexpr int64_t PARALLEL_UPDATE = 50'000;  // with fewer parameters, waking the threads takes longer

// Updates all parameters, and the averages of the buffers.
inline void update_weights(ThreadPool& pool, const UpdateSettings& settings, const ParameterGroup* groups, const Parameter* parameters,
                           int count, const AveragedBuffer* buffers, int buffer_count) {
    WeightUpdate update(settings, groups);
    if (settings.clip_grad_norm > 0) {
        double total = 0;
        for (int i = 0; i < count; i++) total += update.squared_norm(parameters[i]);
        update.clip(std::sqrt(total));
    }
    const std::function<void(int)> job = [&](int) {
        for (int i; (i = pool.take_next(count)) >= 0;) update.apply(parameters[i]);
    };
    int64_t size = 0;
    for (int i = 0; i < count; i++) size += parameters[i].size;
    if (size >= PARALLEL_UPDATE) pool.run(job);
    else for (int i = 0; i < count; i++) update.apply(parameters[i]);
    for (int i = 0; i < buffer_count; i++) update.apply(buffers[i]);
}
