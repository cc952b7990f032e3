// The operations of a network on one group of L images, forward and back, and where their figures lie.
#pragma once
#include <cstring>
#include <memory>
#include <numeric>
#include <tuple>

#include "convolution.h"
#include "pointwise.h"
#include "pooling.h"

enum Kind : int32_t { CONVOLUTION, POINTWISE, MAX_POOL, MEAN_POOL };
enum Drop : int32_t { NOTHING, VALUES, MAPS };

// One operation as Python describes it; see plan.py, which has the same fields in the same order.
struct Op {
    Kind kind;
    int32_t channels, height, width, out_channels, out_height, out_width;
    int32_t kernel, stride, padding, dilation, groups;
    int32_t rectifies;  // a convolution its result, a pointwise operation what its norm gives
    int32_t normalises;
    Drop drops;
    float slope, p, eps, momentum;
    int32_t weight, bias, running_mean, running_var, batches;  // numbers of tensors, -1: none

    int places() const { return height * width; }
    int out_places() const { return out_height * out_width; }
    long in_size() const { return (long)channels * places(); }
    long out_size() const { return (long)out_channels * out_places(); }
    Window window() const { return {height, width, out_height, out_width, kernel, stride, padding}; }
};

// What one thread needs while it works on a group.
struct Desk {
    std::vector<V> padded, bordered, sums;
};

struct Convolution {
    const Op op;
    const int inputs, outputs, in_height, in_width;  // inputs and outputs of one of the conv's groups
    const int border, wide, high;
    const bool single;  // 1 x 1 without stride: the map is one row
    Product forward, backward;
    std::vector<int32_t> taps;
    Parts blocks{}, columns{};
    std::vector<float> ahead, back;  // packed weights

    explicit Convolution(const Op& o)
        : op(o), inputs(o.channels / o.groups), outputs(o.out_channels / o.groups), in_height(o.height + 2 * o.padding),
          in_width(o.width + 2 * o.padding), border((o.kernel - 1) * o.dilation - o.padding),
          wide(o.width + (o.kernel - 1) * o.dilation), high(o.height + (o.kernel - 1) * o.dilation),
          single(o.kernel == 1 && o.stride == 1 && o.padding == 0) {
        const int k = o.kernel, d = o.dilation;
        for (int c = 0; c < inputs; c++)
            for (int y = 0; y < k; y++)
                for (int x = 0; x < k; x++) taps.push_back((c * in_height + y * d) * in_width + x * d);
        std::vector<int32_t> turned;
        for (int c = 0; c < outputs; c++)
            for (int y = 0; y < k; y++)
                for (int x = 0; x < k; x++) turned.push_back((c * high + (k - 1 - y) * d) * wide + (k - 1 - x) * d);
        forward = {outputs, o.out_height, o.out_width, o.stride, o.stride * in_width, o.out_width, o.out_places(), taps};
        backward = {inputs, o.height, o.width, 1, wide, o.width, o.places(), turned};
        if (single)
            for (Product* product : {&forward, &backward}) product->columns *= product->rows, product->rows = 1;
        forward.plan();
        backward.plan();
        std::tie(blocks, columns) = best_tile(OUTERS, outputs, (int)taps.size());
        ahead.resize(size());
        back.resize(size());
    }
    long size() const { return (long)op.out_channels * (long)taps.size(); }
    long in_plane() const { return (long)in_height * in_width; }

    void pack(const float* weights) {
        const int area = op.kernel * op.kernel, count = (int)taps.size();
        for (int g = 0; g < op.groups; g++) {
            const long start = (long)g * outputs * count;
            const float* own = weights + start;
            forward.pack(&ahead[start], [&](int k, int t) { return own[(long)k * count + t]; });
            backward.pack(&back[start],
                          [&](int c, int t) { return own[(long)(t / area) * count + c * area + t % area]; });
        }
    }

    const V* padded(const V* in, Desk& desk) const {
        if (!op.padding) return in;
        for (int c = 0; c < op.channels; c++) {
            V* to = &desk.padded[c * in_plane()];
            std::fill(to, to + in_plane(), V{});
            for (int y = 0; y < op.height; y++)
                std::memcpy(to + (y + op.padding) * in_width + op.padding, in + (long)c * op.places() + y * op.width,
                            sizeof(V) * op.width);
        }
        return desk.padded.data();
    }

    void run(const V* in, const float* bias, V* out, Desk& desk) const {
        in = padded(in, desk);
        for (int g = 0; g < op.groups; g++)
            forward.run(in + g * inputs * in_plane(), &ahead[(long)g * outputs * taps.size()],
                        bias ? bias + g * outputs : nullptr, out + (long)g * outputs * op.out_places(), op.rectifies,
                        op.slope);
    }

