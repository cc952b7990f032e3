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

inline RunningMax window_max(const Vec* in, const Window& w, int y, int x) {
    RunningMax max;
    w.for_each(y, x, [&](int at, int number) { max.update(in[at], number); });
    return max;
}

inline void max_pool(const Vec* in, Vec* out, const Window& w) {
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) *out++ = window_max(in, w, y, x).value;
}

inline void max_pool_backward(const Vec* in, const Vec* grad_out, Vec* grad_in, const Window& w) {
    for (int i = 0; i < w.height * w.width; i++) grad_in[i] = Vec{};
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
