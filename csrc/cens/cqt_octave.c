/* cqt_octave.c: the frames' spectra (rectangular window) times the filters'
 * (Brown & Puckette, An efficient algorithm for the calculation of a constant Q
 * transform, 1992). */
#include "cqt_octave.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../spectral/lanes.h"
#include "../support/cpu.h"

enum { LANES = BATCH_F32 };

int cqt_scratch_new(cqt_scratch *s, const cqt_plan *p) {
    size_t n = 0;
    for (int i = 0; i < p->filters; i++)
        if (p->made[i]->n_fft > n) n = p->made[i]->n_fft;
    s->edge = aligned_alloc(64, n * LANES * sizeof(float));
    s->frame = aligned_alloc(64, n * LANES * sizeof(float));
    s->spectrum = aligned_alloc(64, (n + 2) * LANES * sizeof(float));
    return s->edge && s->frame && s->spectrum ? BC_OK : BC_NOMEM;
}

void cqt_scratch_free(cqt_scratch *s) {
    free(s->edge);
    free(s->frame);
    free(s->spectrum);
}

/* magnitude (36, 16) = scale |filters x spectrum|, spectrum from bin f->first. */
BC_EACH_CPU(static, respond,
            (float *restrict magnitude, const float *restrict spectrum, const cqt_filters *f,
             const float *restrict scale),
            (magnitude, spectrum, f, scale)) {
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

/* To `count` columns from `column` on. */
static void put(const cqt_sink *s, size_t column, size_t count, const float *magnitude, int lowest,
                const cqt_plan *p) {
    for (size_t i = 0; s->magnitude != NULL && i < CQT_BINS; i++)
        memcpy(s->magnitude + ((size_t)lowest + i) * s->frames + column, magnitude + i * LANES,
               count * sizeof *magnitude);
    for (size_t i = 0; s->chroma != NULL && i < CQT_BINS; i++) {
        int bin = lowest + (int)i;
        if (bin < p->first || bin >= p->last) continue;
        float *row = s->chroma + (size_t)p->chroma[i] * s->frames + column;
        for (size_t l = 0; l < count; l++) row[l] += magnitude[i * LANES + l];
    }
}

frame_view cqt_octave_view(const cqt_plan *p, int octave) {
    size_t length = p->octave[octave].filters->n_fft;
    return (frame_view){
        .first = -(ptrdiff_t)(length / 2), .hop = p->octave[octave].hop, .length = length};
}

int cqt_octave_put(const cqt_sink *to, size_t column, cqt_scratch *s, const frame_view *v, size_t t,
                   size_t end, const cqt_plan *p, int octave) {
    const cqt_octave *o = &p->octave[octave];
    const cqt_filters *f = o->filters;
    const batch_plan *fft = batch_get(f->n_fft / 2);
    if (fft == NULL) return BC_NOMEM;
    const float *lane[LANES];
    float magnitude[CQT_BINS * LANES];
    frames_locate(lane, s->edge, v, t, end, LANES);
    frames_gather_f32(s->frame, lane, NULL, f->n_fft);
    batch_fft_f32(s->frame, fft);
    batch_real_f32(s->spectrum, s->frame, f->first, f->last, fft);
    respond(magnitude, s->spectrum, f, o->scale);
    put(to, column, end - t < LANES ? end - t : LANES, magnitude,
        CQT_BINS * (p->o.octaves - 1 - octave), p);
    return BC_OK;
}
