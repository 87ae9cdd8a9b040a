/* foreign.c: what is known of foreign files, and all of their samples where it is worth it. */
#include "foreign.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "../support/interrupt.h"
#include "../support/temporary.h"

enum {
    FILES = 512, /* that are remembered */
    KEPT = 64,   /* with all of their samples, each in an open file */
    JUMPS = 3,   /* parts of a file that were asked for: all of it is kept from here on */
    CHUNK = 1 << 16 /* samples */
};
static const int64_t most_bytes = (int64_t)8 << 30;

/* A file of this process, shared by its readers. */
typedef struct sound {
    dev_t device;
    ino_t inode;
    int64_t size;
    struct timespec modified;
    int users;     /* it stays while there are any */
    uint64_t used; /* when */
    int channels, rate;
    char codec[32];
    int64_t claimed, frames; /* -1: not known */
    char wrong[400];
    bool whole;
    int jumps;
    bool filling; /* by a thread; others wait */
    bool too_large;
    int fd;        /* all samples, interleaved; -1: not kept */
    int64_t bytes; /* of them */
} sound;

struct bc_foreign {
    char *path;
    bc_kind kind;
    sound *sound;
    bc_ffmpeg *pipe;     /* NULL: not running */
    int64_t at, pipe_at; /* the reader's next frame, and the pipe's */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows, and the sounds */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static sound *sounds[FILES];
static uint64_t uses;
static int64_t kept_bytes;
static int kept;

/* ---- The files that are known: under the lock ---- */

static bool is_of(const sound *s, const struct stat *st) {
    return s->device == st->st_dev && s->inode == st->st_ino && s->size == (int64_t)st->st_size &&
           s->modified.tv_sec == st->st_mtim.tv_sec && s->modified.tv_nsec == st->st_mtim.tv_nsec;
}

static sound *look_up(const struct stat *st) {
    for (int i = 0; i < FILES; i++)
        if (sounds[i] != NULL && is_of(sounds[i], st)) return sounds[i];
    return NULL;
}

static void drop_samples(sound *s) {
    if (s->fd < 0) return;
    close(s->fd);
    kept--;
    kept_bytes -= s->bytes;
    s->fd = -1;
    s->bytes = 0;
}

/* The one without a reader that was not used for longest; with samples, if they are wanted. */
static int idle(bool with_samples) {
    int best = -1;
    for (int i = 0; i < FILES; i++) {
        const sound *s = sounds[i];
        if (s == NULL || s->users > 0 || (with_samples && s->fd < 0)) continue;
        if (best < 0 || s->used < sounds[best]->used) best = i;
    }
    return best;
}

/* Into a free place, or that of an idle one; where there is none it is nobody else's. */
static void remember(sound *s) {
    int i = 0;
    while (i < FILES && sounds[i] != NULL) i++;
    if (i == FILES && (i = idle(false)) >= 0) {
        drop_samples(sounds[i]);
        free(sounds[i]);
    }
    if (i >= 0) sounds[i] = s;
}

static bool is_remembered(const sound *s) {
    for (int i = 0; i < FILES; i++)
        if (sounds[i] == s) return true;
    return false;
}

/* ---- Open and close ---- */

static sound *new_sound(const struct stat *st, const bc_ffmpeg *f) {
    sound *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->device = st->st_dev;
    s->inode = st->st_ino;
    s->size = (int64_t)st->st_size;
    s->modified = st->st_mtim;
    s->fd = -1;
    s->channels = bc_ffmpeg_channels(f);
    s->rate = bc_ffmpeg_rate(f);
    double claimed_s = bc_ffmpeg_claimed(f);
    s->claimed = claimed_s < 0 ? -1 : (int64_t)(claimed_s * s->rate + 0.5);
    s->frames = -1;
    s->whole = true;
    snprintf(s->codec, sizeof s->codec, "%s", bc_ffmpeg_codec(f));
    return s;
}

static int meet(bc_foreign *x, const struct stat *st, bc_error *e) {
    pthread_mutex_lock(&lock);
    x->sound = look_up(st);
    if (x->sound != NULL) x->sound->users++;
    pthread_mutex_unlock(&lock);
    if (x->sound != NULL) return BC_OK;
    int rc = bc_ffmpeg_open(&x->pipe, x->path, &x->kind, e);
    if (rc != BC_OK) return rc;
    sound *s = new_sound(st, x->pipe);
    if (s == NULL) return BC_NOMEM;
    pthread_mutex_lock(&lock);
    x->sound = look_up(st); /* another thread may have met it meanwhile */
    if (x->sound == NULL) {
        x->sound = s;
        remember(s);
        s = NULL;
    }
    x->sound->users++;
    pthread_mutex_unlock(&lock);
    free(s);
    return BC_OK;
}

int bc_foreign_open(bc_foreign **to, const char *path, const struct stat *st, const bc_kind *kind,
                    bc_error *e) {
    bc_foreign *x = *to = calloc(1, sizeof *x);
    if (x == NULL) return BC_NOMEM;
    x->kind = *kind;
    x->path = strdup(path);
    int rc = x->path == NULL ? BC_NOMEM : meet(x, st, e);
    if (rc == BC_OK) return BC_OK;
    bc_foreign_close(x);
    *to = NULL;
    return rc;
}

void bc_foreign_close(bc_foreign *x) {
    if (x == NULL) return;
    bc_ffmpeg_close(x->pipe);
    sound *s = x->sound;
    if (s != NULL) {
        pthread_mutex_lock(&lock);
        s->users--;
        s->used = ++uses;
        if (s->users == 0 && !is_remembered(s)) {
            drop_samples(s);
            free(s);
        }
        pthread_mutex_unlock(&lock);
    }
    free(x->path);
    free(x);
}

int bc_foreign_channels(const bc_foreign *x) { return x->sound->channels; }
int bc_foreign_rate(const bc_foreign *x) { return x->sound->rate; }
const char *bc_foreign_codec(const bc_foreign *x) { return x->sound->codec; }
int64_t bc_foreign_claimed(const bc_foreign *x) { return x->sound->claimed; }

int64_t bc_foreign_frames(const bc_foreign *x) {
    pthread_mutex_lock(&lock);
    int64_t frames = x->sound->frames;
    pthread_mutex_unlock(&lock);
    return frames;
}

/* Written once, before frames is known. */
const char *bc_foreign_wrong(const bc_foreign *x, bool *whole) {
    if (bc_foreign_frames(x) < 0 || x->sound->wrong[0] == '\0') return NULL;
    *whole = x->sound->whole;
    return x->sound->wrong;
}

/* ---- Through the pipe ---- */

static void learn_end(sound *s, const bc_ffmpeg *f, int64_t frames) {
    bool whole;
    const char *wrong = bc_ffmpeg_wrong(f, &whole);
    pthread_mutex_lock(&lock);
    if (s->frames < 0) {
        snprintf(s->wrong, sizeof s->wrong, "%s", wrong != NULL ? wrong : "");
        s->whole = whole;
        s->frames = frames;
    }
    pthread_mutex_unlock(&lock);
}

static int read_pipe(bc_foreign *x, float *out, int64_t n, int64_t *got, bc_error *e) {
    *got = 0;
    int rc = x->pipe == NULL ? bc_ffmpeg_open(&x->pipe, x->path, &x->kind, e) : BC_OK;
    if (rc == BC_OK && bc_ffmpeg_channels(x->pipe) != x->sound->channels)
        rc = bc_fail(e, "%s: has changed", x->path);
    if (rc == BC_OK) rc = bc_ffmpeg_read(x->pipe, out, n, got, e);
    x->pipe_at += *got;
    if (rc == BC_OK && *got < n) learn_end(x->sound, x->pipe, x->pipe_at);
    return rc;
}

static void end_pipe(bc_foreign *x) {
    bc_ffmpeg_close(x->pipe);
    x->pipe = NULL;
    x->pipe_at = 0;
}

/* The pipe to the reader's place, or to the end. */
static int catch_up(bc_foreign *x, bc_error *e) {
    if (x->pipe_at > x->at) end_pipe(x);
    if (x->pipe_at == x->at) return BC_OK;
    float *drop = malloc(CHUNK * sizeof *drop);
    if (drop == NULL) return BC_NOMEM;
    int64_t most = CHUNK / x->sound->channels, got = most;
    int rc = BC_OK;
    while (rc == BC_OK && x->pipe_at < x->at) {
        int64_t n = x->at - x->pipe_at < most ? x->at - x->pipe_at : most;
        rc = read_pipe(x, drop, n, &got, e);
        if (got < n) break;
    }
    free(drop);
    x->at = x->pipe_at;
    return rc;
}

/* ---- All samples, in a file without a name ---- */

static const char *folder_of_temporaries(void) {
    const char *folder = getenv("TMPDIR");
    return folder != NULL && folder[0] != '\0' ? folder : "/tmp";
}

static int open_nameless(void) {
    char *folder, *path;
    if (asprintf(&folder, "%s/", folder_of_temporaries()) < 0) return -1;
    int fd = bc_temporary_create(&path, folder, "bclua-sound");
    free(folder);
    if (fd < 0) return -1;
    unlink(path);
    free(path);
    return fd;
}

/* Is there room for n bytes more, those of idle files left out of account? Takes it. */
static bool take_room(sound *s, int64_t n) {
    struct statvfs v;
    int64_t most = most_bytes;
    pthread_mutex_lock(&lock);
    if (statvfs(folder_of_temporaries(), &v) == 0) {
        int64_t quarter = (int64_t)(v.f_bavail / 4 * v.f_frsize) + kept_bytes / 4;
        if (quarter < most) most = quarter;
    }
    int i = 0;
    while ((kept >= KEPT || kept_bytes + n > most) && (i = idle(true)) >= 0) drop_samples(sounds[i]);
    bool fits = kept_bytes + n <= most;
    if (fits) kept_bytes += n, s->bytes += n;
    pthread_mutex_unlock(&lock);
    return fits;
}

static bool write_all(int fd, const void *bytes, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t k = write(fd, (const char *)bytes + done, n - done);
        if (k < 0 && errno != EINTR) return false;
        if (k > 0) done += (size_t)k;
    }
    return true;
}

