/* store.h: crops of windows, out of tiles on disk or the recordings themselves. */
#ifndef BC_STORE_H
#define BC_STORE_H

#include <stdint.h>

#include "../support/error.h"
#include "blocks.h"

enum bc_store_kind {
    BC_STORE_NPY,    /* a tile a file: f32 (samples) */
    BC_STORE_PACKED, /* many tiles a file: i16 (samples); they may overlap */
    BC_STORE_FLAC,   /* the same as 16-bit FLAC */
    BC_STORE_NONE    /* no tiles: the recordings */
};

typedef struct bc_store bc_store;

/* A window: centre loc_s seconds of a recording, -1: all of it. Its tile begins
 * at sample `first` of a file; of BC_STORE_NONE the file is the recording. A
 * sample of 16 bits counts `scale`. */
typedef struct bc_window {
    int32_t file;
    int64_t first;
    double loc_s, scale;
} bc_window;

typedef struct bc_store_options {
    enum bc_store_kind kind;
    const char *const *paths; /* (files): the caller's, and must outlive the store */
    const int32_t *channels;  /* (files) of recordings, see blocks.h; the same */
    int32_t files;
    int sample_rate;   /* Hz of what is read */
    double duration_s; /* of a tile */
    size_t bytes;      /* of decoded samples kept */
    int open;          /* files kept open */
} bc_store_options;

int bc_store_new(bc_store **s, const bc_store_options *o);
void bc_store_free(bc_store *s); /* NULL is fine */

/* What a thread needs for itself; zero it first, free its data last. */
typedef struct bc_scratch {
    float *data;
    int64_t n;
} bc_scratch;

/* n samples out of the middle of the window's tile: out (n). place 0..1 says
 * where they begin, evenly over the 2*slack + 1 places around the middle one
 * (slack < 0: as many as the tile has). *start_s: where that is in the
 * recording; NAN if only its whole is known. BC_FAIL: the file is missing, no
 * store of this kind, damaged, ends before the tile does, or has tiles too
 * short; the recording ends before the window. */
int bc_store_read(bc_store *s, const bc_window *w, float *out, int64_t n, double place,
                  int64_t slack, double *start_s, bc_scratch *scratch, bc_error *e);

bc_blocks *bc_store_blocks(bc_store *s);

/* Samples first..first+n-1 of a recording at sample_rate, silent outside:
 * out (n). Another rate is converted from around that place, so that it is
 * what a conversion of the whole gives there, but for rounding (1e-6). */
int bc_cut_recording(bc_blocks *b, int32_t file, int sample_rate, float *out, int64_t first,
                     int64_t n, bc_scratch *scratch, bc_error *e);

#endif
