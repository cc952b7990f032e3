// A convolution on one group of LANES images: forward, gradient of the input, gradient of the weights.
//
// The gradient of the input is the same product as forward, over the gradient of the output with a border and with flipped taps.
// Each of the three is a direct product, or Winograd's where that is faster.
#pragma once
#include <algorithm>
#include <cstring>

#include "norm.h"
#include "winograd.h"

// Memory of one thread for the group that it works on.
struct Workspace {
    std::vector<Vec> padded_input, bordered_grad, weight_grad_sums, winograd;
    std::vector<Vec> pairs, transposed;  // maps in bfloat16
    std::vector<HalfVec> input_rows, grad_rows;
    std::vector<GradSums> grad_sums;  // of each channel of a pointwise operation
    template <class T> static void grow(std::vector<T>& v, long size) { v.resize(std::max((long)v.size(), size)); }
};

struct Convolution {
    const Op op;
    const int inputs, outputs;                   // channels of one of the convolution's groups
    const int in_height, in_width;               // with padding
    const int border;                            // around the gradient of the output, for the gradient of the input
    const int bordered_width, bordered_height;
    const bool is_1x1;                           // without stride and padding: the whole map is one row
    Product forward_product, backward_product;
    std::optional<WinogradWeightGrad> winograd_weight_grad;  // if it is faster
    std::vector<int32_t> taps;
    Partition channel_bands{}, tap_bands{};  // of the gradient of the weights
    int tile_channels, tile_taps;            // the largest tile in a band
    std::vector<float> forward_weights, backward_weights;  // packed for the two products

    explicit Convolution(const Op& o)
        : op(o), inputs(o.channels / o.groups), outputs(o.out_channels / o.groups), in_height(o.height + 2 * o.padding),
          in_width(o.width + 2 * o.padding), border((o.kernel - 1) * o.dilation - o.padding),
          bordered_width(o.width + (o.kernel - 1) * o.dilation), bordered_height(o.height + (o.kernel - 1) * o.dilation),
          is_1x1(o.kernel == 1 && o.stride == 1 && o.padding == 0) {
        const int k = o.kernel, d = o.dilation;
        for (int c = 0; c < inputs; c++)
            for (int y = 0; y < k; y++)
                for (int x = 0; x < k; x++) taps.push_back((c * in_height + y * d) * in_width + x * d);
        std::vector<int32_t> forward_taps, backward_taps;  // row after row of the kernel
        for (int y = 0; y < k; y++) {
            for (int c = 0; c < inputs; c++)
                for (int x = 0; x < k; x++) forward_taps.push_back((c * in_height + y * d) * in_width + x * d);
            for (int c = 0; c < outputs; c++)
                for (int x = 0; x < k; x++) backward_taps.push_back((c * bordered_height + y * d) * bordered_width + x * d);
        }
        TiledProduct forward{outputs, o.out_height, o.out_width, o.stride, o.stride * in_width, o.out_width, o.out_area(),
                             forward_taps, k, d, o.stride, o.padding, o.height};
        TiledProduct backward{inputs, o.height, o.width, 1, bordered_width, o.width, o.area(),
                              backward_taps, k, d, 1, border, o.stride * (o.out_height - 1) + 1};
        if (is_1x1)
            for (TiledProduct* product : {&forward, &backward}) product->columns *= product->rows, product->rows = 1;
        forward_product = {forward, inputs, in_plane()};
        backward_product = {backward, outputs, (long)bordered_height * bordered_width};
        const int count = (int)taps.size();
        tap_bands = {count, outputs * count <= SUMS_OF_BAND ? 1 : ceil_div(count, TAPS_OF_BAND)};
        channel_bands = {outputs, std::min(outputs, ceil_div(outputs * tap_bands.largest(), SUMS_OF_BAND))};
        const auto [channel_blocks, tap_blocks] = choose_tiles(WEIGHT_GRAD_TILES, channel_bands.largest(), tap_bands.largest());
        tile_channels = channel_blocks.largest(), tile_taps = tap_blocks.largest();
        forward_weights.resize(op.groups * forward_product.packed_size());
        backward_weights.resize(op.groups * backward_product.packed_size());
        if (winograd_is_possible(k, d, o.stride, o.out_width) && inputs * outputs <= MAX_WINOGRAD_CHANNELS) {
            winograd_weight_grad.emplace(inputs, outputs, o.out_height, o.out_width);
            if (direct_weight_grad_cost() < LEAST_WINOGRAD_GAIN * winograd_weight_grad->cost()) winograd_weight_grad.reset();
        }
    }
    virtual ~Convolution() = default;
    virtual void reserve(Workspace& w) const {
        if (op.padding) w.grow(w.padded_input, op.channels * in_plane());
        w.grow(w.bordered_grad, (long)op.out_channels * bordered_height * bordered_width);
        w.grow(w.weight_grad_sums, (long)channel_bands.largest() * tap_bands.largest());
        for (const Product* product : {&forward_product, &backward_product}) w.grow(w.winograd, product->buffer_size());
        if (winograd_weight_grad) w.grow(w.winograd, winograd_weight_grad->buffer_size());
    }
    // The time of a step in this layer, in multiply-adds of the direct product.
    double cost() const {
        const double weight_grad = winograd_weight_grad ? winograd_weight_grad->cost() : direct_weight_grad_cost();
        return op.groups * (forward_product.cost() + backward_product.cost() + weight_grad);
    }
    long size() const { return (long)op.out_channels * (long)taps.size(); }  // of the weights
    long in_plane() const { return (long)in_height * in_width; }

