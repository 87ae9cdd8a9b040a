/* blocks.c: a cache of decoded blocks, over a few open files. */
#include "blocks.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../audio/audio.h"

enum { BLOCK = 1 << 14 }; /* samples: 0.5 s, a page of Ogg at most */

typedef struct block {
    uint64_t key;                /* file, number in the file */
    struct block *chain;         /* of the same bucket */
    struct block *newer, *older; /* by use */
    float samples[BLOCK];
} block;

typedef struct {
    bc_audio *audio; /* NULL: free */
    int32_t file;
    bool busy;
    uint64_t used;
} handle;

enum state { UNKNOWN, READABLE, UNREADABLE };

typedef struct {
    enum state state;
    bc_recording recording;
    char *text; /* of an unreadable one */
} entry;

struct bc_blocks {
    pthread_mutex_t lock;
    pthread_cond_t released; /* a handle */
    const char *const *paths;
    const int32_t *channels;
    int32_t n;
    entry *entries;
    handle *handles;
    int open;
    uint64_t clock;
    block **buckets;
    size_t mask, most, count;
    block *newest, *oldest;
};

static uint64_t key_of(int32_t file, int64_t number) {
    return (uint64_t)(uint32_t)file << 32 | (uint64_t)number;
}

static block **bucket_of(bc_blocks *b, uint64_t key) {
    return &b->buckets[(key * 0x9e3779b97f4a7c15u >> 20) & b->mask];
}

int bc_blocks_new(bc_blocks **to, const char *const *paths, const int32_t *channels, int32_t n,
                  size_t bytes, int open) {
    bc_blocks *b = calloc(1, sizeof *b);
    *to = b;
    if (b == NULL) return BC_NOMEM;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->released, NULL);
    b->paths = paths;
    b->channels = channels;
    b->n = n;
    b->open = open < 1 ? 1 : open;
    b->most = bytes / sizeof(block);
    size_t buckets = 64;
    while (buckets < b->most) buckets *= 2;
    b->mask = buckets - 1;
    b->entries = calloc((size_t)n + 1, sizeof *b->entries);
    b->handles = calloc((size_t)b->open, sizeof *b->handles);
    b->buckets = calloc(buckets, sizeof *b->buckets);
    if (b->entries != NULL && b->handles != NULL && b->buckets != NULL) return BC_OK;
    bc_blocks_free(b);
    *to = NULL;
    return BC_NOMEM;
}

