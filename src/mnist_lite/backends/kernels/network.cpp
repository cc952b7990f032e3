// A network's training step and its evaluation on the CPU, in float32: the entry points that Python calls.
//
// The batch is cut into groups of L images, one in each lane of a vector. A thread takes a group through all operations up to the
// next batch norm, which needs the whole batch; there all threads wait for each other. So a group's maps stay in the cache
// of the core that made them. Sums over groups are taken group by group in their order: the result does not depend on the threads.
#include "network.h"
#include "threads.h"

namespace {

struct Net {
    std::vector<Op> ops;
    std::vector<std::unique_ptr<Convolution>> convs;  // null where the operation is another
    std::vector<Norm> norms;
    std::vector<long> starts;  // of each operation's input in a group's maps; one more for the last one's output
    std::vector<long> partial; // of each operation's weights in a group's gradients
    long most = 0, parameters = 0;
    std::vector<int> stops;    // operations that wait for the whole batch
    Team team;
    std::vector<Desk> desks;

    // of the batch
    const float* images = nullptr;
    const int64_t* labels = nullptr;
    float* const* tensors = nullptr;
    float* const* gradients = nullptr;
    int count = 0, groups = 0, slots = 0;
    uint64_t key = 0;
    float smoothing = 0;
    bool training = false, finite = true;
    std::vector<V> maps, slopes;
    std::vector<float> sums;
    std::vector<double> losses;
    std::vector<int> rights;

    Net(const Op* first, int number, int threads) : ops(first, first + number), norms(number), team(threads), desks(threads) {
        long padded = 0, bordered = 0, weights = 0, place = 0;
        for (int i = 0; i < number; i++) {
            const Op& op = ops[i];
            starts.push_back(place);
            partial.push_back(parameters);
            place += op.in_size();
            most = std::max({most, op.in_size(), op.out_size()});
            convs.push_back(op.kind == CONVOLUTION ? std::make_unique<Convolution>(op) : nullptr);
            if (const Convolution* conv = convs.back().get()) {
                if (op.padding) padded = std::max(padded, op.channels * conv->in_plane());
                bordered = std::max(bordered, (long)op.out_channels * conv->high * conv->wide);
                weights = std::max(weights, (long)conv->outputs * (long)conv->taps.size());
                parameters += conv->size() + (op.bias < 0 ? 0 : op.out_channels);
            }
            if (op.normalises) {
                stops.push_back(i);
                Norm& n = norms[i];
                for (auto* figures : {&n.mean, &n.scale, &n.shift, &n.pull, &n.tilt}) figures->resize(op.channels);
                n.inverse.resize(op.channels);
            }
        }
        starts.push_back(place);
        for (Desk& desk : desks) {
            desk.padded.resize(padded);
            desk.bordered.resize(bordered);
            desk.sums.resize(weights);
        }
    }

    int last() const { return (int)ops.size(); }
    long per_group() const { return starts.back() + ops.back().out_size(); }
    int in_group(int g) const { return std::min(L, count - g * L); }
    V* input(int i, int slot) { return &maps[slot * per_group() + starts[i]]; }
    V* slope(int which, int g) { return &slopes[(2l * g + which) * most]; }
    V here(int g) const {
        V v{};
        for (int i = 0; i < in_group(g); i++) v[i] = 1;
        return v;
    }
    Dropout drops(int i, int g) const { return dropout(ops[i].p, key, i, g); }

    void prepare(int images_, int slots_) {
        count = images_;
        groups = (count + L - 1) / L;
        slots = slots_;
        if ((long)maps.size() < slots * per_group()) maps.resize(slots * per_group());
        losses.assign(groups, 0);
        rights.assign(groups, 0);
        for (int i = 0; i < last(); i++)
            if (convs[i]) convs[i]->pack(tensors[ops[i].weight]);
    }

    void load(int g, int slot) {
        const long size = ops[0].in_size();
        float* to = (float*)input(0, slot);
        if (in_group(g) < L) std::memset(to, 0, sizeof(V) * size);
        for (int lane = 0; lane < in_group(g); lane++) {
            const float* from = images + (g * (long)L + lane) * size;
            for (long i = 0; i < size; i++) to[i * L + lane] = from[i];
        }
    }

    void forward(int i, int g, int slot, Desk& desk) {
        const Op& op = ops[i];
        const V* in = input(i, slot);
        V* out = input(i + 1, slot);
        switch (op.kind) {
            case CONVOLUTION: convs[i]->run(in, op.bias < 0 ? nullptr : tensors[op.bias], out, desk); break;
            case POINTWISE:
                Pointwise::as(op, training, [&](auto does) { Pointwise::run(does, op, norms[i], drops(i, g), in, out); });
                break;
            default:
                for (int c = 0; c < op.channels; c++) {
                    const V* map = in + c * op.places();
                    V* to = out + c * op.out_places();
                    op.kind == MAX_POOL ? max_pool(map, to, op.window()) : mean_pool(map, to, op.window());
                }
        }
    }

