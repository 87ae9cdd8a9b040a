/* cqt.c: octave by octave from the highest, halving the sample rate between. */
#include "cqt.h"

#include <stdlib.h>
#include <string.h>

#include "../support/interrupt.h"
#include "cqt_octave.h"
#include "decimate.h"

size_t cqt_frames(const cqt_options *o, size_t n) {
    return n == 0 ? 0 : 1 + n / o->hop;
}

static int octave(const cqt_sink *out, cqt_scratch *s, const float *x, size_t n, const cqt_plan *p,
                  int number) {
    frame_view v = cqt_octave_view(p, number);
    v.samples = x;
    v.n = n;
    int rc = BC_OK;
    for (size_t t = 0; rc == BC_OK && t < out->frames; t += BATCH_F32) {
        if (bc_interrupted()) return BC_STOPPED;
        rc = cqt_octave_put(out, t, s, &v, t, out->frames, p, number);
    }
    return rc;
}

/* The signal at the current rate: the caller's samples, then one of two
 * buffers in turn. */
typedef struct signal {
    const float *x;
    size_t n;
    float *buffer[2];
    int next;
} signal;

static int halve(signal *s) {
    float **to = &s->buffer[s->next];
    size_t n = (s->n + 1) / 2;
    if (*to == NULL) *to = malloc(n * sizeof **to);
    if (*to == NULL) return BC_NOMEM;
    int rc = decimate(*to, s->x, s->n);
    s->x = *to;
    s->n = n;
    s->next = !s->next;
    return rc;
}

static int run(const cqt_sink *out, const float *samples, size_t n, const cqt_plan *p) {
    if (n == 0) return BC_OK;
    cqt_scratch s = {0};
    signal y = {.x = samples, .n = n};
    int rc = cqt_scratch_new(&s, p);
    for (int i = 0; rc == BC_OK && i < p->early; i++) rc = halve(&y);
    for (int i = 0; rc == BC_OK && i < p->o.octaves; i++) {
        rc = octave(out, &s, y.x, y.n, p, i);
        if (rc == BC_OK && p->octave[i].halve && i + 1 < p->o.octaves) rc = halve(&y);
    }
    free(y.buffer[0]);
    free(y.buffer[1]);
    cqt_scratch_free(&s);
    return rc;
}

int cqt_magnitude(float *out, const float *samples, size_t n, const cqt_plan *p) {
    cqt_sink s = {.magnitude = out, .frames = cqt_frames(&p->o, n)};
    return run(&s, samples, n, p);
}

int cqt_chroma(float *chroma, const float *samples, size_t n, const cqt_plan *p) {
    cqt_sink s = {.chroma = chroma, .frames = cqt_frames(&p->o, n)};
    memset(chroma, 0, 12 * s.frames * sizeof *chroma);
    return run(&s, samples, n, p);
}
