// A network's training step, the update of its weights, and its evaluation, on the CPU.
//
// The batch is split into groups of LANES images, one image in each lane of a vector. One thread takes a group through all
// operations up to the next batch norm, so the maps of a group stay in the cache of the core that made them. A batch norm needs
// the whole batch, so all threads wait there. Sums over groups are taken in the order of the groups: the result does not depend
// on the number of threads. The classes for one group are in the headers.
#pragma once
#include "batch_norm.h"
#include "bfloat16_convolution.h"
#include "group_norm.h"
#include "images.h"
#include "loss.h"
#include "pointwise.h"
#include "threads.h"

// A parameter whose gradient each group of images computes by itself. Batch norm is different: it merges the groups in a barrier.
struct GroupGradient {
    int tensor;
    long offset, size;  // in the gradients of a group
};

struct Network {
    std::vector<Op> ops;
    std::vector<std::unique_ptr<Convolution>> convs;  // null for other operations
    std::vector<BatchNorm> batch_norms;               // one per operation, used where it begins with batch norm
    std::vector<std::vector<NormedChannel>> channels;  // of the norm of each operation, slot by slot
    std::vector<long> in_offsets, out_offsets;        // of the input and the output of each operation in a group's maps
    std::vector<long> added_offsets;                  // of the second input of each addition
    std::vector<GroupGradient> group_gradients;
    std::vector<long> grad_offsets;  // of each tensor in a group's gradients of parameters
    long map_size = 0;               // all maps of one group
    long max_map_size = 0, parameters = 0;
    int grad_buffers = SAVED;        // per group
    std::vector<int> norm_ops;       // operations that begin with batch norm: they wait for the whole batch
    ThreadPool pool;
    std::vector<Workspace> workspaces;  // one per thread
    std::vector<ImageLoader> loaders;   // one per thread

    // of the batch
    Images images{};
    const int64_t* labels = nullptr;
    float* logits = nullptr;  // where an evaluation writes the outputs, or null
    float *const *tensors = nullptr, *const *gradients = nullptr;
    int batch_size = 0, groups = 0;
    uint64_t key = 0;
    float smoothing = 0;
    bool training = false;
    std::atomic<bool> finite{true};
    std::vector<Vec> maps;           // in training one slot per group, in evaluation one slot per thread
    std::vector<Vec> map_grads;      // buffers of each group
    std::vector<Vec*> grad_roles;    // which buffer of each group has which role
    std::vector<float> weight_grads; // of each group
    std::vector<Loss> losses;        // of each group

    // The roles of buffers: an operation reads the gradient of its output from CURRENT. It changes it in place, or writes to NEXT
    // and exchanges the two. SAVED + k has the gradient of saved map k.
    enum Role { CURRENT, NEXT, SAVED };

    Network(const Op* first, int count, int threads, Products products)
        : ops(first, first + count), channels(count), pool(threads), workspaces(threads),
          loaders(threads, ImageLoader(first[0].channels * first[0].height, first[0].width)) {
        size_t most_channels = 0;
        map_size = ops[0].in_size();
        std::vector<long> saved;  // offsets of the saved maps
        long map = 0;
        for (const Op& op : ops) {
            in_offsets.push_back(map);
            added_offsets.push_back(op.kind == ADD ? saved[op.saved] : -1);
            if (op.kind == SAVE) {
                saved.resize(std::max((int)saved.size(), op.saved + 1));
                saved[op.saved] = map;
            } else if (op.kind == SWAP) {
                std::swap(saved[op.saved], map);
            } else {
                map = map_size, map_size += op.out_size();
            }
            out_offsets.push_back(map);
        }
        grad_buffers += (int)saved.size();
        for (int i = 0; i < count; i++) {
            const Op& op = ops[i];
            max_map_size = std::max({max_map_size, op.in_size(), op.out_size()});
            most_channels = std::max(most_channels, (size_t)op.channels);
            convs.push_back(op.kind == CONVOLUTION ? make_convolution(op, products) : nullptr);
            batch_norms.emplace_back(op);
            if (const Convolution* conv = convs.back().get()) {
                for (Workspace& workspace : workspaces) conv->reserve(workspace);
                add_group_gradient(op.weight, conv->size());
                add_group_gradient(op.bias, op.out_channels);
            }
            if (op.norm == BATCH_NORM) norm_ops.push_back(i);
            if (op.norm == GROUP_NORM)
                for (int tensor : {op.weight, op.bias}) add_group_gradient(tensor, op.channels);
            add_group_gradient(op.alphas, op.channels);
        }
        for (Workspace& workspace : workspaces) workspace.grad_sums.resize(most_channels);
    }
    void add_group_gradient(int tensor, long size) {
        if (tensor < 0) return;
        if (tensor >= (int)grad_offsets.size()) grad_offsets.resize(tensor + 1);
        grad_offsets[tensor] = parameters;
        group_gradients.push_back({tensor, parameters, size});
        parameters += size;
    }

