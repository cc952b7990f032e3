// The three products of a convolution, each as register tiles of fused multiply-adds over a list of taps.
//
// A tap is a distance in vectors from the first input of an output to one of its inputs: kernel, dilation and channels are in
// the list and nowhere else. The gradient of the input is the same product over the gradient of the output with a border.
#pragma once
#include <algorithm>
#include <vector>

#include "lanes.h"

constexpr int MOST = 6;  // sides of a tile
constexpr bool fits(int a, int b) { return a * b + b < REGISTERS - (REGISTERS == 16); }

// K outputs at X neighbouring places. weights: count x K.
template <int K, int X>
void tile(const V* in, int step, const int32_t* taps, int count, const float* weights, const float* bias, V* out,
          long channel, bool act, float slope) {
    V total[K][X];
    for (int k = 0; k < K; k++)
        for (int x = 0; x < X; x++) total[k][x] = bias ? all(bias[k]) : V{};
    for (int t = 0; t < count; t++) {
        const V* from = in + taps[t];
        V v[X];
        for (int x = 0; x < X; x++) v[x] = from[x * step];
        for (int k = 0; k < K; k++) {
            const V w = all(weights[t * K + k]);
            for (int x = 0; x < X; x++) total[k][x] += w * v[x];
        }
    }
    for (int k = 0; k < K; k++)
        for (int x = 0; x < X; x++) out[k * channel + x] = act ? rectify(total[k][x], slope) : total[k][x];
}

// Adds to K x J sums over rows x columns places: gradient of output k times the input of tap j.
template <int K, int J>
void outer(const V* gradient, long channel, int row, int step, const V* in, int in_row, int in_step, const int32_t* taps,
           int rows, int columns, V* sums, int width) {
    V total[K][J];
    for (int k = 0; k < K; k++)
        for (int j = 0; j < J; j++) total[k][j] = sums[k * width + j];
    for (int y = 0; y < rows; y++) {
        const V* g = gradient + (long)y * row;
        const V* from[J];
        for (int j = 0; j < J; j++) from[j] = in + (long)y * in_row + taps[j];
        for (int x = 0; x < columns; x++) {
            V v[K];
            for (int k = 0; k < K; k++) v[k] = g[k * channel + x * step];
            for (int j = 0; j < J; j++) {
                const V u = from[j][x * in_step];
                for (int k = 0; k < K; k++) total[k][j] += v[k] * u;
            }
        }
    }
    for (int k = 0; k < K; k++)
        for (int j = 0; j < J; j++) sums[k * width + j] = total[k][j];
}

using Tile = decltype(&tile<1, 1>);
using Outer = decltype(&outer<1, 1>);

template <int K, int X>
constexpr Tile tile_or_null() {
    if constexpr (fits(K, X)) return &tile<K, X>;
    else return nullptr;
}
template <int K, int J>
constexpr Outer outer_or_null() {
    if constexpr (fits(J, K)) return &outer<K, J>;
    else return nullptr;
}
#define ROW(f, k) {nullptr, f<k, 1>(), f<k, 2>(), f<k, 3>(), f<k, 4>(), f<k, 5>(), f<k, 6>()}
#define TABLE(f) {{}, ROW(f, 1), ROW(f, 2), ROW(f, 3), ROW(f, 4), ROW(f, 5), ROW(f, 6)}
const Tile TILES[MOST + 1][MOST + 1] = TABLE(tile_or_null);
const Outer OUTERS[MOST + 1][MOST + 1] = TABLE(outer_or_null);

// Cuts length into parts that differ by at most one.
struct Parts {
    int length, count;
    int start(int i) const { return (int)((long)length * i / count); }
    int size(int i) const { return start(i + 1) - start(i); }
};

inline int parts_of(int length, int most) { return (length + most - 1) / most; }

// The tile that loads least for all a x b sums.
template <class Table>
std::pair<Parts, Parts> best_tile(const Table& table, int a, int b) {
    std::pair<Parts, Parts> best{{a, a}, {b, b}};
    long least = -1;
    for (int m = 1; m <= MOST; m++)
        for (int n = 1; n <= MOST; n++) {
            const int rows = parts_of(a, m), columns = parts_of(b, n);
            if (!table[parts_of(a, rows)][parts_of(b, columns)]) continue;
            const long loads = (long)rows * b + (long)columns * a;
            if (least < 0 || loads < least) least = loads, best = {{a, rows}, {b, columns}};
        }
    return best;
}

// One product with its tiles: outputs channels of rows x columns from count taps.
struct Product {
    int outputs, rows, columns, step;
    int in_row, out_row;
    long out_channel;
    std::vector<int32_t> taps;
    Parts blocks{}, strips{};

    void plan() {
        std::tie(blocks, strips) = best_tile(TILES, outputs, columns);
    }
    // weights: blocks one after the other, each taps x its outputs
    void run(const V* in, const float* weights, const float* bias, V* out, bool act, float slope) const {
        const int count = (int)taps.size();
        for (int y = 0; y < rows; y++)
            for (int s = 0; s < strips.count; s++)
                for (int b = 0; b < blocks.count; b++) {
                    const int x = strips.start(s), k = blocks.start(b);
                    TILES[blocks.size(b)][strips.size(s)](
                        in + (long)y * in_row + x * step, step, taps.data(), count, weights + (long)k * count,
                        bias ? bias + k : nullptr, out + k * out_channel + (long)y * out_row + x, out_channel, act, slope);
                }
    }
    // value(output, tap) in the order that run wants
    template <class F>
    void pack(float* to, F value) const {
        for (int b = 0; b < blocks.count; b++)
            for (int t = 0; t < (int)taps.size(); t++)
                for (int k = 0; k < blocks.size(b); k++) *to++ = value(blocks.start(b) + k, t);
    }
};
