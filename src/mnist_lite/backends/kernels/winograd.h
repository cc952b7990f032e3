// 3 x 3 convolutions with stride 1 by Winograd's method: 16 products where the direct method has 36.
//
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016): F(2x2, 3x3), and F(3x3, 2x2) for the gradient of
// the weights. The map is cut into tiles of 2 x 2 outputs, each from 4 x 4 inputs. Tiles and weights are transformed with sums
// and differences. Then there are 16 places, and each place is a matrix product over the channels. The result is transformed
// back. A vector holds one pixel of LANES images, so the transforms are plain additions of vectors.
//
// The transforms round, so results differ from those of the direct product in the last bits: by about 1e-6 of the largest value.
#pragma once
#include <algorithm>

#include "tiles.h"

constexpr int PLACES = 16;

// A tile of 2 x 2 outputs at row y and column x. In a map with an odd side, the last tile overlaps the one before it. Then the
// gradient of its first row, or column, is counted only once.
struct OutputTile {
    int y, x;
    bool skips_row, skips_column;
};

inline std::vector<OutputTile> output_tiles(int rows, int columns) {
    std::vector<OutputTile> tiles;
    for (int y = 0; y < rows; y += 2)
        for (int x = 0; x < columns; x += 2)
            tiles.push_back({std::min(y, rows - 2), std::min(x, columns - 2), y + 1 == rows, x + 1 == columns});
    return tiles;
}

// Where the maps of one group are: vectors from one row and from one channel to the next.
struct Layout {
    int row;
    long plane;
    long at(const OutputTile& tile) const { return (long)tile.y * row + tile.x; }
};

// A buffer has the 16 transformed values of some tiles, for all channels: place by place, channel by channel, tile by tile.
// The distance of two places is odd. Otherwise the places of one tile could compete for the same lines of the cache.
inline long place_size(int channels, int tiles) { return (long)channels * tiles | 1; }

// in: 4 x 4 values of each tile.
inline void transform_inputs(const Vec* in, Layout layout, int channels, const OutputTile* tiles, int count, Vec* to) {
    const long place = place_size(channels, count);
    for (int c = 0; c < channels; c++)
        for (int t = 0; t < count; t++) {
            const Vec* from = in + c * layout.plane + layout.at(tiles[t]);
            Vec d[4][4];
            for (int x = 0; x < 4; x++) {
                const Vec a = from[x], b = from[layout.row + x], e = from[2 * layout.row + x], f = from[3 * layout.row + x];
                d[0][x] = a - e, d[1][x] = b + e, d[2][x] = e - b, d[3][x] = b - f;
            }
            Vec* out = to + (long)c * count + t;
            for (int y = 0; y < 4; y++, out += 4 * place) {
                out[0] = d[y][0] - d[y][2];
                out[place] = d[y][1] + d[y][2];
                out[2 * place] = d[y][2] - d[y][1];
                out[3 * place] = d[y][1] - d[y][3];
            }
        }
}

// The gradients of the 2 x 2 outputs of each tile. The factors 1/2 of the method are in fold_weight_gradient.
inline void transform_gradients(const Vec* grad, Layout layout, int step, int channels, const OutputTile* tiles, int count,
                                Vec* to) {
    const long place = place_size(channels, count);
    for (int k = 0; k < channels; k++)
        for (int t = 0; t < count; t++) {
            const OutputTile& tile = tiles[t];
            const Vec* from = grad + k * layout.plane + (long)tile.y * layout.row + (long)tile.x * step;
            const bool row = !tile.skips_row, column = !tile.skips_column;
            const Vec zero{};
            const Vec a = row && column ? from[0] : zero, b = row ? from[step] : zero;
            const Vec c = column ? from[layout.row] : zero, d = from[layout.row + step];
            const Vec g[4][2] = {{a, b}, {a + c, b + d}, {a - c, b - d}, {c, d}};
            Vec* out = to + (long)k * count + t;
            for (int y = 0; y < 4; y++, out += 4 * place) {
                out[0] = g[y][0];
                out[place] = g[y][0] + g[y][1];
                out[2 * place] = g[y][0] - g[y][1];
                out[3 * place] = g[y][1];
            }
        }
}

