// Vectors of floats. One vector holds the same value of LANES images, one image in each lane.
//
// A map of any size is a whole number of such vectors. So no operation has a remainder to treat, and a weight is one number for
// a whole vector.
#pragma once
#include <cstdint>

#if defined(__AVX512F__)
constexpr int LANES = 16;
constexpr int REGISTERS = 32;
#else
constexpr int LANES = 8;  // AVX2: one register. Other processors: two registers of half the width.
constexpr int REGISTERS = 16;
#endif

typedef float Vec __attribute__((vector_size(LANES * 4)));
typedef int32_t IntVec __attribute__((vector_size(LANES * 4)));
typedef uint32_t UintVec __attribute__((vector_size(LANES * 4)));

// Compiles to one broadcast. A loop over the lanes would go through memory.
inline Vec broadcast(float value) { return value - Vec{}; }

// The sum of all lanes, always in the same order.
inline float sum_lanes(Vec v) {
    float sums[LANES];
    for (int i = 0; i < LANES; i++) sums[i] = v[i];
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) sums[i] += sums[i + half];
    return sums[0];
}

// ReLU is the case negative_slope = 0. NaN stays NaN, so that the loss shows it. Minus infinity becomes zero, not NaN.
inline Vec leaky_relu(Vec v, float negative_slope) {
    const Vec negative = negative_slope == 0 ? Vec{} : v * negative_slope;
    return v < 0 ? negative : v;
}

// The gradient of leaky_relu from its result. As in torch, a result of 0 has the gradient of the negative side.
inline Vec leaky_relu_backward(Vec grad, Vec result, float negative_slope) {
    const Vec negative = negative_slope == 0 ? Vec{} : grad * negative_slope;
    return result <= 0 ? negative : grad;
}
