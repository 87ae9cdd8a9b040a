/* measure.c: peak, energy, clipping and a fingerprint of a tile. */
#include "measure.h"

#include <math.h>

bc_tile_measures bc_tile_measure(const float *x, int64_t n, float limit) {
    bc_tile_measures m = {0, 0, 0, UINT64_C(14695981039346656037)};
    for (int64_t i = 0; i < n; i++) {
        float v = isfinite(x[i]) ? x[i] : 0, size = fabsf(v);
        if (size > m.peak) m.peak = size;
        m.sum_squares += (double)v * v;
        m.clipped += size >= limit;
        float scaled = v * 32767.0f;
        scaled = scaled > 32767.0f ? 32767.0f : scaled < -32768.0f ? -32768.0f : scaled;
        m.hash = (m.hash ^ (uint16_t)(int16_t)lrintf(scaled)) * UINT64_C(1099511628211);
    }
    return m;
}
