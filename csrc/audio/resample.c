/* resample.c: a signal in memory to another sample rate. */
#include <math.h>
#include <soxr.h>
#include <string.h>

#include "../support/interrupt.h"
#include "audio.h"

enum { BLOCK = 1 << 16 };

int64_t bc_resample_length(int64_t n, int from, int to) {
    __extension__ typedef __int128 i128; /* a day at 10 MHz, times the other rate */
    return (int64_t)(((i128)n * to + from - 1) / from);
}

bool bc_resample_can(int from, int to) {
    return from / to < BC_RESAMPLE_MOST && to / from < BC_RESAMPLE_MOST;
}

int bc_resample_check(int from, int to, const char *path, bc_error *e) {
    if (bc_resample_can(from, to)) return BC_OK;
    return bc_fail(e, "%s: cannot be converted from %d to %d Hz: %d times or more", path, from, to,
                   BC_RESAMPLE_MOST);
}

int bc_resample(float *out, const float *in, int64_t n, int from, int to, bc_error *e) {
    if (from == to) {
        if (n > 0) memcpy(out, in, (size_t)n * sizeof *out);
        return BC_OK;
    }
    int64_t total = bc_resample_length(n, from, to), done = 0, used = 0;
    soxr_t s = soxr_create(from, to, 1, NULL, NULL, NULL, NULL); /* HQ, f32 */
    if (s == NULL) return BC_NOMEM;
    int rc = BC_OK;
    while (done < total && rc == BC_OK) {
        size_t took = 0, gave = 0, left = (size_t)(n - used), want = (size_t)(total - done);
        soxr_error_t wrong = soxr_process(s, left > 0 ? in + used : NULL, left < BLOCK ? left : BLOCK,
                                          &took, out + done, want < BLOCK ? want : BLOCK, &gave);
        if (wrong != NULL) rc = bc_fail(e, "%d to %d Hz: %s", from, to, wrong);
        used += (int64_t)took;
        done += (int64_t)gave;
        if (bc_interrupted()) rc = BC_STOPPED;
        if (left == 0 && gave == 0) break;
    }
    if (done < total && rc == BC_OK) memset(out + done, 0, (size_t)(total - done) * sizeof *out);
    soxr_delete(s);
    return rc;
}

int64_t bc_audio_first_bad(const float *y, int64_t n) {
    /* x*0 is 0 for finite x only; sums of blocks vectorise, a test a sample does not */
    for (int64_t i = 0; i < n; i += 1024) {
        int64_t m = n - i < 1024 ? n - i : 1024;
        float sum[16] = {0}, all = 0;
        int64_t k = 0;
        for (; k + 16 <= m; k += 16)
            for (int l = 0; l < 16; l++) sum[l] += y[i + k + l] * 0.0f;
        for (; k < m; k++) all += y[i + k] * 0.0f;
        for (int l = 0; l < 16; l++) all += sum[l];
        if (all == 0) continue;
        for (k = 0; k < m; k++)
            if (!isfinite(y[i + k])) return i + k;
    }
    return -1;
}

const char *bc_resampler_library(void) { return soxr_version(); }
