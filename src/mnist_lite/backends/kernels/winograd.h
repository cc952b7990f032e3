// 3 x 3 convolutions with stride 1 by Winograd's method along the rows: 6 multiplications where the direct product has 12.
//
// F(4, 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), in one dimension. Each row of the output
// is cut into tiles of 4 outputs, which need 6 inputs. A tile and a row of the kernel are polynomials, and their values at 6 points
// are multiplied: 0, 1, -1, 2, -2, and infinity. So each point is a convolution of its own, with a kernel of 3 x 1. The sums are
// transformed back to the 4 outputs. A vector holds one pixel of LANES images, so the transforms are sums of vectors.
//
// The transforms round. So results differ from those of the direct product by about 1e-6 of the largest value.
#pragma once
#include <algorithm>
#include <optional>

#include "tiles.h"

constexpr int POINTS = 6, TILE_OUTPUTS = 4;
// The cost of the transform of one tile, of the sum of all lanes of a vector, and of folding 6 vectors, in multiply-adds.
constexpr double TRANSFORM_COST = 24, LANE_SUM_COST = 6, FOLD_COST = 19;
constexpr double LEAST_WINOGRAD_GAIN = 1.2;  // the costs are estimates

inline bool winograd_is_possible(int kernel, int dilation, int stride, int columns) {
    return kernel == 3 && dilation == 1 && stride == 1 && columns >= TILE_OUTPUTS;
}

// The values of the 6 inputs of a tile at the points. point: from one point to the next in `to`.
inline void transform_inputs(const Vec* d, Vec* to, long point) {
    const Vec even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], even2 = d[4] - d[2], odd2 = d[3] - d[1];
    to[0] = 4 * d[0] - 5 * d[2] + d[4];
    to[point] = even + odd, to[2 * point] = even - odd;
    to[3 * point] = even2 + 2 * odd2, to[4 * point] = even2 - 2 * odd2;
    to[5 * point] = 4 * d[1] - 5 * d[3] + d[5];
}

// The values of the gradients of 4 outputs at the points. The first `skip` of them count as zero.
inline void transform_gradients(const Vec* g, int skip, Vec* to, long point) {
    const Vec g0 = skip > 0 ? Vec{} : g[0], g1 = skip > 1 ? Vec{} : g[1], g2 = skip > 2 ? Vec{} : g[2], g3 = g[3];
    const Vec even = g0 + g2, odd = g1 + g3, even2 = g0 + 4 * g2, odd2 = 2 * g1 + 8 * g3;
    to[0] = g0, to[5 * point] = g3;
    to[point] = even + odd, to[2 * point] = even - odd;
    to[3 * point] = even2 + odd2, to[4 * point] = even2 - odd2;
}

// Calls write(i, output i) for the 4 outputs of a tile, from its sums m at the points.
template <class F>
inline void transform_sums(const Vec* m, long point, F write) {
    const Vec sum = m[point] + m[2 * point], difference = m[point] - m[2 * point];
    const Vec sum2 = m[3 * point] + m[4 * point], difference2 = m[3 * point] - m[4 * point];
    write(0, m[0] + sum + sum2), write(1, difference + 2 * difference2);
    write(2, sum + 4 * sum2), write(3, difference + 8 * difference2 + m[5 * point]);
}

// The gradients of the 3 weights in a row of the kernel, from their sums m at the points.
inline void fold_weight_gradients(const Vec* m, long point, Vec* to) {
    const Vec sum = (m[point] + m[2 * point]) * (-1.0f / 6), difference = (m[point] - m[2 * point]) * (-1.0f / 6);
    const Vec sum2 = (m[3 * point] + m[4 * point]) * (1.0f / 24), difference2 = (m[3 * point] - m[4 * point]) * (1.0f / 24);
    to[0] = m[0] * 0.25f + sum + sum2, to[1] = difference + 2 * difference2, to[2] = sum + 4 * sum2 + m[5 * point];
}

// The tiles of the rows of an output. The last tile of a row ends at its end, so it may overlap the one before it.
struct RowTiles {
    int rows, columns, count;  // count: tiles in a row
    int band;                  // rows that are computed at once. They are few, so their values at the points stay in the cache.

    RowTiles(int rows_, int columns_, int inputs, int outputs, long max_values)
        : rows(rows_), columns(columns_), count(ceil_div(columns_, TILE_OUTPUTS)) {
        const long of_row = (long)POINTS * count * (inputs + outputs);
        band = ceil_div(rows, ceil_div(rows, (int)std::max(1L, max_values / of_row - 2)));
    }
    int start(int tile) const { return std::min(tile * TILE_OUTPUTS, columns - TILE_OUTPUTS); }
    int overlap() const { return count * TILE_OUTPUTS - columns; }
    long values(int inputs, int outputs) const { return (long)POINTS * count * ((band + 2) * inputs + band * outputs); }
};

