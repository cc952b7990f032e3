// Maps in bfloat16, which is the upper half of a float32, rounded to nearest.
//
// The instructions for bfloat16 multiply two pairs of numbers in each 32-bit lane and add both products to a float32. What a pair
// is depends on the sum: forward, it is two channels; in the gradient of the weights, it is two images. So there are three layouts:
//   pairs:       [y][x][pair of channels][LANES images][2]           (a vector of pairs is as large as a Vec, so it is one here)
//   rows:        [channel][y][x][LANES images]                       (a HalfVec is one position)
//   transposed:  [block of LANES channels][y][x][pair of images][LANES channels][2]
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "lanes.h"

// The number of pieces of a float32. One piece: it is rounded to bfloat16. Three pieces: their sum is the float32 itself. Piece n
// is about 2^(8 n) times smaller than piece 0. So the six products of pieces a and b with a + b < 3 are as exact as one in float32.
constexpr int ROUNDED = 1, SPLIT = 3;

constexpr int TILE_ROWS = 16;           // so many vectors are read at once: behind each map there are so many zeros
constexpr int IMAGE_PAIRS = LANES / 2;  // the vectors of one position of a transposed map

inline uint32_t to_bfloat16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return value != value ? 0x7FC0 : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}
inline HalfVec to_bfloat16(Vec v) { return (HalfVec)_mm512_cvtneps_pbh((__m512)v); }
// One vector after the other.
inline __m512i to_bfloat16(Vec first, Vec second) { return (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first); }
inline __m512i to_bfloat16(HalfVec first, HalfVec second) {
    return _mm512_inserti64x4(_mm512_castsi256_si512((__m256i)first), (__m256i)second, 1);
}

// The nearest bfloat16, as a float32. A NaN can become a number here.
inline Vec upper_half(Vec v) { return (Vec)(((UintVec)v + 0x8000) & 0xFFFF0000); }
inline float upper_half(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    bits = (bits + 0x8000) & 0xFFFF0000;
    std::memcpy(&value, &bits, sizeof(bits));
    return value;
}
// Calls f(n, piece n in bfloat16). The last piece of a NaN or an infinity is NaN.
template <int PIECES, class F, class... V>
inline __attribute__((always_inline)) void for_each_piece(F f, V... v) {
    if constexpr (PIECES > 1)
        for (int n = 0; n < PIECES - 1; n++) {
            f(n, to_bfloat16(upper_half(v)...));
            ((v = v - upper_half(v)), ...);
        }
    f(PIECES - 1, to_bfloat16(v...));
}

// A map, and the larger map of zeros that has it in its middle.
struct Bordered {
    int channels, height, width;
    int row;                  // from one row to the next in the smaller map
    int border;               // of zeros, on each side
    int to_height, to_width;  // of the larger map
    long plane() const { return (long)height * row; }
    long to_area() const { return (long)to_height * to_width; }

    // The size of the larger map with the zeros behind it. vectors: of one position.
    long to_size(int vectors) const { return to_area() * vectors + TILE_ROWS; }

    // Calls write(y, where row y begins in the larger map), and writes zeros around the rows and behind the map. The larger maps of
    // the other pieces follow behind it.
    template <int PIECES, class T, class F>
    void write_rows(T* to, int vectors, F write) const {
        const long size = to_size(vectors);
        const auto zeros = [&](long from, long end) {
            for (int n = 0; n < PIECES; n++) std::fill(to + n * size + from, to + n * size + end, T{});
        };
        long end = 0;
        for (int y = 0; y < height; y++) {
            const long begin = ((long)(border + y) * to_width + border) * vectors;
            zeros(end, begin);
            write(y, to + begin);
            end = begin + width * vectors;
        }
        zeros(end, size);
    }
};

// From a map in float32 or in rows.
template <int PIECES, class T>
void write_pairs(const T* in, const Bordered& m, Vec* to) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20,
                                           4, 19, 3, 18, 2, 17, 1, 16, 0);
    const int pairs = (m.channels + 1) / 2;
    const long size = m.to_size(pairs);
    m.write_rows<PIECES>(to, pairs, [&](int y, Vec* begin) {
        for (int p = 0; p < pairs; p++) {
            const T *first = in + 2 * p * m.plane() + (long)y * m.row, *second = first + m.plane();
            const bool has_second = 2 * p + 1 < m.channels;
            for (int x = 0; x < m.width; x++)
                for_each_piece<PIECES>(
                    [&](int n, __m512i v) { begin[n * size + x * pairs + p] = (Vec)_mm512_permutexvar_epi16(order, v); }, first[x],
                    has_second ? second[x] : T{});
        }
    });
}

inline void write_rows(const Vec* in, const Bordered& m, HalfVec* to) {
    for (int c = 0; c < m.channels; c++, in += m.plane(), to += m.to_area())
        m.write_rows<ROUNDED>(to, 1, [&](int y, HalfVec* begin) {
            for (int x = 0; x < m.width; x++) begin[x] = to_bfloat16(in[y * m.row + x]);
        });
}

// Turns vectors of [two channels][pair of images] into vectors of [channel], one for each pair of images. Each step takes
// the even and the odd lanes of two vectors.
inline void transpose(__m512i v[IMAGE_PAIRS]) {
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    for (int bit = 1; bit < IMAGE_PAIRS; bit *= 2)
        for (int i = 0; i < IMAGE_PAIRS; i++) {
            if (i & bit) continue;
            const __m512i a = v[i], b = v[i + bit];
            v[i] = _mm512_permutex2var_epi32(a, even, b);
            v[i + bit] = _mm512_permutex2var_epi32(a, odd, b);
        }
}

// Each block of channels has all its pieces. Without always_inline, a compiler made a step 2 % slower.
template <int PIECES>
void write_transposed(const Vec* in, const Bordered& m, Vec* to) {
    const long size = m.to_size(IMAGE_PAIRS);
    for (int first = 0; first < m.channels; first += LANES, in += LANES * m.plane(), to += PIECES * size) {
        const int channels = std::min(LANES, m.channels - first);
        m.write_rows<PIECES>(to, IMAGE_PAIRS, [&](int y, Vec* begin) __attribute__((always_inline)) {
            for (int x = 0; x < m.width; x++, begin += IMAGE_PAIRS) {
                const auto value = [&](int c) { return c < channels ? in[c * m.plane() + (long)y * m.row + x] : Vec{}; };
                __m512i v[PIECES][IMAGE_PAIRS];
                for (int i = 0; i < IMAGE_PAIRS; i++)
                    for_each_piece<PIECES>([&](int n, __m512i piece) { v[n][i] = piece; }, value(2 * i), value(2 * i + 1));
                for (int n = 0; n < PIECES; n++) {
                    transpose(v[n]);
                    std::memcpy((void*)(begin + n * size), v[n], sizeof(v[n]));
                }
            }
        });
    }
}

// Calls f(std::integral_constant<int, i>) for i = 0 .. N - 1.
template <class F, int... i> void unrolled(std::integer_sequence<int, i...>, F f) { (f(std::integral_constant<int, i>()), ...); }
template <int N, class F> void unrolled(F f) { unrolled(std::make_integer_sequence<int, N>(), f); }
// Calls f(std::integral_constant<int, value>) for a value of 1 .. MAX.
template <int MAX, class F> void with_constant(int value, F f) {
    unrolled<MAX>([&](auto i) {
        if (i + 1 == value) f(std::integral_constant<int, i + 1>());
    });
}
