// The products of a convolution in register tiles of fused multiply-adds, over a list of taps.
//
// A tap is the offset, in vectors, from the first input of an output to one of its other inputs. Only the list of taps knows
// kernel, dilation and input channels.
#pragma once
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "lanes.h"

constexpr int MAX_TILE = 6;  // the largest side of a tile
// A tile of a x b sums also needs b registers for its factors.
constexpr bool fits_in_registers(int a, int b) { return a * b + b < REGISTERS - (REGISTERS == 16); }

// K output channels at X neighbouring positions. weights: count x K.
template <int K, int X>
void forward_tile(const Vec* in, int step, const int32_t* taps, int count, const float* weights, const float* bias, Vec* out,
                  long out_plane, bool relu, float negative_slope) {
    Vec total[K][X];
    for (int k = 0; k < K; k++)
        for (int x = 0; x < X; x++) total[k][x] = bias ? broadcast(bias[k]) : Vec{};
    const auto add_taps = [&](auto step) {
        for (int t = 0; t < count; t++) {
            const Vec* from = in + taps[t];
            Vec v[X];
            for (int x = 0; x < X; x++) v[x] = from[x * step];
            for (int k = 0; k < K; k++) {
                const Vec w = broadcast(weights[t * K + k]);
                for (int x = 0; x < X; x++) total[k][x] += w * v[x];
            }
        }
    };
    if (step == 1) add_taps(std::integral_constant<int, 1>{});  // a constant, so that the addresses need no arithmetic
    else add_taps(step);
    for (int k = 0; k < K; k++)
        for (int x = 0; x < X; x++)
            out[k * out_plane + x] = relu ? leaky_relu(total[k][x], negative_slope) : total[k][x];
}

// K x J sums over rows x columns positions: gradient of output channel k times the input at tap j. add: to what is in sums.
template <int K, int J>
void weight_grad_tile(const Vec* grad, long plane, int row, int step, const Vec* in, int in_row, int in_step,
                      const int32_t* taps, int rows, int columns, bool add, Vec* sums, int width) {
    Vec total[K][J];
    for (int k = 0; k < K; k++)
        for (int j = 0; j < J; j++) total[k][j] = add ? sums[k * width + j] : Vec{};
    for (int y = 0; y < rows; y++) {
        const Vec* g = grad + (long)y * row;
        const Vec* from[J];
        for (int j = 0; j < J; j++) from[j] = in + (long)y * in_row + taps[j];
        for (int x = 0; x < columns; x++) {
            Vec v[K];
            for (int k = 0; k < K; k++) v[k] = g[k * plane + x * step];
            for (int j = 0; j < J; j++) {
                const Vec u = from[j][x * in_step];
                for (int k = 0; k < K; k++) total[k][j] += v[k] * u;
            }
        }
    }
    for (int k = 0; k < K; k++)
        for (int j = 0; j < J; j++) sums[k * width + j] = total[k][j];
}

using ForwardTile = decltype(&forward_tile<1, 1>);
using WeightGradTile = decltype(&weight_grad_tile<1, 1>);

template <int K, int X>
constexpr ForwardTile forward_tile_or_null() {
    if constexpr (fits_in_registers(K, X)) return &forward_tile<K, X>;
    else return nullptr;
}
template <int K, int J>
constexpr WeightGradTile weight_grad_tile_or_null() {
    if constexpr (fits_in_registers(J, K)) return &weight_grad_tile<K, J>;
    else return nullptr;
}
#define ROW(f, k) {nullptr, f<k, 1>(), f<k, 2>(), f<k, 3>(), f<k, 4>(), f<k, 5>(), f<k, 6>()}
#define TABLE(f) {{}, ROW(f, 1), ROW(f, 2), ROW(f, 3), ROW(f, 4), ROW(f, 5), ROW(f, 6)}
const ForwardTile FORWARD_TILES[MAX_TILE + 1][MAX_TILE + 1] = TABLE(forward_tile_or_null);
const WeightGradTile WEIGHT_GRAD_TILES[MAX_TILE + 1][MAX_TILE + 1] = TABLE(weight_grad_tile_or_null);

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Splits length into count parts whose sizes differ by at most one.
struct Partition {
    int length, count;
    int start(int i) const { return (int)((long)length * i / count); }
    int size(int i) const { return start(i + 1) - start(i); }
    int largest() const { return ceil_div(length, count); }
    Partition split(int i, int size_limit) const { return {size(i), ceil_div(size(i), size_limit)}; }  // of part i
};