    // From the gradient of out: that of weights and bias, added up over this group's images, and that of in, if wanted.
    void run_back(const V* in, const V* out, V* gradient, V* result, float* weights, float* bias, Desk& desk) const {
        const bool copied = result && !single;
        const int row = copied ? op.stride * wide : op.out_width, step = copied ? op.stride : 1;
        const long plane = copied ? (long)high * wide : op.out_places();
        V* const first = copied ? &desk.bordered[(long)border * wide + border] : gradient;
        if (copied) std::fill_n(desk.bordered.data(), plane * op.out_channels, V{});
        for (int k = 0; k < op.out_channels; k++) {
            V total{};
            for (int y = 0; y < op.out_height; y++)
                for (int x = 0; x < op.out_width; x++) {
                    const long at = (long)k * op.out_places() + (long)y * op.out_width + x;
                    const V g = op.rectifies ? rectify_back(gradient[at], out[at], op.slope) : gradient[at];
                    total += g;
                    first[k * plane + (long)y * row + x * step] = g;
                }
            if (bias) bias[k] = sum(total);
        }
        in = padded(in, desk);
        for (int g = 0; g < op.groups; g++) {
            const long start = (long)g * outputs * taps.size();
            weigh(in + g * inputs * in_plane(), first + g * outputs * plane, plane, row, step, weights + start, desk);
            if (result)
                backward.run((copied ? desk.bordered.data() : first) + g * outputs * plane, &back[start], nullptr,
                             result + (long)g * inputs * op.places(), false, 0);
        }
    }

private:
    void weigh(const V* in, const V* gradient, long plane, int row, int step, float* weights, Desk& desk) const {
        const int count = (int)taps.size(), lines = std::max(1, std::min(op.out_height, ROWS_AT_ONCE / op.out_width));
        V* const sums = desk.sums.data();
        std::fill_n(sums, (long)outputs * count, V{});
        for (int y = 0; y < op.out_height; y += lines)
            for (int j = 0; j < columns.count; j++)
                for (int b = 0; b < blocks.count; b++) {
                    const int k = blocks.start(b), t = columns.start(j);
                    OUTERS[blocks.size(b)][columns.size(j)](
                        gradient + k * plane + (long)y * row, plane, row, step, in + (long)y * op.stride * in_width,
                        op.stride * in_width, op.stride, &taps[t], std::min(lines, op.out_height - y), op.out_width,
                        sums + (long)k * count + t, count);
                }
        for (long i = 0; i < (long)outputs * count; i++) weights[i] = sum(sums[i]);
    }
    static constexpr int ROWS_AT_ONCE = 96;  // places: so that the rows of all channels stay in the nearest cache
};

// Batch norm's figures of a step, one for each channel.
struct Norm {
    std::vector<Moments> moments;            // group by group
    std::vector<double> sums;                // of the gradient, and of gradient times distance from the mean, by group
    std::vector<float> mean, scale, shift;   // of the batch, or the running ones
    std::vector<float> pull, tilt;           // what a gradient loses: a constant, and so much times the distance
    std::vector<double> inverse;             // 1 / standard deviation
};

struct Pointwise {
    // Calls f with a type for what the operation does, so that each inner loop has nothing to ask.
    template <bool norm, bool act, Drop drop> struct Does {};
    template <class F>
    static void as(const Op& op, bool training, F f) {
        const Drop drop = training ? op.drops : NOTHING;
#define WITH(n, a)                                                                                    \
    if (op.normalises == n && op.rectifies == a) {                                                    \
        if (drop == NOTHING) f(Does<n, a, NOTHING>());                                                \
        else if (drop == VALUES) f(Does<n, a, VALUES>());                                             \
        else f(Does<n, a, MAPS>());                                                                   \
        return;                                                                                       \
    }
        WITH(0, 0) WITH(0, 1) WITH(1, 0) WITH(1, 1)
#undef WITH
    }

    template <bool norm, bool act, Drop drop>
    static void run(Does<norm, act, drop>, const Op& op, const Norm& n, const Dropout& d, const V* in, V* out) {
        const int places = op.places();
        for (int c = 0; c < op.channels; c++) {
            const float scale = norm ? n.scale[c] : 1, shift = norm ? n.shift[c] : 0;
            const V keep = drop == MAPS ? d.apply(all(1), c) : V{};
            for (int i = 0; i < places; i++) {
                const uint32_t at = (uint32_t)(c * places + i);
                V v = in[at];
                if (norm) v = v * scale + shift;
                if (act) v = rectify(v, op.slope);
                if (drop == VALUES) v = d.apply(v, at);
                if (drop == MAPS) v *= keep;
                out[at] = v;
            }
        }
    }

    // Through dropout and ReLU, in place; with norm also the sums that its gradient needs.
    template <bool norm, bool act, Drop drop>
    static void run_back(Does<norm, act, drop>, const Op& op, const Norm& n, const Dropout& d, const V* in, V* gradient,
                         double* sums) {
        const int places = op.places();
        for (int c = 0; c < op.channels; c++) {
            const float scale = norm ? n.scale[c] : 1, shift = norm ? n.shift[c] : 0, mean = norm ? n.mean[c] : 0;
            const V keep = drop == MAPS ? d.apply(all(1), c) : V{};
            V total{}, tilted{};
            for (int i = 0; i < places; i++) {
                const uint32_t at = (uint32_t)(c * places + i);
                V g = gradient[at];
                if (drop == VALUES) g = d.apply(g, at);
                if (drop == MAPS) g *= keep;
                if (act) g = rectify_back(g, norm ? in[at] * scale + shift : in[at], op.slope);
                gradient[at] = g;
                if (norm) total += g, tilted += g * (in[at] - mean);
            }
            if (norm) sums[2 * c] = sum(total), sums[2 * c + 1] = sum(tilted);
        }
    }

    // The gradient of norm's input, in place.
    static void finish_back(const Op& op, const Norm& n, const V* in, V* gradient, V here) {
        for (int c = 0; c < op.channels; c++)
            for (int i = 0; i < op.places(); i++) {
                const int at = c * op.places() + i;
                gradient[at] = (gradient[at] * n.scale[c] - (in[at] - n.mean[c]) * n.tilt[c] - n.pull[c]) * here;
            }
    }
};
