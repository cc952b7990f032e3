// A network's training step and its evaluation on the CPU, in float32, and the C functions that Python calls.
//
// The batch is split into groups of LANES images, one image in each lane of a vector. One thread takes a group through all
// operations up to the next batch norm, so the maps of a group stay in the cache of the core that made them. A batch norm needs
// the whole batch, so all threads wait there. Sums over groups are taken in the order of the groups: the result does not depend
// on the number of threads. The classes for one group are in the headers.
#include <memory>

#include "convolution.h"
#include "images.h"
#include "loss.h"
#include "pointwise.h"
#include "threads.h"
#include "weight_update.h"

namespace {

struct Network {
    std::vector<Op> ops;
    std::vector<std::unique_ptr<Convolution>> convs;  // null for other operations
    std::vector<BatchNorm> norms;
    std::vector<long> map_offsets;   // of the input of each operation in a group's maps, and of the last output
    std::vector<long> grad_offsets;  // of the weights of each operation in a group's weight gradients
    long max_map_size = 0, parameters = 0;
    std::vector<int> norm_ops;       // operations that begin with batch norm: they wait for the whole batch
    ThreadPool pool;
    std::vector<Workspace> workspaces;  // one per thread
    std::vector<ImageLoader> loaders;   // one per thread

    // of the batch
    Images images{};
    const int64_t* labels = nullptr;
    float* logits = nullptr;  // where an evaluation writes the outputs, or null
    float* const* tensors = nullptr;
    float* const* gradients = nullptr;
    int batch_size = 0, groups = 0;
    uint64_t key = 0;
    float smoothing = 0;
    bool training = false;
    std::atomic<bool> finite{true};
    std::vector<Vec> maps;           // in training one slot per group, in evaluation one slot per thread
    std::vector<Vec> map_grads;      // two buffers per group: operations read from one and write to the other
    std::vector<float> weight_grads; // of each group
    std::vector<Loss> losses;        // of each group

    Network(const Op* first, int count, int threads)
        : ops(first, first + count), norms(count), pool(threads), workspaces(threads),
          loaders(threads, ImageLoader(first[0].channels * first[0].height, first[0].width)) {
        long padded = 0, bordered = 0, weights = 0, offset = 0;
        for (int i = 0; i < count; i++) {
            const Op& op = ops[i];
            map_offsets.push_back(offset);
            grad_offsets.push_back(parameters);
            offset += op.in_size();
            max_map_size = std::max({max_map_size, op.in_size(), op.out_size()});
            convs.push_back(op.kind == CONVOLUTION ? std::make_unique<Convolution>(op) : nullptr);
            if (const Convolution* conv = convs.back().get()) {
                if (op.padding) padded = std::max(padded, op.channels * conv->in_plane());
                bordered = std::max(bordered, (long)conv->outputs * conv->bordered_height * conv->bordered_width);
                weights = std::max(weights, conv->sums());
                parameters += conv->size() + (op.bias < 0 ? 0 : op.out_channels);
            }
            if (op.batch_norm) {
                norm_ops.push_back(i);
                norms[i].set_channels(op.channels);
            }
        }
        map_offsets.push_back(offset);
        for (Workspace& workspace : workspaces) {
            workspace.padded_input.resize(padded);
            workspace.bordered_grad.resize(bordered);
            workspace.weight_grad_sums.resize(weights);
        }
    }

    int op_count() const { return (int)ops.size(); }
    long map_size() const { return map_offsets.back() + ops.back().out_size(); }  // all maps of one group
    int images_in(int g) const { return std::min(LANES, batch_size - g * LANES); }
    Vec* map(int i, int slot) { return &maps[slot * map_size() + map_offsets[i]]; }
    Vec* map_grad(int buffer, int g) { return &map_grads[(2l * g + buffer) * max_map_size]; }
    Vec lane_mask(int g) const {
        Vec v{};
        for (int i = 0; i < images_in(g); i++) v[i] = 1;
        return v;
    }
    DropoutMask dropout_mask(int i, int g) const { return make_dropout_mask(ops[i].p, key, i, g); }

    void prepare(int images_, int slots) {
        batch_size = images_;
        groups = (batch_size + LANES - 1) / LANES;
        if ((long)maps.size() < slots * map_size()) maps.resize(slots * map_size());
        losses.assign(groups, {});
        for (int i = 0; i < op_count(); i++)
            if (convs[i]) convs[i]->pack_weights(tensors[ops[i].weight]);
    }

    void load_images(int g, int slot, int thread) {
        loaders[thread].load(images, (long)g * LANES, images_in(g), map(0, slot));
    }

