// Max pool and average pool of one channel. As in torch, padding counts as zero in a mean and is left out of a maximum.
#pragma once
#include "lanes.h"

struct Window {
    int height, width, out_height, out_width, kernel, stride, padding;

    // Calls f(index in the map, index in the window) for each value of the window of output (y, x) that is inside the map.
    template <class F>
    void for_each(int y, int x, F f) const {
        for (int i = 0; i < kernel; i++) {
            const int row = y * stride - padding + i;
            if (row < 0 || row >= height) continue;
            for (int j = 0; j < kernel; j++) {
                const int column = x * stride - padding + j;
                if (column >= 0 && column < width) f(row * width + column, i * kernel + j);
            }
        }
    }
};

struct RunningMax {
    Vec value = broadcast(-__builtin_inff());
    IntVec index{};  // in the window
    // As in torch, the first of equal values wins, and NaN wins over all.
    void update(Vec v, int number) {
        const IntVec larger = (v > value) | (v != v);
        value = larger ? v : value;
        index = larger ? IntVec{} + number : index;
    }
};

// Most pools have windows of 2 x 2 that touch each other. Their loops have no bounds to check, and the compiler unrolls them.
inline bool is_2x2(const Window& w) { return w.kernel == 2 && w.stride == 2 && w.padding == 0; }

inline RunningMax max_2x2(const Vec* in, int width) {
    RunningMax max;
    max.update(in[0], 0), max.update(in[1], 1), max.update(in[width], 2), max.update(in[width + 1], 3);
    return max;
}

inline RunningMax window_max(const Vec* in, const Window& w, int y, int x) {
    RunningMax max;
    w.for_each(y, x, [&](int at, int number) { max.update(in[at], number); });
    return max;
}

inline void max_pool(const Vec* in, Vec* out, const Window& w) {
    if (is_2x2(w)) {
        for (int y = 0; y < w.out_height; y++)
            for (int x = 0; x < w.out_width; x++) *out++ = max_2x2(in + 2 * (y * w.width + x), w.width).value;
        return;
    }
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) *out++ = window_max(in, w, y, x).value;
}

inline void max_pool_backward(const Vec* in, const Vec* grad_out, Vec* grad_in, const Window& w) {
    const bool covers = is_2x2(w) && 2 * w.out_height == w.height && 2 * w.out_width == w.width;
    if (!covers) for (int i = 0; i < w.height * w.width; i++) grad_in[i] = Vec{};
    if (is_2x2(w)) {
        for (int y = 0; y < w.out_height; y++)
            for (int x = 0; x < w.out_width; x++) {
                const int at = 2 * (y * w.width + x);
                const IntVec index = max_2x2(in + at, w.width).index;
                const Vec g = *grad_out++;
                for (int i = 0; i < 4; i++) grad_in[at + i % 2 + i / 2 * w.width] = index == i ? g : Vec{};
            }
        return;
    }
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) {
            const IntVec index = window_max(in, w, y, x).index;
            const Vec g = *grad_out++;
            w.for_each(y, x, [&](int at, int number) { grad_in[at] += index == number ? g : Vec{}; });
        }
}

inline void avg_pool(const Vec* in, Vec* out, const Window& w) {
    const float factor = 1.0f / (float)(w.kernel * w.kernel);
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) {
            Vec total{};
            w.for_each(y, x, [&](int at, int) { total += in[at]; });
            *out++ = total * factor;
        }
}

inline void avg_pool_backward(const Vec* grad_out, Vec* grad_in, const Window& w) {
    const float factor = 1.0f / (float)(w.kernel * w.kernel);
    for (int i = 0; i < w.height * w.width; i++) grad_in[i] = Vec{};
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) {
            const Vec g = *grad_out++ * factor;
            w.for_each(y, x, [&](int at, int) { grad_in[at] += g; });
        }
}
