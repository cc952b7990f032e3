// A convolution whose products are in bfloat16. Its inputs are rounded, or each is split into three pieces, which is as exact as
// float32. Its sums are float32. The maps stay in float32.
#pragma once
#include <memory>

#include "convolution.h"

// AMX_SPLIT: products of three pieces with AMX.
enum Products : int32_t { FLOAT32, DOT_PRODUCT, AMX, AMX_SPLIT, AMX_SPLIT_WHERE_FASTER };

#if defined(__AVX512BF16__)
#include "dot_product.h"
#if defined(__AMX_BF16__)
#include "amx.h"
#endif

// A product over channels: forward, or the gradient of the input. It reads the input in parts of `depth` vectors of pairs.
template <int PIECES>
struct PairProduct {
    Bordered input;
    int outputs, rows, columns, kernel, dilation, stride;
    int pairs, run, depth;       // run: the vectors of the columns of the kernel that are neighbours
    std::vector<int32_t> parts;  // offsets, row after row of the kernel
    Partition blocks;            // of the output channels
    std::vector<Vec> weights;    // a row is one vector, of which `depth` pairs are used

    PairProduct(const Bordered& in, int outputs_, int rows_, int columns_, int kernel_, int dilation_, int stride_)
        : input(in), outputs(outputs_), rows(rows_), columns(columns_), kernel(kernel_), dilation(dilation_), stride(stride_),
          pairs(ceil_div(in.channels, 2)), run(pairs * (dilation == 1 ? kernel : 1)),
          depth(ceil_div(run, ceil_div(run, TILE_ROWS))), blocks{outputs, ceil_div(outputs, TILE_ROWS)} {
        for (int y = 0; y < kernel; y++)
            for (int x = 0; x < kernel; x += run / pairs)
                for (int i = 0; i < run; i += depth)
                    parts.push_back((y * dilation * input.to_width + x * dilation) * pairs + i);
        weights.resize(outputs * rows_of_output());
    }
    long input_size() const { return PIECES * input.to_size(pairs); }
    long rows_of_output() const { return (long)parts.size() * PIECES; }

    // weight(output channel, input channel, row, column)
    template <class F>
    void pack(F weight) {
        uint32_t* to = (uint32_t*)weights.data();
        for (int b = 0; b < blocks.count; b++)
            for (int y = 0; y < kernel; y++)
                for (int x = 0; x < kernel; x += run / pairs)
                    for (int part = 0, size = blocks.size(b) * TILE_ROWS; part < run; part += depth, to += PIECES * size)
                        for (int i = 0; i < std::min(depth, run - part); i++) {  // behind it, the weights stay zero
                            const int c = (part + i) % pairs * 2, column = x + (part + i) / pairs;
                            for (int k = 0; k < blocks.size(b); k++) {
                                const auto value = [&](int channel) { return weight(blocks.start(b) + k, channel, y, column); };
                                uint32_t pair[PIECES];
                                for_each_piece<PIECES>([&](int n, uint32_t v) { pair[n] = v; }, value(c));
                                if (c + 1 < input.channels)
                                    for_each_piece<PIECES>([&](int n, uint32_t v) { pair[n] |= v << 16; }, value(c + 1));
                                for (int n = 0; n < PIECES; n++) to[n * size + k * TILE_ROWS + i] = pair[n];
                            }
                        }
    }

