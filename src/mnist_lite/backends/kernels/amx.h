// Products of bfloat16 in the tile registers of AMX. A tile has up to 16 rows of 64 bytes. One instruction multiplies two tiles
// and adds to a third: 16 x 16 sums, each over 32 products.
#pragma once
#include <sys/syscall.h>
#include <unistd.h>

#include "bfloat16.h"

// The intrinsics of some compilers need literal numbers of registers. These functions take them as template arguments.
template <int tile> void tile_zero() { asm volatile("tilezero %%tmm%c0" ::"i"(tile)); }
template <int tile> void tile_load(const void* from, long stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
}
template <int tile> void tile_store(void* to, long stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile) : "memory");
}
template <int sums, int a, int b> void tile_multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(a), "i"(b));
}

// The sizes of the tile registers, as the processor reads them. The object sets them while it lives.
template <int PIECES>
class AmxTiles {
public:
    static constexpr int REGISTERS = 8, SUMS = PIECES == ROUNDED ? 5 : 4, A = SUMS, B = A + PIECES, B_COUNT = REGISTERS - B;
    // Sums: outputs x LANES. A: outputs x (2 * depth) numbers. B: depth rows of LANES pairs.
    AmxTiles(int outputs, int depth) {
        for (int i = 0; i < A; i++) set(i, outputs, 4 * LANES);
        for (int i = A; i < B; i++) set(i, outputs, 4 * depth);
        for (int i = B; i < REGISTERS; i++) set(i, depth, 4 * LANES);
        asm volatile("ldtilecfg %0" ::"m"(sizes_));
    }
    ~AmxTiles() { asm volatile("tilerelease"); }
    AmxTiles(const AmxTiles&) = delete;

    // Multiplies the pieces in A by those of X tiles for B, and adds to X sums. from(b, x): where piece b of tile x is. Small
    // products come first.
    template <int X, class F>
    static void multiply(F from) {
        unrolled<PIECES>([&](auto i) {
            constexpr int b = PIECES - 1 - i;
            unrolled<X>([&](auto x) {
                constexpr int tile = B + x % B_COUNT;
                tile_load<tile>(from(b, x), sizeof(Vec));
                unrolled<PIECES - b>([&](auto j) { tile_multiply<x, A + PIECES - 1 - b - j, tile>(); });
            });
        });
    }

    // Asks the operating system for the tile registers, for all threads of the process.
    static bool allowed() {
        constexpr long ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18;
        static const bool result = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
        return result;
    }

private:
    void set(int tile, int rows, int bytes) { sizes_.rows[tile] = (uint8_t)rows, sizes_.bytes[tile] = (uint16_t)bytes; }
    struct alignas(64) {
        uint8_t palette = 1, start_row = 0, reserved[14]{};
        uint16_t bytes[16]{};
        uint8_t rows[16]{};
    } sizes_;
};

// Block of output channels at X neighbouring positions. in: pairs. in_size: from one piece to the next. parts: offsets in it, of
// what one product reads.
template <int PIECES, int X>
void amx_forward_tile(const Vec* in, long in_size, long step, const int32_t* parts, int count, const Vec* weights, int outputs,
                      Vec* out, long out_plane) {
    using Tiles = AmxTiles<PIECES>;
    unrolled<X>([&](auto x) { tile_zero<x>(); });
    for (int p = 0; p < count; p++) {
        unrolled<PIECES>([&](auto a) { tile_load<Tiles::A + a>(weights, sizeof(Vec)), weights += outputs; });
        Tiles::template multiply<X>([&](int b, int x) { return in + b * in_size + parts[p] + x * step; });
    }
    unrolled<X>([&](auto x) { tile_store<x>(out + x, out_plane * (long)sizeof(Vec)); });
}

// For each of N taps: a block of output channels x LANES input channels, summed over rows x (2 * columns) positions.
// grad: rows. in: transposed. grad_size, in_size: from one piece to the next.
template <int PIECES, int N>
void amx_weight_grad_tile(const HalfVec* grad, long grad_size, long grad_plane, int grad_row, const Vec* in, long in_size,
                          long in_row, const int32_t* taps, int rows, int columns, float* sums) {
    using Tiles = AmxTiles<PIECES>;
    unrolled<N>([&](auto n) { tile_zero<n>(); });
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            unrolled<PIECES>([&](auto a) {
                tile_load<Tiles::A + a>(grad + a * grad_size + (long)y * grad_row + 2 * x, grad_plane * (long)sizeof(HalfVec));
            });
            Tiles::template multiply<N>(
                [&](int b, int n) { return in + b * in_size + y * in_row + taps[n] + 2 * x * IMAGE_PAIRS; });
        }
    unrolled<N>([&](auto n) { tile_store<n>(sums + n * LANES * LANES, sizeof(Vec)); });
}