    int op_count() const { return (int)ops.size(); }
    int images_in(int g) const { return std::min(LANES, batch_size - g * LANES); }
    Vec* in_map(int i, int slot) { return &maps[slot * map_size + in_offsets[i]]; }
    Vec* out_map(int i, int slot) { return &maps[slot * map_size + out_offsets[i]]; }
    Vec*& map_grad(int role, int g) { return grad_roles[(long)g * grad_buffers + role]; }
    // These are null if the operation does not have the tensor.
    const float* tensor(int number) const { return number < 0 ? nullptr : tensors[number]; }
    float* group_gradient(int number, int g) { return number < 0 ? nullptr : &weight_grads[g * parameters + grad_offsets[number]]; }
    NormedChannel* normed(int i, int slot) { return ops[i].norm ? &channels[i][(long)slot * ops[i].channels] : nullptr; }
    // A convolution reads each gradient anyway, so it takes it through the norm after it. Not if there was a flatten between them:
    // then the norm has other channels.
    bool convolution_takes_norm(int i) const {
        return i > 0 && i < op_count() && convs[i - 1] && ops[i].norm && ops[i].channels == ops[i - 1].out_channels;
    }
    DropoutMask dropout_mask(int i, int g) const { return make_dropout_mask(ops[i].p, key, i, g); }

    void prepare(int images_, int slots) {
        batch_size = images_;
        groups = (batch_size + LANES - 1) / LANES;
        if ((long)maps.size() < slots * map_size) maps.resize(slots * map_size);
        losses.assign(groups, {});
        for (int i = 0; i < op_count(); i++) {
            if (convs[i]) convs[i]->pack_weights(tensors[ops[i].weight]);
            if (ops[i].norm) channels[i].resize((size_t)slots * ops[i].channels);
        }
    }

    void load_images(int g, int slot, int t) { loaders[t].load(images, (long)g * LANES, images_in(g), in_map(0, slot)); }

    void forward(int i, int g, int slot, Workspace& workspace) {
        const Op& op = ops[i];
        const Vec* in = in_map(i, slot);
        Vec* out = out_map(i, slot);
        switch (op.kind) {
            case CONVOLUTION: convs[i]->forward(in, tensor(op.bias), out, workspace); break;
            case POINTWISE:
                if (op.norm == BATCH_NORM && training) batch_norms[i].set_statistics(g, normed(i, slot));
                if (op.norm == GROUP_NORM)
                    group_norm::set_statistics(op, in, tensor(op.weight), tensor(op.bias), normed(i, slot));
                Pointwise::dispatch(op, training, [&](auto parts) {
                    Pointwise::forward(parts, op, normed(i, slot), tensor(op.alphas), dropout_mask(i, g), in, out);
                });
                break;
            case SAVE: case SWAP: break;  // in_offsets and out_offsets know them
            case ADD: add(in, &maps[slot * map_size + added_offsets[i]], out, op.in_size()); break;
            case MAX_POOL: case AVG_POOL:
                for (int c = 0; c < op.channels; c++) {
                    const Vec* from = in + c * op.area();
                    Vec* to = out + c * op.out_area();
                    op.kind == MAX_POOL ? max_pool(from, to, op.window()) : avg_pool(from, to, op.window());
                }
        }
    }

    // Computes the gradient of an operation's input from that of its output.
    void backward(int i, int g, Workspace& workspace) {
        const Op& op = ops[i];
        Vec *grad = map_grad(CURRENT, g), *next = map_grad(NEXT, g);
        const Vec *in = in_map(i, g), *out = out_map(i, g);
        switch (op.kind) {
            case CONVOLUTION:
                convs[i]->backward(in, out, grad, i ? next : nullptr, group_gradient(op.weight, g), group_gradient(op.bias, g),
                                   convolution_takes_norm(i + 1) ? normed(i + 1, g) : nullptr, workspace);
                std::swap(map_grad(CURRENT, g), map_grad(NEXT, g));
                break;
            case POINTWISE: {
                GradSums* sums = workspace.grad_sums.data();
                Pointwise::dispatch(op, true, [&](auto parts) {
                    Pointwise::backward(parts, op, normed(i, g), tensor(op.alphas), dropout_mask(i, g), in, out, grad, sums);
                });
                if (float* alphas = group_gradient(op.alphas, g))
                    for (int c = 0; c < op.channels; c++) alphas[c] = sum_lanes(sums[c].alphas);
                if (op.norm == BATCH_NORM) batch_norms[i].collect_grad_sums(g, sums);
                if (op.norm == GROUP_NORM) {
                    group_norm::set_gradient_terms(op, sums, tensor(op.weight), normed(i, g), group_gradient(op.weight, g),
                                                   group_gradient(op.bias, g));
                    if (!convolution_takes_norm(i)) norm_backward(op, normed(i, g), in, grad);
                }
                break;
            }
            case ADD: std::copy_n(grad, op.in_size(), map_grad(SAVED + op.saved, g)); break;  // both inputs have the gradient of the sum
            case SWAP: std::swap(map_grad(CURRENT, g), map_grad(SAVED + op.saved, g)); break;
            case SAVE: add(grad, map_grad(SAVED + op.saved, g), grad, op.in_size()); break;
            case MAX_POOL: case AVG_POOL:
                for (int c = 0; c < op.channels; c++) {
                    const Vec* from = grad + c * op.out_area();
                    Vec* to = next + c * op.area();
                    op.kind == MAX_POOL ? max_pool_backward(in + c * op.area(), from, to, op.window())
                                        : avg_pool_backward(from, to, op.window());
                }
                std::swap(map_grad(CURRENT, g), map_grad(NEXT, g));
        }
    }