    // Takes the gradient of an operation's output to that of its input. which: where it is; the result: where it then is.
    int backward(int i, int g, int which, Desk& desk) {
        const Op& op = ops[i];
        V *from = slope(which, g), *to = slope(1 - which, g);
        const V *in = input(i, g), *out = input(i + 1, g);
        float* own = &sums[g * parameters + partial[i]];
        switch (op.kind) {
            case CONVOLUTION:
                convs[i]->run_back(in, out, from, i ? to : nullptr, own, op.bias < 0 ? nullptr : own + convs[i]->size(), desk);
                return 1 - which;
            case POINTWISE:
                Pointwise::as(op, true, [&](auto does) {
                    Pointwise::run_back(does, op, norms[i], drops(i, g), in, from,
                                        op.normalises ? &norms[i].sums[2l * g * op.channels] : nullptr);
                });
                return which;
            default:
                for (int c = 0; c < op.channels; c++) {
                    const V* gradient = from + c * op.out_places();
                    V* result = to + c * op.places();
                    op.kind == MAX_POOL ? max_pool_back(in + c * op.places(), gradient, result, op.window())
                                        : mean_pool_back(gradient, result, op.window());
                }
                return 1 - which;
        }
    }

    void judge(int g, int slot, V* gradient) {
        const V* logits = input(last(), slot);
        constexpr int classes = 10;
        double powers[classes];
        for (int lane = 0; lane < in_group(g); lane++) {
            const int label = (int)labels[g * (long)L + lane];
            float top = logits[0][lane];
            int chosen = 0;
            for (int k = 1; k < classes; k++)
                if (logits[k][lane] > top) top = logits[k][lane], chosen = k;
            double total = 0, mean = 0;
            for (int k = 0; k < classes; k++) {
                total += powers[k] = std::exp((double)(logits[k][lane] - top));
                mean += (logits[k][lane] - top) / (double)classes;
            }
            const double log_total = std::log(total);
            losses[g] += log_total - (1 - smoothing) * (logits[label][lane] - top) - smoothing * mean;
            rights[g] += chosen == label;
            for (int k = 0; gradient && k < classes; k++)
                gradient[k][lane] =
                    (float)((powers[k] / total - (k == label ? 1 - smoothing : 0) - smoothing / classes) / count);
        }
    }

    void use_running(int i) {
        const Op& op = ops[i];
        for (int c = 0; c < op.channels; c++)
            settle(i, c, tensors[op.running_mean][c], tensors[op.running_var][c]);
    }
    void settle(int i, int c, double mean, double variance) {
        const Op& op = ops[i];
        Norm& n = norms[i];
        n.inverse[c] = 1 / std::sqrt(variance + op.eps);
        n.mean[c] = (float)mean;
        n.scale[c] = (float)(tensors[op.weight][c] * n.inverse[c]);
        n.shift[c] = (float)(tensors[op.bias][c] - mean * tensors[op.weight][c] * n.inverse[c]);
    }
    void join_moments(int i) {
        const Op& op = ops[i];
        for (int c = 0; c < op.channels; c++) {
            Moments all_of_them{};
            for (int g = 0; g < groups; g++) all_of_them.join(norms[i].moments[g * op.channels + c]);
            const double count_ = all_of_them.count, unbiased = all_of_them.squares / (count_ - 1);
            float &mean = tensors[op.running_mean][c], &var = tensors[op.running_var][c];
            mean = (float)(mean + op.momentum * (all_of_them.mean - mean));
            var = (float)(var + op.momentum * (unbiased - var));
            settle(i, c, all_of_them.mean, all_of_them.squares / count_);
        }
    }
    void join_sums(int i) {
        const Op& op = ops[i];
        Norm& n = norms[i];
        const double values = (double)count * op.places();
        for (int c = 0; c < op.channels; c++) {
            double total = 0, tilted = 0;
            for (int g = 0; g < groups; g++) {
                total += n.sums[2l * (g * op.channels + c)];
                tilted += n.sums[2l * (g * op.channels + c) + 1];
            }
            gradients[op.weight][c] = (float)(tilted * n.inverse[c]);
            gradients[op.bias][c] = (float)total;
            n.pull[c] = (float)(n.scale[c] * total / values);
            n.tilt[c] = (float)(n.scale[c] * tilted * n.inverse[c] * n.inverse[c] / values);
        }
    }

