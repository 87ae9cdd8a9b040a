/* store.c: crops of windows, out of tiles on disk or the recordings themselves. */
#include "store.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../array/npy.h"
#include "../audio/audio.h"

enum { MARGIN = 512 }; /* reach of the conversion filter, in samples of the lower rate */

/* A packed file, open from its first use on. It is read, not mapped: to touch
 * a mapping behind the end of a file that was cut ends the program. */
typedef struct {
    bool open;
    npy_file file;
} shard;

struct bc_store {
    bc_store_options o;
    int64_t length; /* samples of a tile */
    bc_blocks *blocks;
    pthread_mutex_t lock; /* of shards */
    shard *shards;
};

int bc_store_new(bc_store **to, const bc_store_options *o) {
    bc_store *s = calloc(1, sizeof *s);
    *to = s;
    if (s == NULL) return BC_NOMEM;
    s->o = *o;
    s->length = (int64_t)floor(o->duration_s * o->sample_rate + 0.5);
    pthread_mutex_init(&s->lock, NULL);
    int rc = bc_blocks_new(&s->blocks, o->paths, o->channels, o->files, o->bytes, o->open);
    if (rc == BC_OK && o->kind == BC_STORE_PACKED) {
        s->shards = calloc((size_t)o->files + 1, sizeof *s->shards);
        if (s->shards == NULL) rc = BC_NOMEM;
    }
    if (rc != BC_OK) {
        bc_store_free(s);
        *to = NULL;
    }
    return rc;
}

