// Products of bfloat16 with the dot product instruction of AVX-512, in register tiles.
#pragma once
#include "bfloat16.h"

constexpr int DOT_ROWS = 4, DOT_COLUMNS = 6;  // the largest tile: 24 sums, and the factors in the other 8 registers

inline Vec dot_add(Vec sums, Vec a, Vec b) { return (Vec)_mm512_dpbf16_ps((__m512)sums, (__m512bh)a, (__m512bh)b); }

// K output channels at X neighbouring positions. in: pairs. parts: offsets of what it reads, depth vectors each.
// A part has TILE_ROWS weights, of which depth are used, for each of `outputs` channels.
template <int K, int X>
void dot_forward_tile(const Vec* in, long step, const int32_t* parts, int count, const uint32_t* weights, int outputs, int depth,
                      Vec* out, long out_plane) {
    Vec total[K][X]{};
    for (int p = 0; p < count; p++, weights += outputs * TILE_ROWS)
        for (int i = 0; i < depth; i++) {
            const Vec* from = in + parts[p] + i;
            Vec v[X];
            for (int x = 0; x < X; x++) v[x] = from[x * step];
            for (int k = 0; k < K; k++) {
                const Vec w = (Vec)_mm512_set1_epi32((int)weights[k * TILE_ROWS + i]);
                for (int x = 0; x < X; x++) total[k][x] = dot_add(total[k][x], w, v[x]);
            }
        }
    for (int k = 0; k < K; k++)
        for (int x = 0; x < X; x++) out[k * out_plane + x] = total[k][x];
}

// Adds to K x J sums, over rows x (2 * columns) positions: gradient of output channel k times the input at tap j. Both are rows.
template <int K, int J>
void dot_weight_grad_tile(const HalfVec* grad, long grad_plane, int grad_row, const HalfVec* in, int in_row, const int32_t* taps,
                          int rows, int columns, Vec* sums, int width) {
    const auto load = [](const HalfVec* from) { return (Vec)_mm512_loadu_si512(from); };
    Vec total[K][J];
    for (int k = 0; k < K; k++)
        for (int j = 0; j < J; j++) total[k][j] = sums[k * width + j];
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            Vec v[K];
            for (int k = 0; k < K; k++) v[k] = load(grad + k * grad_plane + y * grad_row + 2 * x);
            for (int j = 0; j < J; j++) {
                const Vec u = load(in + y * in_row + taps[j] + 2 * x);
                for (int k = 0; k < K; k++) total[k][j] = dot_add(total[k][j], v[k], u);
            }
        }
    for (int k = 0; k < K; k++)
        for (int j = 0; j < J; j++) sums[k * width + j] = total[k][j];
}
