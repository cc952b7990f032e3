// Vectors of floats. One vector holds the same value of LANES images, one image in each lane.
//
// A map of any size is a whole number of such vectors. So no operation has a remainder to treat, and a weight is one number for
// a whole vector.
#pragma once
#include <cstdint>
#include <cstring>

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

inline UintVec lane_numbers() {
    UintVec numbers{};
    for (int i = 0; i < LANES; i++) numbers[i] = (uint32_t)i;
    return numbers;
}
const UintVec LANE_NUMBERS = lane_numbers();

// Compiles to one broadcast. A loop over the lanes would go through memory.
inline Vec broadcast(float value) { return value - Vec{}; }

// NaN stays NaN.
inline Vec clamp(Vec v, float low, float high) {
    v = v < low ? broadcast(low) : v;
    return v > high ? broadcast(high) : v;
}

// The sum of all lanes, always in the same order.
inline float sum_lanes(Vec v) {
    float sums[LANES];
    for (int i = 0; i < LANES; i++) sums[i] = v[i];
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) sums[i] += sums[i + half];
    return sums[0];
}

#if !defined(__clang__)  // it has no shuffle with a mask that is a variable
// Adds the lanes of LANES vectors at once, in the same order as sum_lanes: about three instructions for each sum.
// In each step, two vectors become one. Its first half has sums of the first vector, its second half those of the second, and so
// on in smaller and smaller blocks.
struct LaneSums {
    UintVec low[5], high[5];  // masks of the steps
    UintVec order;            // the lane of the sum of each vector

    LaneSums() {
        int step = 0;
        for (int half = LANES / 2; half; half /= 2, step++)
            for (int i = 0; i < LANES; i++) {
                const int block = i / (2 * half), in_second = i / half % 2, at = i % half;
                low[step][i] = (uint32_t)(in_second * LANES + block * 2 * half + at);
                high[step][i] = low[step][i] + (uint32_t)half;
            }
        Vec numbers[LANES];
        for (int i = 0; i < LANES; i++) numbers[i] = broadcast((float)i / LANES);
        order = LANE_NUMBERS;
        const Vec sums = add(numbers);
        for (int lane = 0; lane < LANES; lane++) order[(int)sums[lane]] = (uint32_t)lane;
    }
    Vec add(Vec* v) const {
        int step = 0;
        for (int half = LANES / 2; half; half /= 2, step++)
            for (int i = 0; i < half; i++)
                v[i] = __builtin_shuffle(v[i], v[i + half], low[step]) + __builtin_shuffle(v[i], v[i + half], high[step]);
        return __builtin_shuffle(v[0], order);
    }
};
const LaneSums LANE_SUMS;
#endif

inline void sum_lanes(const Vec* vectors, long count, float* to) {
#if !defined(__clang__)
    Vec v[LANES];
    long i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (int j = 0; j < LANES; j++) v[j] = vectors[i + j];
        const Vec sums = LANE_SUMS.add(v);
        std::memcpy(to + i, &sums, sizeof sums);
    }
    if (i == count) return;
    for (int j = 0; j < LANES; j++) v[j] = i + j < count ? vectors[i + j] : Vec{};
    const Vec sums = LANE_SUMS.add(v);
    std::memcpy(to + i, &sums, sizeof(float) * (count - i));
#else
    for (long i = 0; i < count; i++) to[i] = sum_lanes(vectors[i]);
#endif
}

inline void add(const Vec* a, const Vec* b, Vec* sum, long size) {
    for (long i = 0; i < size; i++) sum[i] = a[i] + b[i];
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