void bc_store_free(bc_store *s) {
    if (s == NULL) return;
    for (int32_t i = 0; s->shards != NULL && i < s->o.files; i++)
        if (s->shards[i].open) npy_close(&s->shards[i].file);
    free(s->shards);
    bc_blocks_free(s->blocks);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

bc_blocks *bc_store_blocks(bc_store *s) {
    return s->blocks;
}

static int reserve(bc_scratch *scratch, int64_t n) {
    if (scratch->n >= n) return BC_OK;
    float *data = realloc(scratch->data, (size_t)n * sizeof *data);
    if (data == NULL) return BC_NOMEM;
    scratch->data = data;
    scratch->n = n;
    return BC_OK;
}

/* ---- Where in the tile ---- */

/* Samples left out before the crop of n, out of a tile of `length`. */
static int64_t offset_of(int64_t length, int64_t n, double place, int64_t slack) {
    int64_t middle = (length - n) / 2, low = 0, high = length - n;
    if (slack >= 0 && slack < middle) low = middle - slack, high = middle + slack;
    int64_t offset = low + (int64_t)floor(place * (double)(high - low + 1));
    return offset < high ? offset : high;
}

static int64_t tile_start(const bc_store *s, double loc_s) {
    return (int64_t)floor((loc_s - s->o.duration_s / 2) * s->o.sample_rate + 0.5);
}

static double seconds_of(const bc_store *s, const bc_window *w, int64_t offset) {
    if (w->loc_s < 0) return NAN;
    return (double)(tile_start(s, w->loc_s) + offset) / s->o.sample_rate;
}

static int too_short(const char *path, int64_t has, int64_t n, bc_error *e) {
    return bc_fail(e, "%s: a tile of %lld samples, %lld needed", path, (long long)has,
                   (long long)n);
}

/* ---- Tiles ---- */

static int no_tile(const bc_store *s, const bc_window *w, int64_t has, bc_error *e) {
    return bc_fail(e, "%s: has %lld samples, the index has a tile of %lld at sample %lld",
                   s->o.paths[w->file], (long long)has, (long long)s->length, (long long)w->first);
}

static int check_kind(const npy_file *f, bc_dtype dtype, const char *path, bc_error *e) {
    if (f->dtype == dtype && f->ndim == 1) return BC_OK;
    return bc_fail(e, "%s: %s with %d axes, no tiles (%s with one axis)", path,
                   bc_dtype_name(f->dtype), f->ndim, bc_dtype_name(dtype));
}

static int read_npy(bc_store *s, const bc_window *w, float *out, int64_t n, double place,
                    int64_t slack, double *start_s, bc_error *e) {
    const char *path = s->o.paths[w->file];
    npy_file f;
    int rc = npy_open(&f, path, e);
    if (rc != BC_OK) return rc;
    rc = check_kind(&f, BC_F32, path, e);
    if (rc == BC_OK && w->first != 0) rc = no_tile(s, w, f.shape[0], e);
    if (rc == BC_OK && f.shape[0] < n) rc = too_short(path, f.shape[0], n, e);
    if (rc == BC_OK) {
        int64_t offset = offset_of(f.shape[0], n, place, slack);
        rc = npy_read(&f, path, out, offset, n, e);
        *start_s = seconds_of(s, w, offset);
    }
    npy_close(&f);
    return rc;
}

static int open_shard(bc_store *s, int32_t file, bc_error *e) {
    shard *x = &s->shards[file];
    int rc = BC_OK;
    pthread_mutex_lock(&s->lock);
    if (!x->open) {
        rc = npy_open(&x->file, s->o.paths[file], e);
        if (rc == BC_OK && (rc = check_kind(&x->file, BC_I16, s->o.paths[file], e)) != BC_OK)
            npy_close(&x->file);
        x->open = rc == BC_OK;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static int read_packed(bc_store *s, const bc_window *w, float *out, int64_t n, double place,
                       int64_t slack, double *start_s, bc_scratch *scratch, bc_error *e) {
    const char *path = s->o.paths[w->file];
    int rc = open_shard(s, w->file, e);
    if (rc == BC_OK) rc = reserve(scratch, n);
    if (rc != BC_OK) return rc;
    const npy_file *f = &s->shards[w->file].file;
    if (w->first < 0 || w->first > f->shape[0] - s->length) return no_tile(s, w, f->shape[0], e);
    if (s->length < n) return too_short(path, s->length, n, e);
    int64_t offset = offset_of(s->length, n, place, slack);
    int16_t *from = (int16_t *)(void *)scratch->data;
    rc = npy_read(f, path, from, w->first + offset, n, e);
    if (rc != BC_OK) return rc;
    float scale = (float)w->scale;
    for (int64_t i = 0; i < n; i++) out[i] = (float)from[i] * scale;
    *start_s = seconds_of(s, w, offset);
    return BC_OK;
}

static int read_flac(bc_store *s, const bc_window *w, float *out, int64_t n, double place,
                     int64_t slack, double *start_s, bc_error *e) {
    const char *path = s->o.paths[w->file];
    bc_recording r;
    int rc = bc_blocks_recording(s->blocks, w->file, &r, e);
    if (rc != BC_OK) return rc;
    if (r.sample_rate != s->o.sample_rate || r.channels != 1)
        return bc_fail(e, "%s: %d channels at %d Hz, no tiles (one channel at %d Hz)", path,
                       r.channels, r.sample_rate, s->o.sample_rate);
    if (w->first < 0 || w->first > r.frames - s->length) return no_tile(s, w, r.frames, e);
    if (s->length < n) return too_short(path, s->length, n, e);
    int64_t offset = offset_of(s->length, n, place, slack);
    rc = bc_blocks_read(s->blocks, w->file, out, w->first + offset, n, e);
    if (rc != BC_OK) return rc;
    float scale = (float)(w->scale * 32768);
    if (scale != 1)
        for (int64_t i = 0; i < n; i++) out[i] *= scale;
    *start_s = seconds_of(s, w, offset);
    return BC_OK;
}

/* ---- Recordings ---- */

static int64_t gcd(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t r = a % b;
        a = b, b = r;
    }
    return a;
}

/* first..first+n-1 lie in the converted recording. The converter must start where
 * an input and an output sample coincide: at multiples of `up` outputs. */
static int convert(bc_blocks *b, int32_t file, const bc_recording *r, int rate, float *out,
                   int64_t first, int64_t n, bc_scratch *scratch, bc_error *e) {
    int64_t from = r->sample_rate, to = rate, g = gcd(from, to), up = to / g, down = from / g;
    int64_t margin = to > from ? MARGIN * to / from + 1 : MARGIN;
    int64_t skip = first > margin ? (first - margin) / up : 0, input = skip * down;
    int64_t lead = first - skip * up; /* samples to leave out */
    int64_t last = (int64_t)((double)(first + n + margin) * (double)from / (double)to) + 1;
    if (last > r->frames) last = r->frames;
    int64_t had = last - input, gives = bc_resample_length(had, r->sample_rate, rate);
    int rc = reserve(scratch, had + gives);
    if (rc != BC_OK) return rc;
    float *in = scratch->data, *whole = in + had;
    rc = bc_blocks_read(b, file, in, input, had, e);
    if (rc == BC_OK) rc = bc_resample(whole, in, had, r->sample_rate, rate, e);
    if (rc != BC_OK) return rc;
    int64_t m = gives - lead < n ? gives - lead : n;
    memcpy(out, whole + lead, (size_t)m * sizeof *out);
    memset(out + m, 0, (size_t)(n - m) * sizeof *out);
    return BC_OK;
}

int bc_cut_recording(bc_blocks *b, int32_t file, int sample_rate, float *out, int64_t first,
                     int64_t n, bc_scratch *scratch, bc_error *e) {
    bc_recording r;
    int rc = bc_blocks_recording(b, file, &r, e);
    if (rc != BC_OK) return rc;
    if (r.sample_rate == sample_rate) return bc_blocks_read(b, file, out, first, n, e);
    rc = bc_resample_check(r.sample_rate, sample_rate, bc_blocks_path(b, file), e);
    if (rc != BC_OK) return rc;
    int64_t total = bc_resample_length(r.frames, r.sample_rate, sample_rate);
    int64_t from = first > 0 ? first : 0, to = first + n < total ? first + n : total;
    memset(out, 0, (size_t)n * sizeof *out);
    if (from >= to) return BC_OK;
    return convert(b, file, &r, sample_rate, out + (from - first), from, to - from, scratch, e);
}

static int read_recording(bc_store *s, const bc_window *w, float *out, int64_t n, double place,
                          int64_t slack, double *start_s, bc_scratch *scratch, bc_error *e) {
    int rate = s->o.sample_rate;
    bc_recording r;
    int rc = bc_blocks_recording(s->blocks, w->file, &r, e);
    if (rc != BC_OK) return rc;
    int64_t total = bc_resample_length(r.frames, r.sample_rate, rate);
    if (w->loc_s >= (double)total / rate)
        return bc_fail(e,
                       "%s: a window at %.3f s, but it ends at %.3f s (changed since `extract`?)",
                       s->o.paths[w->file], w->loc_s, (double)total / rate);
    if (s->length < n) return too_short(s->o.paths[w->file], s->length, n, e);
    int64_t start = tile_start(s, w->loc_s);
    if (w->loc_s < 0) /* all of it, in the middle of silence: as bc_tile_cut does */
        start = s->length > total ? -((s->length - total) / 2) : (total - s->length) / 2;
    start += offset_of(s->length, n, place, slack);
    *start_s = (double)start / rate;
    return bc_cut_recording(s->blocks, w->file, rate, out, start, n, scratch, e);
}

int bc_store_read(bc_store *s, const bc_window *w, float *out, int64_t n, double place,
                  int64_t slack, double *start_s, bc_scratch *scratch, bc_error *e) {
    switch (s->o.kind) {
    case BC_STORE_NPY: return read_npy(s, w, out, n, place, slack, start_s, e);
    case BC_STORE_PACKED: return read_packed(s, w, out, n, place, slack, start_s, scratch, e);
    case BC_STORE_FLAC: return read_flac(s, w, out, n, place, slack, start_s, e);
    default: return read_recording(s, w, out, n, place, slack, start_s, scratch, e);
    }
}