void bc_blocks_free(bc_blocks *b) {
    if (b == NULL) return;
    for (block *x = b->newest, *older; x != NULL; x = older) {
        older = x->older;
        free(x);
    }
    for (int i = 0; b->handles != NULL && i < b->open; i++) bc_audio_close(b->handles[i].audio);
    for (int32_t i = 0; b->entries != NULL && i < b->n; i++) free(b->entries[i].text);
    free(b->entries);
    free(b->handles);
    free(b->buckets);
    pthread_cond_destroy(&b->released);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

const char *bc_blocks_path(const bc_blocks *b, int32_t file) {
    return b->paths[file];
}

void bc_blocks_held(bc_blocks *b, size_t *bytes, int *open) {
    pthread_mutex_lock(&b->lock);
    *bytes = b->count * sizeof(block);
    *open = 0;
    for (int i = 0; i < b->open; i++) *open += b->handles[i].audio != NULL;
    pthread_mutex_unlock(&b->lock);
}

/* ---- The cache: all of it under the lock ---- */

static block *look_up(bc_blocks *b, uint64_t key) {
    block *x = *bucket_of(b, key);
    while (x != NULL && x->key != key) x = x->chain;
    return x;
}

static void unlink_use(bc_blocks *b, block *x) {
    *(x->newer != NULL ? &x->newer->older : &b->newest) = x->older;
    *(x->older != NULL ? &x->older->newer : &b->oldest) = x->newer;
}

static void link_newest(bc_blocks *b, block *x) {
    x->newer = NULL;
    x->older = b->newest;
    *(b->newest != NULL ? &b->newest->newer : &b->oldest) = x;
    b->newest = x;
}

static block *take_oldest(bc_blocks *b) {
    block *x = b->oldest;
    unlink_use(b, x);
    block **at = bucket_of(b, x->key);
    while (*at != x) at = &(*at)->chain;
    *at = x->chain;
    b->count--;
    return x;
}

/* Keep x, which the caller must not use any more. */
static void keep(bc_blocks *b, block *x) {
    if (b->most == 0 || look_up(b, x->key) != NULL) { /* two threads wanted it at once */
        free(x);
        return;
    }
    while (b->count >= b->most) free(take_oldest(b));
    block **at = bucket_of(b, x->key);
    x->chain = *at;
    *at = x;
    link_newest(b, x);
    b->count++;
}

/* The part of block `number` that out (first, n) wants. */
static void copy_part(float *out, int64_t first, int64_t n, const float *samples, int64_t number) {
    int64_t start = number * BLOCK, from = first > start ? first : start;
    int64_t to = first + n < start + BLOCK ? first + n : start + BLOCK;
    memcpy(out + (from - first), samples + (from - start), (size_t)(to - from) * sizeof *out);
}

static bool copy_kept(bc_blocks *b, int32_t file, int64_t number, float *out, int64_t first,
                      int64_t n) {
    pthread_mutex_lock(&b->lock);
    block *x = look_up(b, key_of(file, number));
    if (x != NULL) {
        copy_part(out, first, n, x->samples, number);
        unlink_use(b, x);
        link_newest(b, x);
    }
    pthread_mutex_unlock(&b->lock);
    return x != NULL;
}

/* ---- Open files ---- */

static int count_frames(bc_audio *a, int64_t *frames, bc_error *e) {
    float *y = malloc(BLOCK * sizeof *y);
    int rc = y == NULL ? BC_NOMEM : BC_OK;
    *frames = 0;
    for (int64_t got = 1; got > 0 && rc == BC_OK;) {
        rc = bc_audio_read(a, y, BLOCK, BLOCK, &got, e);
        if (rc == BC_OK) *frames += got;
    }
    free(y);
    return rc;
}

static int open_file(bc_blocks *b, int32_t file, bc_audio **audio, bc_recording *r, bc_error *e) {
    bc_audio_options options = {.mono = true,
                                .channel = b->channels != NULL ? b->channels[file] : 0};
    int rc = bc_audio_open(audio, b->paths[file], &options, e);
    if (rc != BC_OK) return rc;
    const bc_audio_info *info = bc_audio_info_of(*audio);
    *r = (bc_recording){info->sample_rate, info->channels, info->frames};
    if (r->frames < 0) rc = count_frames(*audio, &r->frames, e);
    /* A read from the start and one after a seek use different decoders, which
     * agree on every sound file, but not on how to go on in a damaged one. */
    if (rc == BC_OK && r->frames > 1) rc = bc_audio_seek(*audio, 1, e);
    if (rc != BC_OK) {
        bc_audio_close(*audio);
        *audio = NULL;
    }
    return rc;
}

/* Under the lock. An idle handle of the file, or one to open it with: a free
 * one, else the one that was not used for longest. NULL: all are busy. */
static handle *find_handle(bc_blocks *b, int32_t file) {
    handle *best = NULL;
    for (int i = 0; i < b->open; i++) {
        handle *h = &b->handles[i];
        if (h->busy) continue;
        if (h->audio != NULL && h->file == file) return h;
        if (best == NULL || (best->audio != NULL && (h->audio == NULL || h->used < best->used)))
            best = h;
    }
    return best;
}

/* Under the lock: what a try to open the file gave. */
static void learn(bc_blocks *b, int32_t file, int rc, const bc_recording *r, const bc_error *e) {
    entry *x = &b->entries[file];
    if (rc == BC_OK) { /* whatever another thread, which tried at the same time, met with */
        x->recording = *r;
        x->state = READABLE;
    } else if (x->state == UNKNOWN && rc == BC_FAIL && (x->text = strdup(e->text)) != NULL) {
        x->state = UNREADABLE;
    }
}

static void release(bc_blocks *b, handle *h, int rc) {
    if (rc != BC_OK) { /* no telling where its decoder is */
        bc_audio_close(h->audio);
        h->audio = NULL;
    }
    pthread_mutex_lock(&b->lock);
    h->busy = false;
    h->used = ++b->clock;
    pthread_cond_signal(&b->released);
    pthread_mutex_unlock(&b->lock);
}

/* A handle of the file for this thread alone, until release. */
static int acquire(bc_blocks *b, int32_t file, handle **to, bc_error *e) {
    pthread_mutex_lock(&b->lock);
    handle *h;
    while ((h = find_handle(b, file)) == NULL) pthread_cond_wait(&b->released, &b->lock);
    if (b->entries[file].state == UNREADABLE) {
        int rc = bc_fail(e, "%s", b->entries[file].text);
        pthread_mutex_unlock(&b->lock);
        return rc;
    }
    h->busy = true;
    pthread_mutex_unlock(&b->lock);
    *to = h;
    if (h->audio != NULL && h->file == file) return BC_OK;
    bc_audio_close(h->audio);
    h->file = file;
    bc_recording r;
    int rc = open_file(b, file, &h->audio, &r, e);
    pthread_mutex_lock(&b->lock);
    learn(b, file, rc, &r, e);
    pthread_mutex_unlock(&b->lock);
    if (rc != BC_OK) release(b, h, rc);
    return rc;
}

int bc_blocks_recording(bc_blocks *b, int32_t file, bc_recording *r, bc_error *e) {
    entry *x = &b->entries[file];
    handle *h;
    pthread_mutex_lock(&b->lock);
    bool known = x->state == READABLE;
    *r = x->recording;
    pthread_mutex_unlock(&b->lock);
    if (known) return BC_OK;
    int rc = acquire(b, file, &h, e);
    if (rc != BC_OK) return rc;
    release(b, h, BC_OK);
    pthread_mutex_lock(&b->lock);
    *r = x->recording;
    pthread_mutex_unlock(&b->lock);
    return BC_OK;
}

/* ---- Reading ---- */

/* Is the file damaged here: did it end before its last frame, and say so? */
static bool ends_early(bc_blocks *b, const handle *h, int64_t frame) {
    pthread_mutex_lock(&b->lock);
    int64_t frames = b->entries[h->file].recording.frames;
    pthread_mutex_unlock(&b->lock);
    return frame < frames && bc_audio_warning(h->audio) != NULL;
}

/* Decode block `number` with h, copy what is wanted, and keep it. */
static int decode_block(bc_blocks *b, handle *h, int64_t number, float *out, int64_t first,
                        int64_t n, bc_error *e) {
    block *x = malloc(sizeof *x);
    if (x == NULL) return BC_NOMEM;
    int64_t got = 0;
    int rc = bc_audio_seek(h->audio, number * BLOCK, e);
    if (rc == BC_OK) rc = bc_audio_read(h->audio, x->samples, BLOCK, BLOCK, &got, e);
    if (rc != BC_OK) {
        free(x);
        return rc;
    }
    if (got < BLOCK && ends_early(b, h, number * BLOCK + got)) {
        free(x);
        return bc_fail(e, "%s: %s", b->paths[h->file], bc_audio_warning(h->audio));
    }
    memset(x->samples + got, 0, (size_t)(BLOCK - got) * sizeof *x->samples);
    x->key = key_of(h->file, number);
    copy_part(out, first, n, x->samples, number);
    pthread_mutex_lock(&b->lock);
    keep(b, x);
    pthread_mutex_unlock(&b->lock);
    return BC_OK;
}

/* All of first..first+n-1 lies in the file. */
static int read_inside(bc_blocks *b, int32_t file, float *out, int64_t first, int64_t n,
                       bc_error *e) {
    handle *h = NULL;
    int rc = BC_OK;
    for (int64_t k = first / BLOCK; k <= (first + n - 1) / BLOCK && rc == BC_OK; k++) {
        if (copy_kept(b, file, k, out, first, n)) continue;
        if (h == NULL) rc = acquire(b, file, &h, e);
        if (rc != BC_OK) return rc;
        rc = decode_block(b, h, k, out, first, n, e);
    }
    if (h != NULL) release(b, h, rc);
    return rc;
}

int bc_blocks_read(bc_blocks *b, int32_t file, float *out, int64_t first, int64_t n, bc_error *e) {
    bc_recording r;
    int rc = bc_blocks_recording(b, file, &r, e);
    if (rc != BC_OK) return rc;
    int64_t from = first > 0 ? first : 0, to = first + n < r.frames ? first + n : r.frames;
    if (from >= to) {
        memset(out, 0, (size_t)n * sizeof *out);
        return BC_OK;
    }
    memset(out, 0, (size_t)(from - first) * sizeof *out);
    memset(out + (to - first), 0, (size_t)(first + n - to) * sizeof *out);
    return read_inside(b, file, out + (from - first), from, to - from, e);
}