    virtual void pack_weights(const float* weights) {
        const int k = op.kernel, count = (int)taps.size();
        for (int g = 0; g < op.groups; g++) {
            const float* own = weights + (long)g * outputs * count;
            forward_product.pack(&forward_weights[g * forward_product.packed_size()], [&](int to, int c, int y, int x) {
                return own[((long)to * inputs + c) * k * k + y * k + x];
            });
            backward_product.pack(&backward_weights[g * backward_product.packed_size()], [&](int to, int c, int y, int x) {
                return own[((long)c * inputs + to) * k * k + (k - 1 - y) * k + k - 1 - x];
            });
        }
    }

    const Vec* pad(const Vec* in, Workspace& workspace) const {
        if (!op.padding) return in;
        for (int c = 0; c < op.channels; c++) {
            Vec* to = &workspace.padded_input[c * in_plane()];
            std::fill(to, to + in_plane(), Vec{});
            for (int y = 0; y < op.height; y++)
                std::memcpy(to + (y + op.padding) * in_width + op.padding, in + (long)c * op.area() + y * op.width,
                            sizeof(Vec) * op.width);
        }
        return workspace.padded_input.data();
    }

    virtual void forward(const Vec* in, const float* bias, Vec* out, Workspace& workspace) const {
        in = pad(in, workspace);
        for (int g = 0; g < op.groups; g++)
            forward_product.run(in + g * inputs * in_plane(), &forward_weights[g * forward_product.packed_size()],
                                bias ? bias + g * outputs : nullptr, out + (long)g * outputs * op.out_area(), op.has_relu(),
                                op.alpha, workspace.winograd.data());
    }