    void compute(const Vec* in, Vec* out, [[maybe_unused]] Products products) const {
        const long plane = (long)rows * columns, step = (long)stride * pairs;
        for (int b = 0; b < blocks.count; b++, out += blocks.size(b - 1) * plane) {
            const int block = blocks.size(b);
            const Vec* from = &weights[blocks.start(b) * rows_of_output()];
#if defined(__AMX_BF16__)
            if (products == AMX) {
                const AmxTiles<PIECES> tiles(block, depth);
                for_each_strip(tiles.SUMS, [&](int size, const Vec* at, Vec* to, int first, int count) {
                    with_constant<AmxTiles<PIECES>::SUMS>(size, [&](auto X) {
                        amx_forward_tile<PIECES, X>(at, input.to_size(pairs), step, &parts[first], count,
                                                    from + (long)first * PIECES * block, block, to, plane);
                    });
                }, in, out);
                continue;
            }
#endif
            const Partition tiles{block, ceil_div(block, DOT_ROWS)};
            for_each_strip(DOT_COLUMNS, [&](int size, const Vec* at, Vec* to, int first, int count) {
                for (int i = 0; i < tiles.count; i++)
                    with_constant<DOT_ROWS>(tiles.size(i), [&](auto K) {
                        with_constant<DOT_COLUMNS>(size, [&](auto X) {
                            dot_forward_tile<K, X>(at, step, &parts[first], count,
                                                   (const uint32_t*)(from + (long)first * block + tiles.start(i)), block, depth,
                                                   to + tiles.start(i) * plane, plane);
                        });
                    });
            }, in, out);
        }
    }

private:
    // Calls f(columns of the strip, its input, its output, first part, number of parts). Rows of the kernel that meet only zeros
    // are left out.
    template <class F>
    void for_each_strip(int max_size, F f, const Vec* in, Vec* out) const {
        const Partition strips{columns, ceil_div(columns, max_size)};
        const int per_row = (int)parts.size() / kernel, below = input.border + input.height;
        for (int y = 0; y < rows; y++) {
            int first = 0, last = kernel;
            while (first < kernel - 1 && y * stride + first * dilation < input.border) first++;
            while (last > first + 1 && y * stride + (last - 1) * dilation >= below) last--;
            for (int s = 0; s < strips.count; s++)
                f(strips.size(s), in + ((long)y * input.to_width + strips.start(s)) * stride * pairs,
                  out + (long)y * columns + strips.start(s), first * per_row, (last - first) * per_row);
        }
    }
};

template <int PIECES>
struct Bfloat16Convolution : Convolution {
    const Products products;
    const Bordered input, grad;  // grad: of the output, with zeros between its positions where the convolution has a stride
    PairProduct<PIECES> forward_pairs, backward_pairs;
    std::vector<int32_t> places;  // in the transposed input: of each block of input channels and tap

    Bfloat16Convolution(const Op& o, Products p)
        : Convolution(flattened(o)), products(p),
          input{op.channels, op.height, op.width, op.width, op.padding, in_height, in_width},
          grad{op.out_channels, (op.out_height - 1) * op.stride + 1, (op.out_width - 1) * op.stride + 1,
               ceil_div((op.out_width - 1) * op.stride + 1, 2) * 2, border, bordered_height, bordered_width},
          forward_pairs(input, op.out_channels, op.out_height, op.out_width, op.kernel, op.dilation, op.stride),
          backward_pairs(grad, op.channels, op.height, op.width, op.kernel, op.dilation, 1) {
        for (int b = 0; b < ceil_div(inputs, LANES); b++)
            for (int i = 0; i < op.kernel * op.kernel; i++)
                places.push_back(b * PIECES * (int32_t)input.to_size(IMAGE_PAIRS) + taps[i] * IMAGE_PAIRS);
    }

    // Whether products of three pieces with AMX are faster than products in float32. The numbers of cycles are measured. With a
    // 1 x 1 kernel they are slower, because the split takes time and each number is used only a few times.
    bool is_faster() const {
        constexpr double MULTIPLY_ADD = 0.62, AMX_ROW = 1.85, SPLIT_NUMBER = 25, LEAST_GAIN = 1.1;
        const double out_area = op.out_area(), area = op.area(), kernel_area = op.kernel * op.kernel;
        const double in_float32 = MULTIPLY_ADD * cost();
        const int blocks = ceil_div(inputs, LANES);
        const double rows = outputs * out_area * ((double)forward_pairs.parts.size() + blocks * kernel_area / 2) +
                            inputs * area * (double)backward_pairs.parts.size();
        const double split = 6 * AMX_ROW * rows + SPLIT_NUMBER * (blocks * LANES * area + outputs * out_area);
        return op.kernel > 1 && in_float32 > LEAST_GAIN * split;
    }