// The 16 factors of the 3 x 3 weights of one pair of channels.
template <class F>
void transform_weights(F weight, float to[PLACES]) {
    float u[4][3];
    for (int x = 0; x < 3; x++) {
        const float a = weight(0, x), b = weight(1, x), c = weight(2, x);
        u[0][x] = a, u[1][x] = (a + b + c) / 2, u[2][x] = (a - b + c) / 2, u[3][x] = c;
    }
    for (int y = 0; y < 4; y++) {
        to[4 * y] = u[y][0];
        to[4 * y + 1] = (u[y][0] + u[y][1] + u[y][2]) / 2;
        to[4 * y + 2] = (u[y][0] - u[y][1] + u[y][2]) / 2;
        to[4 * y + 3] = u[y][2];
    }
}

// The forward product of all tiles of a map: outputs from inputs, or the gradient of the input from that of the output.
struct WinogradProduct {
    static constexpr int TILES_AT_ONCE = 4;
    int inputs, outputs;
    std::vector<OutputTile> tiles;
    Partition strips{}, channel_blocks{};

    WinogradProduct(int inputs_, int outputs_, int rows, int columns)
        : inputs(inputs_), outputs(outputs_), tiles(output_tiles(rows, columns)) {
        strips = {(int)tiles.size(), ceil_div((int)tiles.size(), TILES_AT_ONCE)};
        const int height = REGISTERS == 32 ? 6 : 2;
        channel_blocks = {outputs, ceil_div(outputs, height)};
    }
    long packed_size() const { return (long)PLACES * inputs * outputs; }
    long buffer_size() const { return PLACES * (place_size(inputs, TILES_AT_ONCE) + place_size(outputs, TILES_AT_ONCE)); }

    // weight(k, c, y, x): that of output channel k and input channel c. Written place by place in the order that run reads.
    template <class F>
    void pack(float* to, F weight) const {
        const long place = (long)inputs * outputs;
        for (int b = 0; b < channel_blocks.count; b++)
            for (int c = 0; c < inputs; c++)
                for (int k = 0; k < channel_blocks.size(b); k++, to++) {
                    float factors[PLACES];
                    transform_weights([&](int y, int x) { return weight(channel_blocks.start(b) + k, c, y, x); }, factors);
                    for (int p = 0; p < PLACES; p++) to[p * place] = factors[p];
                }
    }

    void run(const Vec* in, Layout in_layout, const float* weights, const float* bias, Vec* out, Layout out_layout, bool relu,
             float negative_slope, Vec* buffer) const {
        int32_t channels[MAX_CHANNELS];
        for (int s = 0; s < strips.count; s++) {
            const OutputTile* strip = &tiles[strips.start(s)];
            const int count = strips.size(s);
            const long place = place_size(inputs, count), out_place = place_size(outputs, count);
            Vec* const products = buffer + PLACES * place;
            for (int c = 0; c < inputs; c++) channels[c] = c * count;
            transform_inputs(in, in_layout, inputs, strip, count, buffer);
            for (int p = 0; p < PLACES; p++)
                for (int b = 0; b < channel_blocks.count; b++) {
                    const int k = channel_blocks.start(b);
                    FORWARD_TILES[channel_blocks.size(b)][count](
                        buffer + p * place, 1, channels, inputs, weights + ((long)p * outputs + k) * inputs, nullptr,
                        products + p * out_place + (long)k * count, count, false, 0);
                }
            transform_outputs(products, strip, count, bias, out, out_layout, relu, negative_slope);
        }
    }

private:
    static constexpr int MAX_CHANNELS = 1024;
    void transform_outputs(const Vec* products, const OutputTile* strip, int count, const float* bias, Vec* out, Layout layout,
                           bool relu, float negative_slope) const {
        const long place = place_size(outputs, count);
        for (int k = 0; k < outputs; k++)
            for (int t = 0; t < count; t++) {
                const Vec* m = products + (long)k * count + t;
                Vec s[2][4];
                for (int x = 0; x < 4; x++) {
                    const Vec b = m[(4 + x) * place], c = m[(8 + x) * place];
                    s[0][x] = m[x * place] + b + c, s[1][x] = b - c - m[(12 + x) * place];
                }
                Vec* to = out + k * layout.plane + layout.at(strip[t]);
                const Vec start = bias ? broadcast(bias[k]) : Vec{};
                for (int y = 0; y < 2; y++, to += layout.row) {
                    const Vec left = s[y][0] + s[y][1] + s[y][2] + start, right = s[y][1] - s[y][2] - s[y][3] + start;
                    to[0] = relu ? leaky_relu(left, negative_slope) : left;
                    to[1] = relu ? leaky_relu(right, negative_slope) : right;
                }
            }
    }
};