/* From a new pipe to fd. *fits: there was room. */
static int copy_sound(bc_foreign *x, int fd, bool *fits, bc_error *e) {
    int64_t most = CHUNK / x->sound->channels, got = most;
    size_t frame = sizeof(float) * (size_t)x->sound->channels;
    float *chunk = malloc(CHUNK * sizeof *chunk);
    if (chunk == NULL) return BC_NOMEM;
    end_pipe(x);
    int rc = BC_OK;
    while (rc == BC_OK && *fits && got == most) {
        rc = read_pipe(x, chunk, most, &got, e);
        if (rc == BC_OK)
            *fits = take_room(x->sound, got * (int64_t)frame) &&
                    write_all(fd, chunk, (size_t)got * frame);
    }
    free(chunk);
    end_pipe(x);
    return rc;
}

/* Wait while another thread does it. True: it is this one's to do. */
static bool begin_filling(sound *s) {
    pthread_mutex_lock(&lock);
    while (s->filling && !bc_interrupted()) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50000000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&changed, &lock, &until);
    }
    bool ours = !s->filling && s->fd < 0 && !s->too_large;
    if (ours) s->filling = true;
    pthread_mutex_unlock(&lock);
    return ours;
}

static int fill(bc_foreign *x, bc_error *e) {
    sound *s = x->sound;
    if (!begin_filling(s)) return bc_interrupted() ? BC_STOPPED : BC_OK;
    bool fits = true;
    int fd = open_nameless(), rc = BC_OK;
    if (fd >= 0) rc = copy_sound(x, fd, &fits, e);
    pthread_mutex_lock(&lock);
    s->fd = fd;
    kept += fd >= 0;
    if (rc != BC_OK || !fits) drop_samples(s);
    s->too_large = rc == BC_OK && s->fd < 0;
    s->filling = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* The descriptor of all samples, -1 if they are not kept; while the reader has the sound, it
 * stays open. */
static int samples_of(bc_foreign *x) {
    pthread_mutex_lock(&lock);
    int fd = x->sound->filling ? -1 : x->sound->fd;
    pthread_mutex_unlock(&lock);
    return fd;
}

static int read_kept(bc_foreign *x, int fd, float *out, int64_t n, int64_t *got, bc_error *e) {
    size_t frame = sizeof *out * (size_t)x->sound->channels, done = 0;
    int64_t left = bc_foreign_frames(x) - x->at;
    *got = n < left ? n : left;
    while (done < (size_t)*got * frame) {
        ssize_t k = pread(fd, (char *)out + done, (size_t)*got * frame - done,
                          (off_t)((size_t)x->at * frame + done));
        if (k == 0 || (k < 0 && errno != EINTR))
            return bc_fail(e, "%s: its samples in %s: %s", x->path, folder_of_temporaries(),
                           k == 0 ? "cut short" : strerror(errno));
        if (k > 0) done += (size_t)k;
    }
    return BC_OK;
}

/* ---- Reading ---- */

int bc_foreign_seek(bc_foreign *x, int64_t frame, bc_error *e) {
    sound *s = x->sound;
    x->at = frame;
    if (samples_of(x) < 0 && frame != x->pipe_at) {
        pthread_mutex_lock(&lock);
        bool often = ++s->jumps >= JUMPS && !s->too_large;
        pthread_mutex_unlock(&lock);
        int rc = often ? fill(x, e) : BC_OK;
        if (rc != BC_OK) return rc;
    }
    if (samples_of(x) < 0) return catch_up(x, e);
    end_pipe(x);
    int64_t frames = bc_foreign_frames(x);
    if (x->at > frames) x->at = frames;
    return BC_OK;
}

int bc_foreign_read(bc_foreign *x, float *out, int64_t n, int64_t *got, bc_error *e) {
    int fd = samples_of(x), rc;
    if (fd >= 0 && x->pipe == NULL) {
        rc = read_kept(x, fd, out, n, got, e);
    } else {
        *got = 0;
        rc = catch_up(x, e);
        if (rc == BC_OK) rc = read_pipe(x, out, n, got, e);
    }
    x->at += *got;
    return rc;
}
