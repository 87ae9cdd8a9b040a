/* sampler.h: which windows a sample has, and how it becomes sound. All of it
 * follows from seed and position: who asks when does not matter. */
#ifndef BC_SAMPLER_H
#define BC_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "augment.h"
#include "order.h"
#include "store.h"

enum { BC_ANCHOR, BC_NEIGHBOR, BC_DISTANT, BC_ROLES };

/* Windows as columns; file, first and scale may be NULL: then the file is the
 * source, first 0, and scale 1. */
typedef struct bc_windows {
    int64_t n;
    const int32_t *source; /* position in the list of recordings */
    const double *loc_s;
    const int32_t *file;
    const int64_t *first;
    const double *scale;
} bc_windows;

/* Triplet i has in role r window window[r][i] of windows[r], or, where window[r]
 * is NULL, window i. A walk has no distant windows: they are anchors of other
 * recordings in the batch. The memory is the caller's. */
typedef struct bc_sampler {
    bc_store *store;
    bc_blocks *backgrounds; /* what crops are mixed with; NULL: other windows of the triplets */
    int32_t background_files;
    int64_t triplets;
    bc_windows windows[BC_ROLES];
    const int32_t *window[BC_ROLES];
    const uint32_t *subset; /* NULL: all; else the triplets that take part */
    bool walk;
    bc_effects effects[BC_ROLES];
    int sample_rate;
    int64_t samples; /* of a crop */
} bc_sampler;

/* BC_FAIL if a column points outside of `sources` recordings or `files`, or a location
 * is no time. */
int bc_sampler_check(const bc_sampler *s, int64_t sources, int64_t files, bc_error *e);

/* Of one sample of a batch. */
typedef struct bc_sample {
    int64_t window; /* in windows[role] */
    double start_s; /* where the crop begins in the recording; NAN: unknown */
    bc_draw draw;
} bc_sample;

typedef struct bc_row {
    int64_t position;           /* of all triplets since the first, from 0 */
    int64_t triplet, other;     /* from 0; other: a walk's, whose anchor is distant */
    bc_sample sample[BC_ROLES]; /* filled in by bc_sampler_row */
} bc_row;

/* Called for each window that could not be read (stream: another triplet takes
 * its place). */
typedef void bc_read_failed(void *context, int64_t source, const char *text);

/* Fill the crops of a row: out[role] (samples). If a window of a recording
 * cannot be read another triplet, drawn by seed, position and try, takes its
 * place; with tiles that is BC_FAIL, as 1000 failures in a row are. */
int bc_sampler_row(const bc_sampler *s, uint64_t seed, bc_row *row, float *const out[BC_ROLES],
                   bc_scratch *scratch, bc_read_failed *failed, void *context, bc_error *e);

int32_t bc_sampler_source(const bc_sampler *s, int role, int64_t window);

/* A walk: set other of the n rows of a batch, each an anchor of another
 * recording, of the batch if it has one. */
void bc_sampler_pair(const bc_sampler *s, uint64_t seed, bc_row *rows, int64_t n);

#endif