    void forward(int i, int g, int slot, Workspace& workspace) {
        const Op& op = ops[i];
        const Vec* in = map(i, slot);
        Vec* out = map(i + 1, slot);
        switch (op.kind) {
            case CONVOLUTION: convs[i]->forward(in, op.bias < 0 ? nullptr : tensors[op.bias], out, workspace); break;
            case POINTWISE:
                Pointwise::dispatch(op, training, [&](auto parts) {
                    Pointwise::forward(parts, op, norms[i], dropout_mask(i, g), in, out);
                });
                break;
            default:
                for (int c = 0; c < op.channels; c++) {
                    const Vec* from = in + c * op.area();
                    Vec* to = out + c * op.out_area();
                    op.kind == MAX_POOL ? max_pool(from, to, op.window()) : avg_pool(from, to, op.window());
                }
        }
    }

    // Computes the gradient of an operation's input from that of its output, which is in the given buffer.
    // Returns the buffer of the result.
    // norm: the batch norm after a convolution if the gradient in the buffer is that of its output, else null.
    int backward(int i, int g, int buffer, const BatchNorm* norm, Workspace& workspace) {
        const Op& op = ops[i];
        Vec *grad_out = map_grad(buffer, g), *grad_in = map_grad(1 - buffer, g);
        const Vec *in = map(i, g), *out = map(i + 1, g);
        float* own = &weight_grads[g * parameters + grad_offsets[i]];
        switch (op.kind) {
            case CONVOLUTION:
                convs[i]->backward(in, out, grad_out, i ? grad_in : nullptr, own,
                                   op.bias < 0 ? nullptr : own + convs[i]->size(), norm, lane_mask(g), workspace);
                return 1 - buffer;
            case POINTWISE:
                Pointwise::dispatch(op, true, [&](auto parts) {
                    Pointwise::backward(parts, op, norms[i], dropout_mask(i, g), in, out, grad_out,
                                        op.batch_norm ? &norms[i].grad_sums[2l * g * op.channels] : nullptr);
                });
                return buffer;
            default:
                for (int c = 0; c < op.channels; c++) {
                    const Vec* from = grad_out + c * op.out_area();
                    Vec* to = grad_in + c * op.area();
                    op.kind == MAX_POOL ? max_pool_backward(in + c * op.area(), from, to, op.window())
                                        : avg_pool_backward(from, to, op.window());
                }
                return 1 - buffer;
        }
    }

    void backward_range(int g, int from, int to, int& buffer, const BatchNorm* norm, Workspace& workspace) {
        for (int i = from - 1; i >= to; i--, norm = nullptr) buffer = backward(i, g, buffer, norm, workspace);
    }

    void compute_loss(int g, int slot, Vec* grad) {
        losses[g] = cross_entropy(map(op_count(), slot), labels + (long)g * LANES, images_in(g), smoothing, batch_size, grad);
    }

    void use_batch_statistics(int i) { norms[i].use_batch_statistics(ops[i], tensors, groups); }
    void merge_grad_sums(int i) { norms[i].merge_grad_sums(ops[i], gradients, groups, batch_size); }

    void train() {
        training = true;
        map_grads.resize(std::max((long)map_grads.size(), 2l * groups * max_map_size));
        weight_grads.resize(std::max((long)weight_grads.size(), groups * parameters));
        for (int i : norm_ops) norms[i].set_groups(groups, ops[i].channels);
        std::vector<int> buffers(groups, 0);  // where the gradient of each group is
        const std::function<void(int)> job = [&](int t) {
            Workspace& workspace = workspaces[t];
            // The batch norms split the network into segments. The last segment goes forward and back in one part.
            const int last = (int)norm_ops.size();
            for (int segment = 0; segment <= last; segment++) {
                const int start = segment ? norm_ops[segment - 1] : 0, end = segment < last ? norm_ops[segment] : op_count();
                for (int g; (g = pool.take_next(groups)) >= 0;) {
                    if (!segment) load_images(g, g, t);
                    for (int i = start; i < end; i++) forward(i, g, g, workspace);
                    if (segment < last) {
                        for (int c = 0; c < ops[end].channels; c++)
                            norms[end].moments[g * ops[end].channels + c] = compute_moments(
                                map(end, g) + c * ops[end].area(), ops[end].area(), lane_mask(g), images_in(g));
                    } else {
                        std::fill_n(map_grad(0, g), ops.back().out_size(), Vec{});
                        compute_loss(g, g, map_grad(0, g));
                        backward_range(g, op_count(), start, buffers[g], nullptr, workspace);
                    }
                }
                pool.barrier([&] {
                    if (segment < last) use_batch_statistics(norm_ops[segment]);
                    else if (last) merge_grad_sums(norm_ops[last - 1]);
                });
            }
            for (int segment = last - 1; segment >= 0; segment--) {
                for (int g; (g = pool.take_next(groups)) >= 0;) {
                    const int end = norm_ops[segment];
                    const bool fused = end && convs[end - 1];  // the convolution reads each gradient anyway
                    if (!fused)
                        Pointwise::batch_norm_backward(ops[end], norms[end], map(end, g), map_grad(buffers[g], g), lane_mask(g));
                    backward_range(g, end, segment ? norm_ops[segment - 1] : 0, buffers[g], fused ? &norms[end] : nullptr,
                                   workspace);
                }
                pool.barrier([&] {
                    if (segment) merge_grad_sums(norm_ops[segment - 1]);
                });
            }
            for (int i; (i = pool.take_next(op_count())) >= 0;) finish_gradients(i);
        };
        finite = true;
        pool.run(job);
    }