    void train() {
        training = true;
        slopes.resize(std::max((long)slopes.size(), 2l * groups * most));
        sums.resize(std::max((long)sums.size(), groups * parameters));
        for (int i : stops) {
            norms[i].moments.resize((long)groups * ops[i].channels);
            norms[i].sums.resize(2l * groups * ops[i].channels);
        }
        std::vector<int> sides(groups, 0);
        const std::function<void(int)> job = [&](int t) {
            Desk& desk = desks[t];
            const int legs = (int)stops.size();
            for (int leg = 0; leg <= legs; leg++) {  // forward, and on the last one back to the last norm
                const int start = leg ? stops[leg - 1] : 0, end = leg < legs ? stops[leg] : last();
                for (int g; (g = team.take(groups)) >= 0;) {
                    if (!leg) load(g, g);
                    for (int i = start; i < end; i++) forward(i, g, g, desk);
                    if (leg < legs) {
                        for (int c = 0; c < ops[end].channels; c++)
                            norms[end].moments[g * ops[end].channels + c] =
                                moments(input(end, g) + c * ops[end].places(), ops[end].places(), here(g), in_group(g));
                    } else {
                        std::fill_n(slope(0, g), ops.back().out_size(), V{});
                        judge(g, g, slope(0, g));
                        retreat(g, last(), start, sides[g], desk);
                    }
                }
                team.barrier([&] {
                    if (leg < legs) join_moments(stops[leg]);
                    else if (legs) join_sums(stops[legs - 1]);
                });
            }
            for (int leg = legs - 1; leg >= 0; leg--) {
                for (int g; (g = team.take(groups)) >= 0;) {
                    const int from = stops[leg];
                    Pointwise::finish_back(ops[from], norms[from], input(from, g), slope(sides[g], g), here(g));
                    retreat(g, from, leg ? stops[leg - 1] : 0, sides[g], desk);
                }
                team.barrier([&] {
                    if (leg) join_sums(stops[leg - 1]);
                });
            }
        };
        team.run(job);
        finite = true;
        for (int i = 0; i < last(); i++) {
            const Op& op = ops[i];
            if (convs[i]) {
                add_up(gradients[op.weight], partial[i], convs[i]->size());
                if (op.bias >= 0) add_up(gradients[op.bias], partial[i] + convs[i]->size(), op.out_channels);
            }
            if (op.weight >= 0) finite &= is_finite(gradients[op.weight], convs[i] ? convs[i]->size() : op.channels);
            if (op.bias >= 0) finite &= is_finite(gradients[op.bias], op.out_channels);
            if (op.normalises) ++*(int64_t*)tensors[op.batches];
        }
    }

    static bool is_finite(const float* values, long size) {
        double total = 0;  // of floats it can become neither infinite nor NaN unless one of them is
        for (long i = 0; i < size; i++) total += values[i];
        return std::isfinite(total);
    }

    void retreat(int g, int from, int to, int& side, Desk& desk) {
        for (int i = from - 1; i >= to; i--) side = backward(i, g, side, desk);
    }

    void add_up(float* to, long start, long size) const {
        std::copy_n(&sums[start], size, to);
        for (int g = 1; g < groups; g++)
            for (long i = 0; i < size; i++) to[i] += sums[g * parameters + start + i];
    }

    void evaluate() {
        training = false;
        for (int i : stops) use_running(i);
        const std::function<void(int)> job = [&](int t) {
            for (int g; (g = team.take(groups)) >= 0;) {
                load(g, t);
                for (int i = 0; i < last(); i++) forward(i, g, t, desks[t]);
                judge(g, t, nullptr);
            }
        };
        team.run(job);
    }
};

}  // namespace

extern "C" {

Net* mnist_lite_new(const Op* ops, int number, int threads) {
    try {
        return new Net(ops, number, threads);
    } catch (...) {
        return nullptr;
    }
}

void mnist_lite_delete(Net* net) { delete net; }

// 0: done; 1: out of memory. figures: the sum of the losses, the number of right answers, and whether all gradients are finite.
int mnist_lite_run(Net* net, const float* images, const int64_t* labels, int count, float* const* tensors,
                   float* const* gradients, uint64_t key, float smoothing, double* figures) {
    try {
        net->images = images, net->labels = labels, net->tensors = tensors, net->gradients = gradients;
        net->key = key, net->smoothing = smoothing;
        net->prepare(count, gradients ? (count + L - 1) / L : net->team.size());
        gradients ? net->train() : net->evaluate();
    } catch (const std::bad_alloc&) {
        return 1;
    }
    figures[0] = std::accumulate(net->losses.begin(), net->losses.end(), 0.0);
    figures[1] = std::accumulate(net->rights.begin(), net->rights.end(), 0.0);
    figures[2] = std::isfinite(figures[0]) && net->finite;
    return 0;
}
}
