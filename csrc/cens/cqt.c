/* cqt.c: octave by octave from the highest, halving the sample rate between.
 *
 * In each octave the frames' spectra (rectangular window) are multiplied by
 * the filters' (Brown & Puckette, An efficient algorithm for the calculation
 * of a constant Q transform, 1992), 16 frames at a time. */
#include "cqt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../spectral/batch.h"
#include "../spectral/frames.h"
#include "../spectral/lanes.h"
#include "../support/clones.h"
#include "../support/interrupt.h"
#include "decimate.h"

enum { LANES = BATCH_F32 };

size_t cqt_frames(const cqt_options *o, size_t n) {
    return n == 0 ? 0 : 1 + n / o->hop;
}

/* Where the magnitudes go: one of the two. */
typedef struct sink {
    float *magnitude; /* (36*octaves, frames) */
    float *chroma;    /* (12, frames), zeroed */
    size_t frames;
} sink;

typedef struct scratch {
    float *edge;     /* (16, n_fft) */
    float *frame;    /* (n_fft, 16) */
    float *spectrum; /* (n_fft/2+1, 2, 16) */
} scratch;

static int scratch_new(scratch *s, const cqt_plan *p) {
    size_t n = 0;
    for (int i = 0; i < p->filters; i++)
        if (p->made[i]->n_fft > n) n = p->made[i]->n_fft;
    s->edge = aligned_alloc(64, n * LANES * sizeof(float));
    s->frame = aligned_alloc(64, n * LANES * sizeof(float));
    s->spectrum = aligned_alloc(64, (n + 2) * LANES * sizeof(float));
    return s->edge && s->frame && s->spectrum ? BC_OK : BC_NOMEM;
}

static void scratch_free(scratch *s) {
    free(s->edge);
    free(s->frame);
    free(s->spectrum);
}

/* magnitude (36, 16) = scale |filters x spectrum|, spectrum from bin f->first. */
BC_CLONES static void respond(float *restrict magnitude, const float *restrict spectrum,
                              const cqt_filters *f, const float *restrict scale) {
    for (size_t i = 0; i < CQT_BINS; i++) {
        float sr[LANES] = {0}, si[LANES] = {0};
        const float *x = spectrum + (f->start[i] - f->first) * 2 * LANES;
        const float *re = f->re + f->offset[i], *im = f->im + f->offset[i];
        for (size_t k = 0; k < f->count[i]; k++, x += 2 * LANES) {
            EACH_LANE(l, LANES) {
                sr[l] += re[k] * x[l] - im[k] * x[LANES + l];
                si[l] += re[k] * x[LANES + l] + im[k] * x[l];
            }
        }
        EACH_LANE(l, LANES) {
            /* in f64: squares of f32 numbers neither overflow nor vanish there */
            double square = (double)sr[l] * sr[l] + (double)si[l] * si[l];
            magnitude[i * LANES + (size_t)l] = (float)(scale[i] * sqrt(square));
        }
    }
}

/* Columns t..t+15, as far as there are any. */
static void put(const sink *s, size_t t, const float *magnitude, int lowest, const int *chroma_of) {
    size_t count = s->frames - t < LANES ? s->frames - t : LANES;
    for (size_t i = 0; s->magnitude != NULL && i < CQT_BINS; i++)
        memcpy(s->magnitude + ((size_t)lowest + i) * s->frames + t, magnitude + i * LANES,
               count * sizeof *magnitude);
    for (size_t i = 0; s->chroma != NULL && i < CQT_BINS; i++) {
        float *row = s->chroma + (size_t)chroma_of[i] * s->frames + t;
        for (size_t l = 0; l < count; l++) row[l] += magnitude[i * LANES + l];
    }
}

static int octave(const sink *out, scratch *s, const float *x, size_t n, const cqt_plan *p,
                  int number) {
    const cqt_octave *o = &p->octave[number];
    const cqt_filters *f = o->filters;
    const int lowest = CQT_BINS * (p->o.octaves - 1 - number);
    const batch_plan *fft = batch_get(f->n_fft / 2);
    if (fft == NULL) return BC_NOMEM;
    frame_view v = {.samples = x, .n = n, .hop = o->hop, .length = f->n_fft};
    v.first = -(ptrdiff_t)(f->n_fft / 2);
    for (size_t t = 0; t < out->frames; t += LANES) {
        if (bc_interrupted()) return BC_STOPPED;
        const float *lane[LANES];
        float magnitude[CQT_BINS * LANES];
        frames_locate(lane, s->edge, &v, t, out->frames, LANES);
        frames_gather_f32(s->frame, lane, NULL, f->n_fft);
        batch_fft_f32(s->frame, fft);
        batch_real_f32(s->spectrum, s->frame, f->first, f->last, fft);
        respond(magnitude, s->spectrum, f, o->scale);
        put(out, t, magnitude, lowest, p->chroma);
    }
    return BC_OK;
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

static int run(const sink *out, const float *samples, size_t n, const cqt_plan *p) {
    if (n == 0) return BC_OK;
    scratch s = {0};
    signal y = {.x = samples, .n = n};
    int rc = scratch_new(&s, p);
    for (int i = 0; rc == BC_OK && i < p->early; i++) rc = halve(&y);
    for (int i = 0; rc == BC_OK && i < p->o.octaves; i++) {
        rc = octave(out, &s, y.x, y.n, p, i);
        if (rc == BC_OK && p->octave[i].halve && i + 1 < p->o.octaves) rc = halve(&y);
    }
    free(y.buffer[0]);
    free(y.buffer[1]);
    scratch_free(&s);
    return rc;
}

int cqt_magnitude(float *out, const float *samples, size_t n, const cqt_plan *p) {
    sink s = {.magnitude = out, .frames = cqt_frames(&p->o, n)};
    return run(&s, samples, n, p);
}

int cqt_chroma(float *chroma, const float *samples, size_t n, const cqt_plan *p) {
    sink s = {.chroma = chroma, .frames = cqt_frames(&p->o, n)};
    memset(chroma, 0, 12 * s.frames * sizeof *chroma);
    return run(&s, samples, n, p);
}
