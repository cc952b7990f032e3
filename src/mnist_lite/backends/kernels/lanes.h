// A vector holds the same place of L images. Every map of every network is a whole number of such vectors, whatever its
// channels and sides are, so no operation has remainders to treat and a weight is one number for a whole vector.
#pragma once
#include <cstdint>

#if defined(__AVX512F__)
constexpr int L = 16;
constexpr int REGISTERS = 32;
#else
constexpr int L = 8;  // AVX2: one register; others: two of half the width
constexpr int REGISTERS = 16;
#endif

typedef float V __attribute__((vector_size(L * 4)));
typedef int32_t I __attribute__((vector_size(L * 4)));
typedef uint32_t U __attribute__((vector_size(L * 4)));

inline V all(float value) { return value - V{}; }  // compiles to one broadcast; a loop over lanes goes through memory

inline float sum(V v) {  // always in the same order
    float pair[L];
    for (int i = 0; i < L; i++) pair[i] = v[i];
    for (int half = L / 2; half; half /= 2)
        for (int i = 0; i < half; i++) pair[i] += pair[i + half];
    return pair[0];
}

// Negative values times slope: ReLU with slope 0. NaN stays NaN, so that what has gone wrong shows in the loss, and infinity
// below zero becomes zero, not NaN.
inline V rectify(V v, float slope) {
    const V low = slope == 0 ? V{} : v * slope;
    return v < 0 ? low : v;
}

// Its derivative from its result, which is torch's: slope where the result is 0.
inline V rectify_back(V gradient, V result, float slope) {
    const V low = slope == 0 ? V{} : gradient * slope;
    return result <= 0 ? low : gradient;
}