    // Sums the gradients of one operation's weights over the groups, and checks whether they are finite.
    void finish_gradients(int i) {
        const Op& op = ops[i];
        if (convs[i]) {
            sum_over_groups(gradients[op.weight], grad_offsets[i], convs[i]->size());
            if (op.bias >= 0) sum_over_groups(gradients[op.bias], grad_offsets[i] + convs[i]->size(), op.out_channels);
        }
        if (op.weight >= 0 && !is_finite(gradients[op.weight], convs[i] ? convs[i]->size() : op.channels)) finite = false;
        if (op.bias >= 0 && !is_finite(gradients[op.bias], op.out_channels)) finite = false;
        if (op.batch_norm) ++*(int64_t*)tensors[op.num_batches_tracked];
    }

    static bool is_finite(const float* values, long size) {
        double total = 0;  // the sum of finite floats cannot overflow a double
        for (long i = 0; i < size; i++) total += values[i];
        return std::isfinite(total);
    }

    void sum_over_groups(float* to, long start, long size) const {
        std::copy_n(&weight_grads[start], size, to);
        for (int g = 1; g < groups; g++)
            for (long i = 0; i < size; i++) to[i] += weight_grads[g * parameters + start + i];
    }

    void evaluate() {
        training = false;
        for (int i : norm_ops) norms[i].use_running_statistics(ops[i], tensors);
        const std::function<void(int)> job = [&](int t) {
            for (int g; (g = pool.take_next(groups)) >= 0;) {
                load_images(g, t, t);
                for (int i = 0; i < op_count(); i++) forward(i, g, t, workspaces[t]);
                compute_loss(g, t, nullptr);
                if (logits) write_logits(g, t);
            }
        };
        pool.run(job);
    }

    void update(const UpdateSettings& settings, const ParameterGroup* parameter_groups, const Parameter* parameters, int count,
                const AveragedBuffer* buffers, int buffer_count) {
        WeightUpdate update(settings, parameter_groups);
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
    static constexpr int64_t PARALLEL_UPDATE = 50'000;  // with fewer parameters, waking the threads takes longer

    void write_logits(int g, int slot) {
        const Vec* from = map(op_count(), slot);
        const long classes = ops.back().out_size();
        for (int lane = 0; lane < images_in(g); lane++)
            for (long c = 0; c < classes; c++) logits[(g * (long)LANES + lane) * classes + c] = from[c][lane];
    }
};

}  // namespace

extern "C" {

// Null: out of memory or of threads.
Network* mnist_lite_new(const Op* ops, int count, int threads) {
    try {
        return new Network(ops, count, threads);
    } catch (...) {
        return nullptr;
    }
}

void mnist_lite_delete(Network* network) { delete network; }

// A training step, or an evaluation if gradients is null. Returns 0, or 1 if there is not enough memory.
// logits: null, or where an evaluation writes them, 10 for each image.
// results: the sum of the losses, the number of right answers, and whether loss and gradients are finite (1 or 0).
int mnist_lite_run(Network* network, const Images* images, const int64_t* labels, int count, float* const* tensors,
                   float* const* gradients, uint64_t key, float smoothing, float* logits, double* results) {
    try {
        network->logits = logits;
        network->images = *images, network->labels = labels, network->tensors = tensors, network->gradients = gradients;
        network->key = key, network->smoothing = smoothing;
        network->prepare(count, gradients ? (count + LANES - 1) / LANES : network->pool.size());
        gradients ? network->train() : network->evaluate();
    } catch (const std::bad_alloc&) {
        return 1;
    }
    results[0] = results[1] = 0;
    for (const Loss& loss : network->losses) results[0] += loss.sum, results[1] += loss.correct;
    results[2] = std::isfinite(results[0]) && network->finite;
    return 0;
}

// Updates the weights from their gradients.
void mnist_lite_update(Network* network, const UpdateSettings* settings, const ParameterGroup* groups, const Parameter* parameters,
                       int count, const AveragedBuffer* buffers, int buffer_count) {
    network->update(*settings, groups, parameters, count, buffers, buffer_count);
}
}
