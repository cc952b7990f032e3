// What is done to each value by itself, in one pass: batch norm with known statistics, ReLU, dropout, in this order.
#pragma once
#include <cmath>

#include "lanes.h"

// Whether values are dropped: a hash of (key of step, layer and group; place and image), so that a mask is nowhere stored and
// does not depend on which thread asks for it. The mixing is Wellons' lowbias32 with half of the key added in its middle.
inline U lanes() {
    U u{};
    for (int i = 0; i < L; i++) u[i] = (uint32_t)i;
    return u;
}
const U LANES = lanes();

struct Dropout {
    uint32_t threshold;  // p * 2^32
    float scale;         // 1 / (1 - p)
    uint32_t key, second;

    V apply(V v, uint32_t place) const {
        U x = (LANES + place * (uint32_t)L) * 0x9E3779B9u + key;
        x = (x ^ x >> 16) * 0x21F0AAADu + second;
        x = (x ^ x >> 15) * 0xD35A2D97u;
        x ^= x >> 15;
        return x < threshold ? V{} : v * scale;
    }
};

inline uint64_t mix(uint64_t x) {  // splitmix64
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

inline Dropout dropout(float p, uint64_t key, int layer, int group) {
    const uint64_t mixed = mix(key ^ mix((uint64_t)layer << 32 | (uint32_t)group));
    return {(uint32_t)std::min((double)p * 4294967296.0, 4294967295.0), p < 1 ? 1 / (1 - p) : 0.0f, (uint32_t)mixed,
            (uint32_t)(mixed >> 32)};
}

// Mean and sum of squared distances from it, of one channel of one group or of several groups together.
struct Moments {
    double count, mean, squares;

    void join(const Moments& other) {  // Chan et al., 1979
        if (!other.count) return;
        const double both = count + other.count, apart = other.mean - mean;
        squares += other.squares + apart * apart * count * other.count / both;
        mean += apart * other.count / both;
        count = both;
    }
};

// here: 1 for lanes that hold an image, 0 for the others
inline Moments moments(const V* in, int places, V here, int images) {
    V total{};
    for (int i = 0; i < places; i++) total += in[i];
    const double count = (double)places * images;
    const float mean = (float)(sum(total * here) / count);
    V squares{}, rest{};
    for (int i = 0; i < places; i++) {
        const V d = in[i] - mean;
        squares += d * d;
        rest += d;
    }
    // the rounding of the mean is taken back
    const double off = sum(rest * here) / count;
    return {count, mean + off, sum(squares * here) - off * off * count};
}