// The forward product, or the gradient of the input.
struct WinogradProduct {
    TiledProduct direct;
    int inputs, outputs;
    long in_plane;
    RowTiles tiles;
    std::vector<int32_t> taps;  // row after row of the kernel, in the values of one point
    Partition channel_blocks{};
    int block_columns;

    WinogradProduct(const TiledProduct& product, int inputs_, long in_plane_)
        : direct(product), inputs(inputs_), outputs(product.channels), in_plane(in_plane_),
          tiles(product.rows, product.columns, inputs, outputs, MAX_VALUES) {
        for (int y = 0; y < 3; y++)
            for (int c = 0; c < inputs; c++) taps.push_back((int32_t)((c * (tiles.band + 2) + y) * tiles.count));
        const auto [channels, columns] = choose_tiles(FORWARD_TILES, outputs, tiles.band * tiles.count);
        channel_blocks = channels, block_columns = columns.largest();
    }
    long packed_size() const { return (long)POINTS * outputs * (long)taps.size(); }
    long buffer_size() const { return tiles.values(inputs, outputs); }
    double cost() const {
        const double transforms = (double)tiles.count * (direct.map_height * inputs + tiles.rows * outputs);
        return direct.cost() * POINTS * tiles.count / (3.0 * tiles.columns) + TRANSFORM_COST * transforms;
    }

    // weight: as in TiledProduct::pack. The factors 1/4, -1/6 and 1/24 of the method are in the packed weights.
    template <class F>
    void pack(float* to, F weight) const {
        const long point = (long)outputs * (long)taps.size();
        for (int b = 0; b < channel_blocks.count; b++)
            for (int y = 0; y < 3; y++)
                for (int c = 0; c < inputs; c++)
                    for (int i = 0; i < channel_blocks.size(b); i++, to++) {
                        const int k = channel_blocks.start(b) + i;
                        const float first = weight(k, c, y, 0), middle = weight(k, c, y, 1), last = weight(k, c, y, 2);
                        to[0] = first / 4, to[5 * point] = last;
                        to[point] = -(first + last + middle) / 6, to[2 * point] = -(first + last - middle) / 6;
                        to[3 * point] = (first + 4 * last + 2 * middle) / 24;
                        to[4 * point] = (first + 4 * last - 2 * middle) / 24;
                    }
    }

    void run(const Vec* in, const float* weights, const float* bias, Vec* out, bool relu, float negative_slope, Vec* buffer) const {
        const long plane = (long)(tiles.band + 2) * tiles.count, point = inputs * plane;
        Vec* const sums = buffer + POINTS * point;
        for (int y = 0; y < tiles.rows; y += tiles.band) {
            const int height = std::min(tiles.band, tiles.rows - y);
            const long sums_plane = (long)height * tiles.count, sums_point = outputs * sums_plane;
            const int begin = std::max(y, direct.zeros_above), end = std::min(y + height + 2, direct.zeros_above + direct.map_height);
            for (int c = 0; c < inputs; c++)
                for (int row = begin; row < end; row++)
                    for (int t = 0; t < tiles.count; t++)
                        transform_inputs(in + c * in_plane + (long)row * direct.in_row + tiles.start(t),
                                         buffer + c * plane + (row - y) * tiles.count + t, point);
            multiply(y, height, buffer, point, weights, sums, sums_plane);
            for (int k = 0; k < outputs; k++) {
                const Vec first = bias ? broadcast(bias[k]) : Vec{};
                for (int row = 0; row < height; row++)
                    for (int t = 0; t < tiles.count; t++) {
                        Vec* const to = out + k * direct.out_plane + (long)(y + row) * direct.out_row + tiles.start(t);
                        transform_sums(sums + k * sums_plane + row * tiles.count + t, sums_point, [&](int i, Vec v) {
                            to[i] = relu ? leaky_relu(v + first, negative_slope) : v + first;
                        });
                    }
            }
        }
    }

private:
    static constexpr long MAX_VALUES = 8192;
    // The convolutions at the points. Rows for which the same rows of the kernel meet only zeros are computed together.
    void multiply(int y, int height, const Vec* values, long point, const float* weights, Vec* sums, long sums_plane) const {
        for (int row = 0, end; row < height; row = end) {
            const auto [first, last] = direct.kernel_rows(y + row);
            for (end = row + 1; end < height && direct.kernel_rows(y + end) == std::pair(first, last);) end++;
            const Partition blocks{(end - row) * tiles.count, ceil_div((end - row) * tiles.count, block_columns)};
            for (int p = 0; p < POINTS; p++)
                for (int s = 0; s < blocks.count; s++)
                    for (int b = 0; b < channel_blocks.count; b++) {
                        const int k = channel_blocks.start(b), x = row * tiles.count + blocks.start(s), size = channel_blocks.size(b);
                        FORWARD_TILES[size][blocks.size(s)](
                            values + p * point + x, 1, &taps[first * inputs], (last - first) * inputs,
                            weights + ((long)p * outputs + k) * (long)taps.size() + (long)first * inputs * size, nullptr,
                            sums + (p * outputs + k) * sums_plane + x, sums_plane, false, 0);
                    }
        }
    }
};