    void backward_range(int g, int from, int to, Workspace& workspace) {
        for (int i = from - 1; i >= to; i--) backward(i, g, workspace);
    }

    void compute_loss(int g, int slot, Vec* grad) {
        losses[g] = cross_entropy(out_map(op_count() - 1, slot), labels + (long)g * LANES, images_in(g), smoothing, batch_size, grad);
    }

    void prepare_gradients() {
        map_grads.resize(std::max((long)map_grads.size(), (long)groups * grad_buffers * max_map_size));
        weight_grads.resize(std::max((long)weight_grads.size(), groups * parameters));
        grad_roles.clear();
        for (long i = 0; i < (long)groups * grad_buffers; i++) grad_roles.push_back(&map_grads[i * max_map_size]);
        for (int i : norm_ops) batch_norms[i].set_batch(batch_size);
    }

    void train() {
        training = true;
        prepare_gradients();
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
                        batch_norms[end].collect_moments(g, in_map(end, g));
                    } else {
                        std::fill_n(map_grad(CURRENT, g), ops.back().out_size(), Vec{});
                        compute_loss(g, g, map_grad(CURRENT, g));
                        backward_range(g, op_count(), start, workspace);
                    }
                }
                pool.barrier([&] {
                    if (segment < last) batch_norms[norm_ops[segment]].use_batch_statistics(tensors);
                    else if (last) batch_norms[norm_ops[last - 1]].merge_grad_sums(gradients);
                });
            }
            for (int segment = last - 1; segment >= 0; segment--) {
                const int end = norm_ops[segment];
                for (int g; (g = pool.take_next(groups)) >= 0;) {
                    batch_norms[end].set_gradient_terms(g, normed(end, g));
                    if (!convolution_takes_norm(end)) norm_backward(ops[end], normed(end, g), in_map(end, g), map_grad(CURRENT, g));
                    backward_range(g, end, segment ? norm_ops[segment - 1] : 0, workspace);
                }
                pool.barrier([&] {
                    if (segment) batch_norms[norm_ops[segment - 1]].merge_grad_sums(gradients);
                });
            }
            for (int i; (i = pool.take_next((int)group_gradients.size())) >= 0;) {
                const GroupGradient& gradient = group_gradients[i];
                float* const sum = gradients[gradient.tensor];
                const auto has_this_sum = [&](const GroupGradient& other) { return gradients[other.tensor] == sum; };
                if (std::any_of(&group_gradients[0], &group_gradients[i], has_this_sum)) continue;
                std::fill_n(sum, gradient.size, 0.0f);
                for (size_t j = i; j < group_gradients.size(); j++)  // layers that share their weights add up
                    for (int g = 0; g < groups && has_this_sum(group_gradients[j]); g++)
                        std::transform(sum, sum + gradient.size, &weight_grads[g * parameters + group_gradients[j].offset], sum,
                                       std::plus<float>());
                check_finite(sum, gradient.size);
            }
        };
        finite = true;
        pool.run(job);
        for (int i : norm_ops) {
            for (int number : {ops[i].weight, ops[i].bias}) check_finite(gradients[number], ops[i].channels);
            if (ops[i].num_batches_tracked >= 0) ++*(int64_t*)tensors[ops[i].num_batches_tracked];
        }
    }

    void check_finite(const float* values, long size) {
        double total = 0;  // the sum of finite floats cannot overflow a double
        for (long i = 0; i < size; i++) total += values[i];
        if (!std::isfinite(total)) finite = false;
    }

    void evaluate() {
        training = false;
        for (int i : norm_ops)
            for (int slot = 0; slot < pool.size(); slot++) batch_norms[i].set_running_statistics(tensors, normed(i, slot));
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

    void write_logits(int g, int slot) {
        const Vec* from = out_map(op_count() - 1, slot);
        const long classes = ops.back().out_size();
        for (int lane = 0; lane < images_in(g); lane++)
            for (long c = 0; c < classes; c++) logits[(g * (long)LANES + lane) * classes + c] = from[c][lane];
    }
};
