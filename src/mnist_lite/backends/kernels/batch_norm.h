// Batch norm: the statistics of all groups of images are merged. In ghost batch norm, the batch has several ghosts, each with its own
// statistics. Plain batch norm is the case of one ghost.
#pragma once
#include "norm.h"

// Count, mean and sum of squared deviations of some values.
struct Moments {
    double count, mean, squares;

    void merge(const Moments& other) {  // Chan et al., 1979
        const double total = count + other.count, delta = other.mean - mean;
        squares += other.squares + delta * delta * count * other.count / total;
        mean += delta * other.count / total;
        count = total;
    }
};

// One batch norm in one step.
class BatchNorm {
public:
    explicit BatchNorm(const Op& op) : op_(op) {}

    // Splits a batch into ghosts as torch's tensor_split does.
    void set_batch(int images) {
        const int ghosts = op_.ghost_size ? std::max(1, images / op_.ghost_size) : 1;
        parts_.clear(), group_starts_.clear(), ghost_starts_.clear();
        for (int image = 0, ghost = 0, end = 0; image < images; image++) {
            const bool new_ghost = image == end, new_group = image % LANES == 0;
            if (new_ghost) ghost_starts_.push_back((int)parts_.size()), end += images / ghosts + (ghost++ < images % ghosts);
            if (new_group) group_starts_.push_back((int)parts_.size());
            if (new_ghost || new_group) parts_.push_back({ghost - 1, 0, Vec{}});
            parts_.back().images++, parts_.back().mask[image % LANES] = 1;
        }
        for (auto* starts : {&group_starts_, &ghost_starts_}) starts->push_back((int)parts_.size());
        moments_.resize(parts_.size() * op_.channels);
        grad_sums_.resize(2 * parts_.size() * op_.channels);
        ghosts_.resize((size_t)ghosts * op_.channels);
    }

    // Computes the moments of one group of images. Several threads may call this at the same time, each for another group.
    void collect_moments(int group, const Vec* in) {
        for (int c = 0; c < op_.channels; c++) {
            const LaneMoments lanes = compute_moments(in + (long)c * op_.area(), op_.area());
            for (int i = group_starts_[group]; i < group_starts_[group + 1]; i++) {
                const Part& part = parts_[i];
                const float mean = sum_lanes(lanes.mean * part.mask) / (float)part.images;
                const Vec difference = lanes.mean - mean, squares = lanes.squares + difference * difference * (float)op_.area();
                moments_[at(i, c)] = {(double)part.images * op_.area(), mean, sum_lanes(squares * part.mask)};
            }
        }
    }
    void collect_grad_sums(int group, const GradSums* sums) {
        for (int c = 0; c < op_.channels; c++)
            for (int i = group_starts_[group]; i < group_starts_[group + 1]; i++) {
                grad_sums_[2 * at(i, c)] = sum_lanes(sums[c].grads * parts_[i].mask);
                grad_sums_[2 * at(i, c) + 1] = sum_lanes(sums[c].weighted * parts_[i].mask);
            }
    }

