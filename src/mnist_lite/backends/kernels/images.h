// The images of a batch as vectors: the gather of the pixels, the affine augmentation, and the normalisation.
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "lanes.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

// The images of a batch, as Python gives them: floats, or the pixels of a whole data set and the numbers of the images.
struct Images {
    const float* floats;      // values of the network's input, image by image; null: pixels are given
    const uint8_t* pixels;    // of all images of a data set
    const int64_t* indices;   // of the images of the batch in the data set
    const float* matrices;    // 3 x 3 for each image of the batch, from output to input positions; null: no augmentation
    float scale, shift;       // input of the network = pixel * scale + shift
};

// base[index] in each lane.
inline Vec gather(const float* base, IntVec index) {
#if defined(__AVX512F__)
    return (Vec)_mm512_i32gather_ps((__m512i)index, base, 4);
#elif defined(__AVX2__)
    return (Vec)_mm256_i32gather_ps(base, (__m256i)index, 4);
#else
    Vec v;
    for (int i = 0; i < LANES; i++) v[i] = base[index[i]];
    return v;
#endif
}

// A group of images, one in each lane, with a border of black pixels.
class ImageLoader {
public:
    ImageLoader(int height, int width)
        : height_(height), width_(width), bordered_(width + 3), pixels_((size_t)(height + 3) * bordered_) {}

    // Writes images first .. first + count - 1 of the batch to height x width vectors. The other lanes are zero.
    void load(const Images& images, long first, int count, Vec* to) {
        if (count < LANES) std::fill_n(to, (long)height_ * width_, Vec{});
        if (images.floats) {
            interleave(images.floats + first * height_ * width_, count, to);
            return;
        }
        read_pixels(images, first, count);
        images.matrices ? resample(images, first, count, to) : copy(images, to);
        if (count < LANES) mask(count, to);
    }

private:
    const int height_, width_, bordered_;
    std::vector<Vec> pixels_;  // a border of 1 before and 2 behind in both directions

    void interleave(const float* from, int count, Vec* to) const {
        for (int lane = 0; lane < count; lane++, from += height_ * width_)
            for (long i = 0; i < (long)height_ * width_; i++) to[i][lane] = from[i];
    }
    void read_pixels(const Images& images, long first, int count) {
        for (int lane = 0; lane < count; lane++) {
            const uint8_t* from = images.pixels + images.indices[first + lane] * height_ * width_;
            for (int y = 0; y < height_; y++) {
                float* to = (float*)&pixels_[(size_t)(y + 1) * bordered_ + 1] + lane;
                for (int x = 0; x < width_; x++) to[x * LANES] = *from++;
            }
        }
    }
    void copy(const Images& images, Vec* to) const {
        for (int y = 0; y < height_; y++)
            for (int x = 0; x < width_; x++)
                *to++ = pixels_[(size_t)(y + 1) * bordered_ + x + 1] * images.scale + images.shift;
    }
    void mask(int count, Vec* to) const {
        for (long i = 0; i < (long)height_ * width_; i++)
            for (int lane = count; lane < LANES; lane++) to[i][lane] = 0;
    }
    // Bilinear, black outside of the image: torch's grid_sample with align_corners=False. Positions are in pixels from the
    // centre of the image.
    void resample(const Images& images, long first, int count, Vec* to) const {
        Vec m[6];
        for (int i = 0; i < 6; i++)
            for (int lane = 0; lane < LANES; lane++) m[i][lane] = images.matrices[9 * (first + std::min(lane, count - 1)) + i];
        IntVec lanes{};
        for (int lane = 0; lane < LANES; lane++) lanes[lane] = lane;
        const float middle_x = (float)(width_ - 1) / 2, middle_y = (float)(height_ - 1) / 2;
        const float* base = (const float*)pixels_.data();
        for (int y = 0; y < height_; y++)
            for (int x = 0; x < width_; x++) {
                const float from_x = (float)x - middle_x, from_y = (float)y - middle_y;
                // positions in the bordered image; farther outside, all is black, too
                const Vec at_x = clamp(m[0] * from_x + m[1] * from_y + m[2] + (middle_x + 1), 0, (float)(width_ + 1));
                const Vec at_y = clamp(m[3] * from_x + m[4] * from_y + m[5] + (middle_y + 1), 0, (float)(height_ + 1));
                const IntVec left = __builtin_convertvector(at_x, IntVec), top = __builtin_convertvector(at_y, IntVec);
                const Vec right_part = at_x - __builtin_convertvector(left, Vec);
                const Vec lower_part = at_y - __builtin_convertvector(top, Vec);
                const IntVec index = (top * bordered_ + left) * LANES + lanes;
                const Vec a = gather(base, index), b = gather(base + LANES, index);
                const Vec c = gather(base + bordered_ * LANES, index), d = gather(base + (bordered_ + 1) * LANES, index);
                const Vec upper = a + (b - a) * right_part, lower = c + (d - c) * right_part;
                *to++ = (upper + (lower - upper) * lower_part) * images.scale + images.shift;
            }
    }
};
