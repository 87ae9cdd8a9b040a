/* sampler.c: which windows a sample has, and how it becomes sound. */
#include "sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/interrupt.h"

enum { TRIES = 1000, BACKGROUND_TRIES = 20 };

/* Streams of the generator: rounds count from 0, samples from 2^40 on. */
static void seed_sample(bc_random *r, uint64_t seed, int64_t position, int what) {
    bc_random_seed(r, seed, (UINT64_C(1) << 40) + (uint64_t)position * 8 + (uint64_t)what);
}

int32_t bc_sampler_source(const bc_sampler *s, int role, int64_t window) {
    return s->windows[role].source[window];
}

/* The window of a role of a triplet. */
static int64_t window_index(const bc_sampler *s, int role, int64_t triplet) {
    return s->window[role] == NULL ? triplet : s->window[role][triplet];
}

static int32_t anchor_source(const bc_sampler *s, int64_t triplet) {
    return bc_sampler_source(s, BC_ANCHOR, window_index(s, BC_ANCHOR, triplet));
}

static int outside(const int32_t *x, int64_t n, int64_t most, const char *what, bc_error *e) {
    for (int64_t i = 0; x != NULL && i < n; i++)
        if (x[i] < 0 || x[i] >= most)
            return bc_fail(e, "%s %d of row %lld is none of %lld", what, x[i], (long long)i,
                           (long long)most);
    return BC_OK;
}

int bc_sampler_check(const bc_sampler *s, int64_t sources, int64_t files, bc_error *e) {
    for (int role = 0; role < BC_ROLES; role++) {
        const bc_windows *x = &s->windows[role];
        int rc = outside(x->source, x->n, x->file == NULL && files < sources ? files : sources,
                         "recording", e);
        if (rc == BC_OK) rc = outside(x->file, x->n, files, "file", e);
        if (rc == BC_OK) rc = outside(s->window[role], s->triplets, x->n, "window", e);
        for (int64_t i = 0; rc == BC_OK && i < x->n; i++)
            if (!(x->loc_s[i] >= -1e9 && x->loc_s[i] <= 1e9))
                rc = bc_fail(e, "location %g s of row %lld", x->loc_s[i], (long long)i);
        if (rc != BC_OK) return rc;
    }
    return BC_OK;
}

/* ---- Pairs of a walk ---- */

/* Any triplet of another recording than `source`. */
static int64_t other_recording(const bc_sampler *s, int32_t source, bc_random *r) {
    for (;;) {
        int64_t t = (int64_t)bc_random_below(r, (uint64_t)s->triplets);
        if (anchor_source(s, t) != source) return t;
        /* a recording that is nearly all there is */
        int64_t k = (t + 1) % s->triplets;
        while (anchor_source(s, k) == source && k != t) k = (k + 1) % s->triplets;
        return k;
    }
}

void bc_sampler_pair(const bc_sampler *s, uint64_t seed, bc_row *rows, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        bc_random r;
        seed_sample(&r, seed, rows[i].position, 4);
        int32_t source = anchor_source(s, rows[i].triplet);
        int64_t start = (int64_t)bc_random_below(&r, (uint64_t)n), k = 0;
        while (k < n && anchor_source(s, rows[(start + k) % n].triplet) == source) k++;
        rows[i].other = k < n ? rows[(start + k) % n].triplet : other_recording(s, source, &r);
    }
}

/* ---- One sample ---- */

/* Samples of a background recording that is too short are repeated. */
static int read_background(const bc_sampler *s, int32_t file, double place, float *out,
                           bc_scratch *scratch, bc_error *e) {
    bc_recording r;
    int rc = bc_blocks_recording(s->backgrounds, file, &r, e);
    if (rc != BC_OK) return rc;
    int64_t total = (int64_t)floor((double)r.frames * s->sample_rate / r.sample_rate);
    int64_t n = total < s->samples ? total : s->samples;
    if (n == 0) return bc_fail(e, "no samples");
    int64_t first = (int64_t)floor(place * (double)(total - n + 1));
    rc = bc_cut_recording(s->backgrounds, file, s->sample_rate, out, first, n, scratch, e);
    for (int64_t i = n; rc == BC_OK && i < s->samples; i += n)
        memcpy(out + i, out, (size_t)(s->samples - i < n ? s->samples - i : n) * sizeof *out);
    return rc;
}

static void window_of(const bc_sampler *s, int role, int64_t i, bc_window *w) {
    const bc_windows *x = &s->windows[role];
    w->file = x->file == NULL ? x->source[i] : x->file[i];
    w->first = x->first == NULL ? 0 : x->first[i];
    w->loc_s = x->loc_s[i];
    w->scale = x->scale == NULL ? 1 : x->scale[i];
}

