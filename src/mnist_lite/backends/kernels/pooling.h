// Pools of one map. Padding counts as zero in a mean, as in torch, and as nothing in a maximum.
#pragma once
#include "lanes.h"

struct Window {
    int height, width, out_height, out_width, kernel, stride, padding;

    // calls f(input place, number of the place in the window) for each place that is in the map
    template <class F>
    void each(int y, int x, F f) const {
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

struct Largest {
    V value = all(-__builtin_inff());
    I place{};
    // the first of equals, and NaN before all: torch's choice
    void see(V v, int number) {
        const I larger = (v > value) | (v != v);
        value = larger ? v : value;
        place = larger ? I{} + number : place;
    }
};

inline Largest largest(const V* in, const Window& w, int y, int x) {
    Largest best;
    w.each(y, x, [&](int at, int number) { best.see(in[at], number); });
    return best;
}

inline void max_pool(const V* in, V* out, const Window& w) {
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) *out++ = largest(in, w, y, x).value;
}

inline void max_pool_back(const V* in, const V* gradient, V* out, const Window& w) {
    for (int i = 0; i < w.height * w.width; i++) out[i] = V{};
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) {
            const I place = largest(in, w, y, x).place;
            const V g = *gradient++;
            w.each(y, x, [&](int at, int number) { out[at] += place == number ? g : V{}; });
        }
}

inline void mean_pool(const V* in, V* out, const Window& w) {
    const float share = 1.0f / (float)(w.kernel * w.kernel);
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) {
            V total{};
            w.each(y, x, [&](int at, int) { total += in[at]; });
            *out++ = total * share;
        }
}

inline void mean_pool_back(const V* gradient, V* out, const Window& w) {
    const float share = 1.0f / (float)(w.kernel * w.kernel);
    for (int i = 0; i < w.height * w.width; i++) out[i] = V{};
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) {
            const V g = *gradient++ * share;
            w.each(y, x, [&](int at, int) { out[at] += g; });
        }
}