// The gradient of the weights: the sums over all tiles of the values of the inputs times those of the gradients.
struct WinogradWeightGrad {
    int inputs, outputs;
    RowTiles tiles;
    std::vector<int32_t> taps;
    Partition channel_blocks{}, tap_blocks{};

    WinogradWeightGrad(int inputs_, int outputs_, int rows, int columns)
        : inputs(inputs_), outputs(outputs_), tiles(rows, columns, inputs, outputs, MAX_VALUES) {
        for (int c = 0; c < inputs; c++)
            for (int y = 0; y < 3; y++) taps.push_back((int32_t)((c * (tiles.band + 2) + y) * tiles.count));
        std::tie(channel_blocks, tap_blocks) = choose_tiles(WEIGHT_GRAD_TILES, outputs, (int)taps.size());
    }
    long sums() const { return (long)outputs * (long)taps.size(); }  // of one point
    long buffer_size() const { return (POINTS + 3) * sums() + tiles.values(inputs, outputs); }
    double cost() const {
        const double products = (double)tiles.rows * tiles.count * POINTS * (double)sums();
        const double transforms = tiles.count * ((tiles.rows + 2.0) * inputs + (double)tiles.rows * outputs);
        return products + TRANSFORM_COST * transforms + (3 * LANE_SUM_COST + FOLD_COST) * (double)sums();
    }

    // weight_grad: outputs x inputs x 3 x 3.
    void run(const Vec* in, int in_row, long in_plane, const Vec* grad, int grad_row, long grad_plane, float* weight_grad,
             Vec* buffer) const {
        Vec* const folded = buffer + POINTS * sums();
        Vec* const values = folded + 3 * sums();
        const long plane = (long)(tiles.band + 2) * tiles.count, point = inputs * plane;
        Vec* const grad_values = values + POINTS * point;
        for (int y = 0; y < tiles.rows; y += tiles.band) {
            const int height = std::min(tiles.band, tiles.rows - y);
            const long values_plane = (long)height * tiles.count, values_point = outputs * values_plane;
            for (int c = 0; c < inputs; c++)
                for (int row = 0; row < height + 2; row++)
                    for (int t = 0; t < tiles.count; t++)
                        transform_inputs(in + c * in_plane + (long)(y + row) * in_row + tiles.start(t),
                                         values + c * plane + row * tiles.count + t, point);
            for (int k = 0; k < outputs; k++)
                for (int row = 0; row < height; row++)
                    for (int t = 0; t < tiles.count; t++)
                        transform_gradients(grad + k * grad_plane + (long)(y + row) * grad_row + tiles.start(t),
                                            t == tiles.count - 1 ? tiles.overlap() : 0,
                                            grad_values + k * values_plane + row * tiles.count + t, values_point);
            for (int p = 0; p < POINTS; p++)
                for (int j = 0; j < tap_blocks.count; j++)
                    for (int b = 0; b < channel_blocks.count; b++) {
                        const int k = channel_blocks.start(b), t = tap_blocks.start(j);
                        WEIGHT_GRAD_TILES[channel_blocks.size(b)][tap_blocks.size(j)](
                            grad_values + p * values_point + k * values_plane, values_plane, 0, 1, values + p * point, 0, 1, &taps[t],
                            1, (int)values_plane, y > 0, buffer + p * sums() + k * (long)taps.size() + t, (int)taps.size());
                    }
        }
        for (long i = 0; i < sums(); i++) fold_weight_gradients(buffer + i, sums(), folded + 3 * i);
        sum_lanes(folded, 3 * sums(), weight_grad);
    }

private:
    static constexpr long MAX_VALUES = 32768;
};

// The forward product of a convolution, or the gradient of its input: by the faster of both methods.
struct Product {
    TiledProduct direct;
    std::optional<WinogradProduct> winograd;

    Product() = default;
    Product(const TiledProduct& product, int inputs, long in_plane) : direct(product) {
        direct.set_tiles();
        if (!winograd_is_possible(product.kernel, product.dilation, product.step, product.columns)) return;
        winograd.emplace(direct, inputs, in_plane);
        if (direct.cost() < LEAST_WINOGRAD_GAIN * winograd->cost()) winograd.reset();
    }
    double cost() const { return winograd ? winograd->cost() : direct.cost(); }
    long packed_size() const { return winograd ? winograd->packed_size() : direct.packed_size(); }
    long buffer_size() const { return winograd ? winograd->buffer_size() : 0; }
    template <class F>
    void pack(float* to, F weight) const { winograd ? winograd->pack(to, weight) : direct.pack(to, weight); }
    void run(const Vec* in, const float* weights, const float* bias, Vec* out, bool relu, float negative_slope, Vec* buffer) const {
        if (winograd) winograd->run(in, weights, bias, out, relu, negative_slope, buffer);
        else direct.run(in, weights, bias, out, relu, negative_slope);
    }
};