    // Merges the moments of all groups and updates the running statistics.
    void use_batch_statistics(float* const* tensors) {
        const int ghosts = (int)ghost_starts_.size() - 1;
        for (int c = 0; c < op_.channels; c++) {
            double mean = 0, unbiased = 0;  // means over the ghosts
            for (int ghost = 0; ghost < ghosts; ghost++) {
                Moments merged{};
                for (int i = ghost_starts_[ghost]; i < ghost_starts_[ghost + 1]; i++) merged.merge(moments_[at(i, c)]);
                mean += merged.mean / ghosts;
                unbiased += merged.squares / (merged.count - 1) / ghosts;
                ghosts_[at(ghost, c)] = normed(tensors, c, merged.mean, merged.squares / merged.count);
            }
            float &running_mean = tensors[op_.running_mean][c], &running_var = tensors[op_.running_var][c];
            running_mean = (float)(running_mean + op_.momentum * (mean - running_mean));
            running_var = (float)(running_var + op_.momentum * (unbiased - running_var));
        }
    }
    // Merges the sums of all groups: the gradients of weight and bias, and the terms of the gradient of the input.
    void merge_grad_sums(float* const* gradients) {
        for (int c = 0; c < op_.channels; c++) {
            double weight_grad = 0, bias_grad = 0;
            for (size_t g = 0; g + 1 < ghost_starts_.size(); g++) {
                GhostChannel& ghost = ghosts_[at((int)g, c)];
                double grads = 0, weighted = 0, values = 0;
                for (int i = ghost_starts_[g]; i < ghost_starts_[g + 1]; i++) {
                    grads += grad_sums_[2 * at(i, c)], weighted += grad_sums_[2 * at(i, c) + 1];
                    values += (double)parts_[i].images * op_.area();
                }
                bias_grad += grads, weight_grad += weighted * ghost.inverse_std;
                ghost.mean_term = (float)(ghost.scale * grads / values);
                ghost.variance_term = (float)(ghost.scale * weighted * ghost.inverse_std * ghost.inverse_std / values);
            }
            gradients[op_.weight][c] = (float)weight_grad, gradients[op_.bias][c] = (float)bias_grad;
        }
    }

    // Write what one group of images needs to its op.channels channels: forward, backward, and in an evaluation.
    void set_statistics(int group, NormedChannel* channels) const {
        for (int c = 0; c < op_.channels; c++) {
            channels[c] = NormedChannel{};
            for (int i = group_starts_[group]; i < group_starts_[group + 1]; i++) {
                const GhostChannel& ghost = ghosts_[at(parts_[i].ghost, c)];
                channels[c].scale += parts_[i].mask * ghost.scale, channels[c].shift += parts_[i].mask * ghost.shift;
                channels[c].mean += parts_[i].mask * ghost.mean;
            }
        }
    }
    void set_gradient_terms(int group, NormedChannel* channels) const {
        for (int c = 0; c < op_.channels; c++)
            for (int i = group_starts_[group]; i < group_starts_[group + 1]; i++) {
                const GhostChannel& ghost = ghosts_[at(parts_[i].ghost, c)];
                channels[c].mean_term += parts_[i].mask * ghost.mean_term;
                channels[c].variance_term += parts_[i].mask * ghost.variance_term;
            }
    }
    void set_running_statistics(float* const* tensors, NormedChannel* channels) const {
        for (int c = 0; c < op_.channels; c++) {
            const GhostChannel all = normed(tensors, c, tensors[op_.running_mean][c], tensors[op_.running_var][c]);
            channels[c].scale = broadcast(all.scale), channels[c].shift = broadcast(all.shift);
        }
    }

private:
    // The images of one ghost in one group of LANES images. mask: 1 for their lanes, 0 for the others.
    struct Part {
        int ghost, images;
        Vec mask;
    };
    // As NormedChannel, for one ghost.
    struct GhostChannel {
        double inverse_std;
        float scale, shift, mean, variance_term, mean_term;
    };

    size_t at(int row, int c) const { return (size_t)row * op_.channels + c; }
    GhostChannel normed(float* const* tensors, int c, double mean, double variance) const {
        const double inverse_std = 1 / std::sqrt(variance + op_.eps), scale = tensors[op_.weight][c] * inverse_std;
        return {inverse_std, (float)scale, (float)(tensors[op_.bias][c] - mean * scale), (float)mean, 0, 0};
    }

    const Op op_;
    std::vector<Part> parts_;                       // in the order of the images
    std::vector<int> group_starts_, ghost_starts_;  // the first part of each group and of each ghost, and the number of parts
    std::vector<Moments> moments_;                  // of each part and channel
    std::vector<double> grad_sums_;                 // the two sums of GradSums, for each part and channel
    std::vector<GhostChannel> ghosts_;              // of each ghost and channel
};
