/* cqt_stream.c: queues of frames, one for each octave and each halving. */
#include "cqt_stream.h"

#include <stdbool.h>
#include <stdlib.h>

#include "../spectral/columns.h"
#include "../spectral/frame_queue.h"
#include "../support/interrupt.h"
#include "cqt.h"
#include "cqt_octave.h"
#include "decimate.h"

typedef struct level {
    int first, last; /* octaves at this rate: first..last-1 */
    bool halved;     /* there is a level behind this one */
    frame_queue halving;
    size_t given; /* samples to the next level */
} level;

struct cqt_stream {
    const cqt_plan *p;
    bool chroma;
    size_t frames;
    level *levels;
    int count;
    frame_queue octave[CQT_MAX_OCTAVES];
    cqt_scratch scratch;
    decimate_scratch *halver;
    columns out;
};

/* What a queue's frames are for. */
typedef struct task {
    cqt_stream *s;
    int number; /* of the octave or the level */
} task;

static int count_levels(const cqt_plan *p) {
    int n = p->early + 1;
    for (int i = 0; i + 1 < p->o.octaves; i++) n += p->octave[i].halve;
    return n;
}

static void divide_levels(cqt_stream *s) {
    int octave = 0;
    for (int i = 0; i < s->count; i++) {
        level *l = &s->levels[i];
        l->first = l->last = octave;
        l->halved = i + 1 < s->count;
        if (i < s->p->early) continue;
        do
            l->last = ++octave;
        while (octave < s->p->o.octaves && !s->p->octave[octave - 1].halve);
    }
}

static int make_queues(cqt_stream *s) {
    const frame_view blocks = decimate_view();
    /* One batch for all octaves: so they add to the chroma in order. */
    const size_t batch = frame_queue_batch(s->p->o.hop, BATCH_F32);
    int rc = BC_OK;
    for (int i = 0; rc == BC_OK && i < s->p->o.octaves; i++) {
        frame_view v = cqt_octave_view(s->p, i);
        rc = frame_queue_new(&s->octave[i], &v, batch);
    }
    for (int i = 0; rc == BC_OK && i < s->count; i++)
        if (s->levels[i].halved)
            rc = frame_queue_new(&s->levels[i].halving, &blocks, DECIMATE_BATCH / DECIMATE_BLOCK);
    return rc;
}

int cqt_stream_new(cqt_stream **out, const cqt_plan *p, int chroma) {
    cqt_stream *s = *out = calloc(1, sizeof *s);
    if (s == NULL) return BC_NOMEM;
    s->p = p;
    s->chroma = chroma;
    s->out = columns_of(chroma ? 12 : (size_t)(CQT_BINS * p->o.octaves));
    s->count = count_levels(p);
    s->levels = calloc((size_t)s->count, sizeof *s->levels);
    int rc = s->levels != NULL ? BC_OK : BC_NOMEM;
    if (rc == BC_OK) divide_levels(s);
    if (rc == BC_OK) rc = make_queues(s);
    if (rc == BC_OK) rc = cqt_scratch_new(&s->scratch, p);
    if (rc == BC_OK) rc = decimate_scratch_new(&s->halver);
    if (rc == BC_OK) return BC_OK;
    cqt_stream_free(s);
    *out = NULL;
    return rc;
}

void cqt_stream_free(cqt_stream *s) {
    if (s == NULL) return;
    for (int i = 0; i < CQT_MAX_OCTAVES; i++) frame_queue_free(&s->octave[i]);
    for (int i = 0; s->levels != NULL && i < s->count; i++)
        frame_queue_free(&s->levels[i].halving);
    free(s->levels);
    cqt_scratch_free(&s->scratch);
    decimate_scratch_free(s->halver);
    columns_free(&s->out);
    free(s);
}

static int take_octave(void *context, const frame_view *v, size_t t, size_t end) {
    const task *k = context;
    cqt_stream *s = k->s;
    if (bc_interrupted()) return BC_STOPPED;
    size_t column;
    float *piece = columns_at(&column, &s->out, t);
    if (piece == NULL) return BC_NOMEM;
    cqt_sink to = {.frames = s->out.width};
    *(s->chroma ? &to.chroma : &to.magnitude) = piece;
    return cqt_octave_put(&to, column, &s->scratch, v, t, end, s->p, k->number);
}

static int push(cqt_stream *s, int number, const float *samples, size_t n);

/* Halve what the blocks cover, as far as there are `left` outputs. */
static int halve(cqt_stream *s, int number, const frame_view *v, size_t t, size_t end,
                 size_t left) {
    float out[DECIMATE_BATCH];
    size_t count = (end - t) * DECIMATE_BLOCK < left ? (end - t) * DECIMATE_BLOCK : left;
    if (bc_interrupted()) return BC_STOPPED;
    decimate_blocks(out, count, s->halver, v, t);
    s->levels[number].given += count;
    return push(s, number + 1, out, count);
}

static int take_blocks(void *context, const frame_view *v, size_t t, size_t end) {
    const task *k = context;
    return halve(k->s, k->number, v, t, end, DECIMATE_BATCH);
}

static int take_last_blocks(void *context, const frame_view *v, size_t t, size_t end) {
    const task *k = context;
    const level *l = &k->s->levels[k->number];
    size_t all = (frame_queue_samples(&l->halving) + 1) / 2;
    return halve(k->s, k->number, v, t, end, all - l->given);
}

/* n samples for a level, and what becomes of them for those behind it. */
static int push(cqt_stream *s, int number, const float *samples, size_t n) {
    level *l = &s->levels[number];
    int rc = BC_OK;
    for (int i = l->first; rc == BC_OK && i < l->last; i++)
        rc = frame_queue_push(&s->octave[i], samples, n, take_octave, &(task){s, i});
    if (rc == BC_OK && l->halved)
        rc = frame_queue_push(&l->halving, samples, n, take_blocks, &(task){s, number});
    return rc;
}

int cqt_stream_push(cqt_stream *s, const float *samples, size_t n) {
    return push(s, 0, samples, n);
}

int cqt_stream_finish(cqt_stream *s) {
    level *top = &s->levels[0];
    size_t n = frame_queue_samples(top->halved ? &top->halving : &s->octave[0]);
    int rc = BC_OK;
    s->frames = cqt_frames(&s->p->o, n);
    for (int k = 0; rc == BC_OK && k < s->count; k++) {
        level *l = &s->levels[k];
        for (int i = l->first; rc == BC_OK && i < l->last; i++)
            rc = frame_queue_finish(&s->octave[i], s->frames, take_octave, &(task){s, i});
        if (rc != BC_OK || !l->halved) break;
        size_t outputs = (frame_queue_samples(&l->halving) + 1) / 2;
        size_t blocks = (outputs + DECIMATE_BLOCK - 1) / DECIMATE_BLOCK;
        rc = frame_queue_finish(&l->halving, blocks, take_last_blocks, &(task){s, k});
    }
    return rc;
}

size_t cqt_stream_frames(const cqt_stream *s) {
    return s->frames;
}

void cqt_stream_take(float *out, cqt_stream *s) {
    columns_take(out, &s->out, s->frames);
}
