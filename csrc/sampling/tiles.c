/* tiles.c: cut and crop. */
#include "tiles.h"

#include <math.h>
#include <string.h>

void bc_tile_cut(float *tile, int64_t length, const float *y, int64_t n, double sample_rate,
                 double centre_s, double seconds) {
    double start = floor((centre_s - seconds / 2) * sample_rate + 0.5);
    if (centre_s < 0) start = (double)(length > n ? -((length - n) / 2) : (n - length) / 2);
    /* first and last in the recording, as far as they are in it */
    double first = start < 0 ? 0 : start, last = start + (double)length;
    if (last > (double)n) last = (double)n;
    if (last <= first) {
        memset(tile, 0, (size_t)length * sizeof *tile);
        return;
    }
    int64_t before = (int64_t)(first - start), count = (int64_t)(last - first);
    memset(tile, 0, (size_t)before * sizeof *tile);
    memcpy(tile + before, y + (int64_t)first, (size_t)count * sizeof *tile);
    memset(tile + before + count, 0, (size_t)(length - before - count) * sizeof *tile);
}

void bc_tile_crop(float *out, int64_t *offset, const float *tiles, int64_t rows, int64_t n,
                  int64_t length, bc_random *r) {
    for (int64_t i = 0; i < rows; i++) {
        offset[i] = (int64_t)bc_random_below(r, (uint64_t)(n - length) + 1);
        memcpy(out + i * length, tiles + i * n + offset[i], (size_t)length * sizeof *out);
    }
}

double bc_tile_quantise(int16_t *out, const float *y, int64_t n) {
    float peak = 1;
    for (int64_t i = 0; i < n; i++) {
        float x = fabsf(y[i]);
        peak = x > peak ? x : peak;
    }
    double scale = (double)peak / 32767;
    for (int64_t i = 0; i < n; i++) out[i] = (int16_t)lrint((double)y[i] / scale);
    return scale;
}
