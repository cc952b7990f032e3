// Pools of one map. Padding counts as zero in a mean, as in torch, and as nothing in a maximum.
#pragma once
#include "lanes.h"

struct Window {
    int height, width, out_height, out_width, kernel, stride, padding;

    // windows of 2 x 2 side by side, by far the most common: known when compiling, nothing of it is a loop
    bool pairs() const { return kernel == 2 && stride == 2 && !padding; }
    // whether each place is in one window
    bool tiles() const { return pairs() && out_height * 2 == height && out_width * 2 == width; }

    // calls f(input place, number of the place in the window) for each place that is in the map
    template <bool PAIRS, class F>
    void each(int y, int x, F f) const {
        if constexpr (PAIRS) {
            const int first = 2 * y * width + 2 * x;
            f(first, 0), f(first + 1, 1), f(first + width, 2), f(first + width + 1, 3);
            return;
        }
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

template <bool PAIRS>
Largest largest(const V* in, const Window& w, int y, int x) {
    Largest best;
    w.each<PAIRS>(y, x, [&](int at, int number) { best.see(in[at], number); });
    return best;
}

template <bool PAIRS>
void max_pool(const V* in, V* out, const Window& w) {
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) *out++ = largest<PAIRS>(in, w, y, x).value;
}

template <bool PAIRS>
void max_pool_back(const V* in, const V* gradient, V* out, const Window& w) {
    const bool tiles = w.tiles();
    for (int i = 0; !tiles && i < w.height * w.width; i++) out[i] = V{};
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) {
            const I place = largest<PAIRS>(in, w, y, x).place;
            const V g = *gradient++;
            w.each<PAIRS>(y, x, [&](int at, int number) {
                const V share = place == number ? g : V{};
                out[at] = PAIRS ? share : out[at] + share;
            });
        }
}

inline void mean_pool(const V* in, V* out, const Window& w) {
    const float share = 1.0f / (float)(w.kernel * w.kernel);
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) {
            V total{};
            w.each<false>(y, x, [&](int at, int) { total += in[at]; });
            *out++ = total * share;
        }
}

inline void mean_pool_back(const V* gradient, V* out, const Window& w) {
    const float share = 1.0f / (float)(w.kernel * w.kernel);
    for (int i = 0; i < w.height * w.width; i++) out[i] = V{};
    for (int y = 0; y < w.out_height; y++)
        for (int x = 0; x < w.out_width; x++) {
            const V g = *gradient++ * share;
            w.each<false>(y, x, [&](int at, int) { out[at] += g; });
        }
}