// Partitions of a and b into tiles, so that computing all a x b sums needs the fewest loads.
template <class Table>
std::pair<Partition, Partition> choose_tiles(const Table& table, int a, int b) {
    std::pair<Partition, Partition> best{{a, a}, {b, b}};
    long min_loads = -1;
    for (int m = 1; m <= MAX_TILE; m++)
        for (int n = 1; n <= MAX_TILE; n++) {
            const int rows = ceil_div(a, m), columns = ceil_div(b, n);
            if (!table[ceil_div(a, rows)][ceil_div(b, columns)]) continue;
            const long loads = (long)rows * b + (long)columns * a;
            if (min_loads < 0 || loads < min_loads) min_loads = loads, best = {{a, rows}, {b, columns}};
        }
    return best;
}

// A forward product and its tiles: channels x rows x columns outputs, each from all taps.
struct TiledProduct {
    int channels, rows, columns, step;  // step: from one position to the next in the input
    int in_row, out_row;
    long out_plane;
    std::vector<int32_t> taps;  // row after row of the kernel
    // The input has zeros above row 0 and from row map_height on. Rows of the kernel that meet only zeros are left out.
    int kernel, dilation, row_step, zeros_above, map_height;
    Partition channel_blocks{}, column_blocks{};

    void set_tiles() { std::tie(channel_blocks, column_blocks) = choose_tiles(FORWARD_TILES, channels, columns); }
    long packed_size() const { return (long)channels * (long)taps.size(); }
    // The first row of the kernel that meets more than zeros at row y of the output, and the row behind the last one.
    std::pair<int, int> kernel_rows(int y) const {
        int first = 0, last = kernel;
        if (rows == 1) return {first, last};
        while (first < kernel && y * row_step + first * dilation < zeros_above) first++;
        while (last > first && y * row_step + (last - 1) * dilation >= zeros_above + map_height) last--;
        return {first, last};
    }
    double cost() const {  // in multiply-adds
        double used_rows = 0;
        for (int y = 0; y < rows; y++) used_rows += kernel_rows(y).second - kernel_rows(y).first;
        return used_rows * columns * (double)packed_size() / kernel;
    }
    // weights: as pack writes them
    void run(const Vec* in, const float* weights, const float* bias, Vec* out, bool relu, float negative_slope) const {
        const int count = (int)taps.size(), per_row = count / kernel;
        for (int y = 0; y < rows; y++) {
            const auto [first, last] = kernel_rows(y);
            const int from = first * per_row;
            for (int s = 0; s < column_blocks.count; s++)
                for (int b = 0; b < channel_blocks.count; b++) {
                    const int x = column_blocks.start(s), k = channel_blocks.start(b);
                    FORWARD_TILES[channel_blocks.size(b)][column_blocks.size(s)](
                        in + (long)y * in_row + x * step, step, taps.data() + from, (last - first) * per_row,
                        weights + (long)k * count + from * channel_blocks.size(b), bias ? bias + k : nullptr,
                        out + k * out_plane + (long)y * out_row + x, out_plane, relu, negative_slope);
                }
        }
    }
    // Writes weight(output channel, input channel, row, column) in the order that run reads: block after block of the output
    // channels, each taps x channels of the block.
    template <class F>
    void pack(float* to, F weight) const {
        const int inputs = (int)taps.size() / (kernel * kernel);
        for (int b = 0; b < channel_blocks.count; b++)
            for (int y = 0; y < kernel; y++)
                for (int c = 0; c < inputs; c++)
                    for (int x = 0; x < kernel; x++)
                        for (int i = 0; i < channel_blocks.size(b); i++) *to++ = weight(channel_blocks.start(b) + i, c, y, x);
    }
};