    void reserve(Workspace& w) const override {
        w.grow(w.pairs, std::max(forward_pairs.input_size(), backward_pairs.input_size()));
        w.grow(w.grad_rows, PIECES * grad_size());
        if (products == AMX) w.grow(w.transposed, ceil_div(op.channels, LANES) * PIECES * input.to_size(IMAGE_PAIRS));
        else w.grow(w.input_rows, op.channels * in_plane() + TILE_ROWS), w.grow(w.weight_grad_sums, size());
    }

    void pack_weights(const float* weights) override {
        const int k = op.kernel;
        forward_pairs.pack([&](int to, int c, int y, int x) { return weights[(((long)to * inputs + c) * k + y) * k + x]; });
        backward_pairs.pack([&](int to, int c, int y, int x) {
            return weights[(((long)c * inputs + to) * k + k - 1 - y) * k + k - 1 - x];
        });
    }

    void forward(const Vec* in, const float* bias, Vec* out, Workspace& workspace) const override {
        write_pairs<PIECES>(in, input, workspace.pairs.data());
        forward_pairs.compute(workspace.pairs.data(), out, products);
        if (!bias && !op.has_relu()) return;
        for (int k = 0; k < op.out_channels; k++)
            for (int i = 0; i < op.out_area(); i++, out++) {
                const Vec v = bias ? *out + bias[k] : *out;
                *out = op.has_relu() ? leaky_relu(v, op.alpha) : v;
            }
    }

    void backward(const Vec* in, const Vec* out, Vec* grad_out, Vec* grad_in, float* weight_grad, float* bias_grad,
                  const NormedChannel* norm, Workspace& workspace) const override {
        HalfVec* const rows = workspace.grad_rows.data();
        if (op.stride > 1 || grad.row > grad.width) std::fill_n(rows, PIECES * grad_size(), HalfVec{});
        take_gradient(out, grad_out, bias_grad, norm, [&](int k, int y, int x, Vec g) {
            HalfVec* const to = rows + k * grad.plane() + (long)y * op.stride * grad.row + x * op.stride;
            for_each_piece<PIECES>([&](int n, HalfVec v) { to[n * grad_size()] = v; }, g);
        });
#if defined(__AMX_BF16__)
        if (products == AMX) amx_weight_grad(in, weight_grad, workspace);
        else
#endif
            dot_weight_grad(in, weight_grad, workspace);
        if (!grad_in) return;
        for (int n = 0; n < PIECES; n++)
            write_pairs<ROUNDED>(rows + n * grad_size(), grad, &workspace.pairs[n * backward_pairs.input_size() / PIECES]);
        backward_pairs.compute(workspace.pairs.data(), grad_in, products);
    }

private:
    long grad_size() const { return op.out_channels * grad.plane(); }
    // A convolution of 1 x 1 sees a map as one row.
    static Op flattened(Op o) {
        if (o.kernel == 1 && o.stride == 1 && o.padding == 0)
            o.width = o.out_width = o.area(), o.height = o.out_height = 1;
        return o;
    }

#if defined(__AMX_BF16__)
    void amx_weight_grad(const Vec* in, float* weight_grad, Workspace& workspace) const {
        using Tiles = AmxTiles<PIECES>;
        write_transposed<PIECES>(in, input, workspace.transposed.data());
        const int area = op.kernel * op.kernel, count = (int)places.size();
        const Partition blocks{outputs, ceil_div(outputs, TILE_ROWS)}, groups{count, ceil_div(count, Tiles::SUMS)};
        alignas(64) float sums[Tiles::SUMS * LANES * LANES];
        for (int b = 0; b < blocks.count; b++) {
            const Tiles tiles(blocks.size(b), TILE_ROWS);
            for (int g = 0; g < groups.count; g++) {
                with_constant<Tiles::SUMS>(groups.size(g), [&](auto N) {
                    amx_weight_grad_tile<PIECES, N>(&workspace.grad_rows[blocks.start(b) * grad.plane()], grad_size(), grad.plane(),
                                            op.stride * grad.row, workspace.transposed.data(), input.to_size(IMAGE_PAIRS),
                                            (long)op.stride * in_width * IMAGE_PAIRS, &places[groups.start(g)], op.out_height,
                                            grad.row / 2, sums);
                });
                for (int i = 0; i < groups.size(g); i++) {
                    const int place = groups.start(g) + i, first = place / area * LANES;
                    for (int k = 0; k < blocks.size(b); k++)
                        for (int c = first; c < std::min(inputs, first + LANES); c++)
                            weight_grad[((long)(blocks.start(b) + k) * inputs + c) * area + place % area] =
                                sums[(i * LANES + k) * LANES + c - first];
                }
            }
        }
    }
#endif