    // From the gradient of the output: the gradients of weights and bias, summed over this group of images, and the gradient
    // of the input. bias and grad_in can be null. norm: null, or the channels of the norm after this convolution. Then grad_out is
    // the gradient of the norm's output.
    virtual void backward(const Vec* in, const Vec* out, Vec* grad_out, Vec* grad_in, float* weight_grad, float* bias_grad,
                          const NormedChannel* norm, Workspace& workspace) const {
        const bool copied = grad_in && !is_1x1;
        const int row = copied ? op.stride * bordered_width : op.out_width, step = copied ? op.stride : 1;
        const long plane = copied ? (long)bordered_height * bordered_width : op.out_area();
        Vec* const first = copied ? &workspace.bordered_grad[(long)border * bordered_width + border] : grad_out;
        if (copied) std::fill_n(workspace.bordered_grad.data(), plane * op.out_channels, Vec{});
        take_gradient(out, grad_out, bias_grad, norm,
                      [&](int k, int y, int x, Vec v) { first[k * plane + (long)y * row + x * step] = v; });
        in = pad(in, workspace);
        for (int g = 0; g < op.groups; g++) {
            const Vec *own_in = in + g * inputs * in_plane(), *own_grad = first + g * outputs * plane;
            float* const own_weight_grad = weight_grad + (long)g * outputs * taps.size();
            if (winograd_weight_grad)
                winograd_weight_grad->run(own_in, in_width, in_plane(), own_grad, row, plane, own_weight_grad,
                                          workspace.winograd.data());
            else accumulate_weight_grad(own_in, own_grad, plane, row, step, own_weight_grad, workspace);
            if (grad_in)
                backward_product.run((copied ? workspace.bordered_grad.data() : first) + g * outputs * plane,
                                     &backward_weights[g * backward_product.packed_size()], nullptr,
                                     grad_in + (long)g * inputs * op.area(), false, 0, workspace.winograd.data());
        }
    }

protected:
    // Takes the gradient of the output through the norm and ReLU after the convolution. Calls write(channel, y, x, gradient), and
    // adds up the gradient of the bias.
    template <class F>
    void take_gradient(const Vec* out, const Vec* grad_out, float* bias_grad, const NormedChannel* norm, F write) const {
        for (int k = 0; k < op.out_channels; k++) {
            Vec total{};
            const NormedChannel channel = norm ? norm[k] : NormedChannel{};
            for (int y = 0; y < op.out_height; y++)
                for (int x = 0; x < op.out_width; x++) {
                    const long at = (long)k * op.out_area() + (long)y * op.out_width + x;
                    Vec v = grad_out[at];
                    if (norm) v = channel.input_grad(v, out[at]);
                    if (op.has_relu()) v = leaky_relu_backward(v, out[at], op.alpha);
                    total += v;
                    write(k, y, x, v);
                }
            if (bias_grad) bias_grad[k] = sum_lanes(total);
        }
    }
    static constexpr int POSITIONS_AT_ONCE = 96;  // so few that these rows of all channels stay in the first-level cache

private:
    // Works on one band of output channels and taps after the other: a sum is a vector, so those of a large layer do not fit into
    // the cache.
    void accumulate_weight_grad(const Vec* in, const Vec* grad, long plane, int row, int step, float* weight_grad,
                                Workspace& workspace) const {
        const int count = (int)taps.size(), rows = std::max(1, std::min(op.out_height, POSITIONS_AT_ONCE / op.out_width));
        Vec* const sums = workspace.weight_grad_sums.data();
        for (int v = 0; v < channel_bands.count; v++)
            for (int u = 0; u < tap_bands.count; u++) {
                const int first_k = channel_bands.start(v), first_t = tap_bands.start(u), width = tap_bands.size(u);
                const Partition channels = channel_bands.split(v, tile_channels), columns = tap_bands.split(u, tile_taps);
                for (int y = 0; y < op.out_height; y += rows)
                    for (int j = 0; j < columns.count; j++)
                        for (int b = 0; b < channels.count; b++) {
                            const int k = channels.start(b), t = columns.start(j);
                            WEIGHT_GRAD_TILES[channels.size(b)][columns.size(j)](
                                grad + (first_k + k) * plane + (long)y * row, plane, row, step,
                                in + (long)y * op.stride * in_width, op.stride * in_width, op.stride, &taps[first_t + t],
                                std::min(rows, op.out_height - y), op.out_width, y > 0, sums + (long)k * width + t, width);
                        }
                const int together = tap_bands.count == 1 ? channel_bands.size(v) : 1;
                for (int k = 0; k < channel_bands.size(v); k += together)
                    sum_lanes(sums + (long)k * width, (long)together * width, weight_grad + (long)(first_k + k) * count + first_t);
            }
    }
    double direct_weight_grad_cost() const {
        return (double)size() / op.groups * ((double)op.out_area() + LANE_SUM_COST);
    }
    static constexpr int SUMS_OF_BAND = 2048, TAPS_OF_BAND = 256;
    static constexpr int MAX_WINOGRAD_CHANNELS = 4096;  // inputs times outputs: with more, the sums need too much memory
};