// The gradient of the weights, from the inputs and the gradients of the outputs.
struct WinogradWeightGradient {
    static constexpr int TILES_AT_ONCE = 12;
    int inputs, outputs;
    std::vector<OutputTile> tiles;
    Partition strips{}, output_blocks{}, input_blocks{};

    WinogradWeightGradient(int inputs_, int outputs_, int rows, int columns)
        : inputs(inputs_), outputs(outputs_), tiles(output_tiles(rows, columns)) {
        strips = {(int)tiles.size(), ceil_div((int)tiles.size(), TILES_AT_ONCE)};
        std::tie(output_blocks, input_blocks) = choose_tiles(WEIGHT_GRAD_TILES, outputs, inputs);
    }
    long buffer_size() const {
        return PLACES * (place_size(inputs, TILES_AT_ONCE) + place_size(outputs, TILES_AT_ONCE) + (long)inputs * outputs);
    }

    // weight_grad: outputs x inputs x 3 x 3, summed over the images of the group.
    void run(const Vec* in, Layout in_layout, const Vec* grad, Layout grad_layout, int step, float* weight_grad,
             Vec* buffer) const {
        Vec* const sums = buffer;
        Vec* const transformed = sums + PLACES * (long)inputs * outputs;
        std::fill_n(sums, PLACES * (long)inputs * outputs, Vec{});
        int32_t channels[1024];
        for (int s = 0; s < strips.count; s++) {
            const OutputTile* strip = &tiles[strips.start(s)];
            const int count = strips.size(s);
            const long in_place = place_size(inputs, count), grad_place = place_size(outputs, count);
            Vec* const transformed_grad = transformed + PLACES * in_place;
            for (int c = 0; c < inputs; c++) channels[c] = c * count;
            transform_inputs(in, in_layout, inputs, strip, count, transformed);
            transform_gradients(grad, grad_layout, step, outputs, strip, count, transformed_grad);
            for (int p = 0; p < PLACES; p++)
                for (int i = 0; i < output_blocks.count; i++)
                    for (int j = 0; j < input_blocks.count; j++) {
                        const int k = output_blocks.start(i), c = input_blocks.start(j);
                        WEIGHT_GRAD_TILES[output_blocks.size(i)][input_blocks.size(j)](
                            transformed_grad + p * grad_place + (long)k * count, count, 0, 1, transformed + p * in_place, 0, 1,
                            &channels[c], 1, count, sums + (long)p * inputs * outputs + (long)k * inputs + c, inputs);
                    }
        }
        for (long i = 0; i < (long)inputs * outputs; i++) fold(sums + i, (long)inputs * outputs, weight_grad + 9 * i);
    }

private:
    static void fold(const Vec* m, long place, float* weight_grad) {
        Vec s[3][4];
        for (int x = 0; x < 4; x++) {
            const Vec b = m[(4 + x) * place] * 0.5f, c = m[(8 + x) * place] * 0.5f;
            s[0][x] = m[x * place] + b + c, s[1][x] = b - c, s[2][x] = b + c - m[(12 + x) * place];
        }
        for (int y = 0; y < 3; y++) {
            const Vec b = s[y][1] * 0.5f, c = s[y][2] * 0.5f;
            weight_grad[3 * y] = sum_lanes(s[y][0] + b + c);
            weight_grad[3 * y + 1] = sum_lanes(b - c);
            weight_grad[3 * y + 2] = sum_lanes(b + c - s[y][3]);
        }
    }
};