    void dot_weight_grad(const Vec* in, float* weight_grad, Workspace& workspace) const {
        write_rows(in, input, workspace.input_rows.data());
        const int count = (int)taps.size(), rows = std::max(1, POSITIONS_AT_ONCE / grad.row), row = op.stride * grad.row;
        const Partition blocks{outputs, ceil_div(outputs, DOT_ROWS)}, groups{count, ceil_div(count, DOT_COLUMNS)};
        Vec* const sums = workspace.weight_grad_sums.data();
        std::fill_n(sums, size(), Vec{});
        for (int y = 0; y < op.out_height; y += rows)
            for (int g = 0; g < groups.count; g++)
                for (int b = 0; b < blocks.count; b++)
                    with_constant<DOT_ROWS>(blocks.size(b), [&](auto K) {
                        with_constant<DOT_COLUMNS>(groups.size(g), [&](auto J) {
                            dot_weight_grad_tile<K, J>(&workspace.grad_rows[blocks.start(b) * grad.plane() + y * row],
                                                       grad.plane(), row, &workspace.input_rows[y * op.stride * in_width],
                                                       op.stride * in_width, &taps[groups.start(g)],
                                                       std::min(rows, op.out_height - y), grad.row / 2,
                                                       sums + (long)blocks.start(b) * count + groups.start(g), count);
                        });
                    });
        sum_lanes(sums, size(), weight_grad);
    }
};
#endif

inline bool can_use_bfloat16(const Op& op) { return op.groups == 1 && op.channels >= 4; }

// The fastest products in bfloat16 that this machine has, or FLOAT32.
inline Products bfloat16_products() {
#if defined(__AMX_BF16__)
    if (AmxTiles<SPLIT>::allowed()) return AMX;
#endif
#if defined(__AVX512BF16__)
    return DOT_PRODUCT;
#endif
    return FLOAT32;
}

// The fastest products in float32 that this machine has.
inline Products float32_products() { return bfloat16_products() == AMX ? AMX_SPLIT_WHERE_FASTER : FLOAT32; }

inline std::unique_ptr<Convolution> make_convolution(const Op& op, [[maybe_unused]] Products products) {
#if defined(__AVX512BF16__)
    if (products != FLOAT32 && can_use_bfloat16(op)) {
        if (products < AMX_SPLIT) return std::make_unique<Bfloat16Convolution<ROUNDED>>(op, products);
#if defined(__AMX_BF16__)
        auto split = std::make_unique<Bfloat16Convolution<SPLIT>>(op, AMX);
        if (products == AMX_SPLIT || split->is_faster()) return split;
#endif
    }
#endif
    return std::make_unique<Convolution>(op);
}