/* A crop of any window of any triplet: u and place are evenly from 0..1. */
static int read_window(const bc_sampler *s, double u, double place, float *out, bc_scratch *scratch,
                       bc_error *e) {
    int roles = s->walk ? BC_DISTANT : BC_ROLES;
    double x = u * (double)s->triplets * roles;
    int64_t t = (int64_t)x / roles;
    int role = (int)((int64_t)x % roles);
    if (s->subset != NULL) t = s->subset[t];
    bc_window w;
    double start_s;
    window_of(s, role, window_index(s, role, t), &w);
    return bc_store_read(s->store, &w, out, s->samples, place, -1, &start_s, scratch, e);
}

/* The background and the converter both need room of their own. */
static int mix_background(const bc_sampler *s, const bc_draw *d, float *y, bc_random *r,
                          bc_scratch scratch[2], bc_error *e) {
    if (scratch[1].n < s->samples) {
        float *data = realloc(scratch[1].data, (size_t)s->samples * sizeof *data);
        if (data == NULL) return BC_NOMEM;
        scratch[1] = (bc_scratch){data, s->samples};
    }
    double u = d->mix_file;
    for (int k = 0;; k++) {
        float *other = scratch[1].data;
        int rc = s->backgrounds == NULL ? read_window(s, u, d->mix_place, other, &scratch[0], e)
                                        : read_background(s, (int32_t)(u * s->background_files),
                                                          d->mix_place, other, &scratch[0], e);
        if (rc == BC_OK) break;
        if (rc != BC_FAIL || k == BACKGROUND_TRIES) return rc;
        u = bc_random_uniform(r); /* one that cannot be read gives its turn to another */
    }
    bc_mix(y, scratch[1].data, s->samples, d->mix_db);
    return BC_OK;
}

static int augment(const bc_sampler *s, const bc_draw *d, float *y, bc_random *r,
                   bc_scratch scratch[2], bc_error *e) {
    int rc = BC_OK;
    if (!isnan(d->pitch)) rc = bc_pitch(y, s->samples, s->sample_rate, d->pitch, e);
    if (rc == BC_OK && !isnan(d->mix_db)) rc = mix_background(s, d, y, r, scratch, e);
    if (rc == BC_OK && !isnan(d->noise_db)) bc_add_noise(y, s->samples, d->noise_db, r);
    if (rc == BC_OK && !isnan(d->gain_db)) bc_gain(y, s->samples, d->gain_db);
    return rc;
}

typedef struct {
    const bc_sampler *s;
    uint64_t seed;
    bc_scratch *scratch;
    bool unreadable; /* the failure is the window's, not an effect's */
} job;

static int fill_sample(job *j, bc_row *row, int role, float *out, bc_error *e) {
    const bc_sampler *s = j->s;
    const bc_effects *x = &s->effects[role];
    bc_sample *to = &row->sample[role];
    bc_random r;
    bc_window w;
    seed_sample(&r, j->seed, row->position, role);
    bc_effects_draw(&to->draw, x, &r);
    window_of(s, role, to->window, &w);
    int64_t slack = x->shift_s < 0 ? -1 : (int64_t)floor(x->shift_s * s->sample_rate + 0.5);
    int rc = bc_store_read(s->store, &w, out, s->samples, to->draw.place, slack, &to->start_s,
                           j->scratch, e);
    j->unreadable = rc == BC_FAIL;
    return rc == BC_OK ? augment(s, &to->draw, out, &r, j->scratch, e) : rc;
}

static void set_windows(const bc_sampler *s, bc_row *row) {
    for (int role = 0; role < BC_ROLES; role++)
        row->sample[role].window = s->walk && role == BC_DISTANT
                                       ? window_index(s, BC_ANCHOR, row->other)
                                       : window_index(s, role, row->triplet);
}

static int64_t draw_triplet(const bc_sampler *s, bc_random *r) {
    int64_t t = (int64_t)bc_random_below(r, (uint64_t)s->triplets);
    return s->subset == NULL ? t : s->subset[t];
}

int bc_sampler_row(const bc_sampler *s, uint64_t seed, bc_row *row, float *const out[BC_ROLES],
                   bc_scratch *scratch, bc_read_failed *failed, void *context, bc_error *e) {
    job j = {s, seed, scratch, false};
    bc_random r;
    seed_sample(&r, seed, row->position, 3);
    for (int k = 0; k < TRIES; k++) {
        int rc = BC_OK, role = 0;
        set_windows(s, row);
        for (; role < BC_ROLES && rc == BC_OK; role++)
            rc = fill_sample(&j, row, role, out[role], e);
        if (rc == BC_OK && bc_interrupted()) rc = BC_STOPPED;
        if (rc != BC_FAIL || !j.unreadable || failed == NULL) return rc;
        failed(context, bc_sampler_source(s, role - 1, row->sample[role - 1].window), e->text);
        row->triplet = draw_triplet(s, &r);
        if (s->walk) row->other = other_recording(s, anchor_source(s, row->triplet), &r);
    }
    bc_error last = *e;
    return bc_fail(e, "%.300s (and %d other triplets in a row cannot be read)", last.text,
                   TRIES - 1);
}
