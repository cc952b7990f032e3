// Exponential functions of vectors, accurate to about two units in the last place of a float. NaN stays NaN.
#pragma once
#include "lanes.h"

// e^x = power * (1 + fraction). x is limited to -87 ... 87, so that no result overflows or loses digits.
struct Exponential {
    Vec power, fraction;
};

inline Exponential split_exp(Vec x) {
    // x = n ln 2 + r with a whole n, and r between -ln 2 / 2 and ln 2 / 2
    x = clamp(x, -87, 87);
    const float rounder = 12582912;  // 1.5 * 2^23: the sum of it and a small number is a whole number
    const Vec shifted = x * 1.44269504f + rounder, n = shifted - rounder;
    const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts: n times the first part is exact
    Vec series = broadcast(1.0f / 5040);  // Taylor's of (e^r - 1) / r
    for (float factorial : {720.0f, 120.0f, 24.0f, 6.0f, 2.0f, 1.0f}) series = series * r + 1 / factorial;
    return {(Vec)(((UintVec)shifted << 23) + (127u << 23)), series * r};
}

inline Vec exp(Vec x) {
    const Exponential e = split_exp(x);
    return e.power * e.fraction + e.power;
}

// e^x - 1, accurate near 0.
inline Vec expm1(Vec x) {
    const Exponential e = split_exp(x);
    return e.power * e.fraction + (e.power - 1.0f);
}

// log(1 + x) for x between 0 and 1, accurate near 0: the series of 2 artanh(x / (2 + x)).
inline Vec log1p(Vec x) {
    const Vec s = x / (x + 2.0f), square = s * s;
    Vec series = broadcast(1.0f / 13);
    for (float odd : {11.0f, 9.0f, 7.0f, 5.0f, 3.0f, 1.0f}) series = series * square + 1 / odd;
    return s * series * 2.0f;
}

inline Vec sigmoid(Vec x) { return 1.0f / (exp(-x) + 1.0f); }

inline Vec abs(Vec x) { return x < 0 ? -x : x; }

// The standard normal distribution at x: the probability of a smaller value, and the density.
struct Normal {
    Vec probability, density;
};

inline Normal normal_distribution(Vec x) {
    const Vec size = abs(x), e = exp(size * size * -0.5f), t = 1.0f / (size * 0.35f + 1.0f);
    // A value below -size has the probability e * t * series. The relative error of this fit is 3e-8.
    Vec series = broadcast(-0.02911512f);
    for (float coefficient : {0.14381891f, -0.255392f, 0.15879764f, -0.02284413f, 0.10539243f, 0.11986302f, 0.13985757f, 0.13962166f})
        series = series * t + coefficient;
    const Vec tail = e * t * series;
    return {x > 0 ? 1.0f - tail : tail, e * 0.398942280f};
}
