/* read.c: decode a sound file block by block, mixed and converted on the way. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/interrupt.h"
#include "reader.h"

enum {
    MARGIN = 512,    /* reach of the conversion filter, in samples of the lower rate */
    MPEG_SLACK = 2 * 1152 /* where MP3 files were joined, the decoder leaves out its delay */
};

int bc_audio_tags(bc_audio *a, bc_tags *t) {
    unsigned char begin[4] = {0};
    bc_read_at(a->fd, begin, 4, 0);
    if (memcmp(begin, "RIF", 3) == 0 || memcmp(begin, "RF64", 4) == 0 || memcmp(begin, "riff", 4) == 0)
        return bc_tags_of_wave(t, a->fd, a->size);
    if (a->mpeg != NULL) return bc_mpeg_tags(a->mpeg, t);
    if (a->vorbis != NULL) return bc_vorbis_tags(a->vorbis, t);
    if (memcmp(begin, "fLaC", 4) == 0) return bc_tags_of_flac(t, a->fd);
    if (a->file == NULL) return BC_OK; /* ffmpeg reads it */
    if (a->extent.head_bytes == 0) return bc_tags_of_sndfile(t, a->file);
    /* The head that stands for a wrong one has no words in it. */
    SF_INFO sf = {0};
    SNDFILE *whole = sf_open_fd(a->fd, SFM_READ, &sf, 0);
    int rc = whole == NULL ? BC_OK : bc_tags_of_sndfile(t, whole);
    if (whole != NULL) sf_close(whole);
    return rc;
}

const bc_audio_info *bc_audio_info_of(const bc_audio *a) { return &a->info; }
bool bc_audio_is_mono(const bc_audio *a) { return a->options.mono || a->options.channel > 0; }
int bc_audio_rows(const bc_audio *a) { return a->rows; }
int bc_audio_rate(const bc_audio *a) { return a->rate; }
int64_t bc_audio_tell(const bc_audio *a) { return a->at; }

int64_t bc_audio_length(const bc_audio *a) {
    return a->frames < 0 ? -1 : bc_resample_length(a->frames, a->info.sample_rate, a->rate);
}

/* (n, channels) to the mean over the channels, added up in f32 in their order
 * as numpy does. */
static void mix(float *restrict out, const float *restrict in, int64_t n, int channels) {
    float count = (float)channels;
    if (channels == 2) {
        for (int64_t i = 0; i < n; i++) out[i] = (in[2 * i] + in[2 * i + 1]) / count;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        float sum = in[i * channels];
        for (int c = 1; c < channels; c++) sum += in[i * channels + c];
        out[i] = sum / count;
    }
}

/* One channel, from 1, of (n, channels). */
static void pick(float *restrict out, const float *restrict in, int64_t n, int channels,
                 int channel) {
    for (int64_t i = 0; i < n; i++) out[i] = in[i * channels + channel - 1];
}

/* (n, rows) to rows, stride apart. */
static void spread(float *out, int64_t stride, const float *in, int64_t n, int rows) {
    for (int c = 0; c < rows; c++)
        for (int64_t i = 0; i < n; i++) out[c * stride + i] = in[i * rows + c];
}

/* The sound ends here and should not: an error if strict, else a warning. */
static int damaged(bc_audio *a, const char *how, bc_error *e) {
    char text[sizeof a->warning];
    double at = (double)a->frame / a->info.sample_rate;
    if (how != NULL)
        snprintf(text, sizeof text, "damaged after %.3f s%s%s", at, *how == '\0' ? "" : ": ", how);
    else
        snprintf(text, sizeof text, "truncated or damaged: gives %.3f s of %.3f s", at,
                 a->info.seconds);
    if (a->options.strict) return bc_fail(e, "%s: %s", a->path, text);
    if (a->warning[0] == '\0') memcpy(a->warning, text, sizeof text);
    return BC_OK;
}

/* The decoder has no more: is that where the file said it would end? */
static int at_end(bc_audio *a, bc_error *e) {
    if (a->foreign != NULL) return a->frames < 0 ? bc_reader_learn_length(a, e) : damaged(a, NULL, e);
    int64_t slack = a->mpeg != NULL ? MPEG_SLACK : 0;
    bool early = a->info.frames >= 0 && a->frame + slack < a->info.frames;
    int code = a->vorbis == NULL && a->mpeg == NULL ? sf_error(a->file) : 0;
    a->frames = a->frame;
    if (code != 0) return damaged(a, sf_error_number(code), e);
    return early ? damaged(a, NULL, e) : BC_OK;
}

/* As many frames as the decoder has, up to n, as (n, channels). *hole: damage that it
 * could pass over; frames lost in it would move all that follow, so it is the end. */
static int fetch(bc_audio *a, float *to, int64_t n, int64_t *got, bool *hole, bc_error *e) {
    *hole = false;
    *got = 0;
    if (a->foreign != NULL) return bc_foreign_read(a->foreign, to, n, got, e);
    if (a->vorbis != NULL)
        *got = bc_vorbis_read(a->vorbis, to, n, hole);
    else if (a->mpeg != NULL)
        *got = bc_mpeg_read(a->mpeg, to, n);
    else
        for (int64_t k = 1; *got < n && k > 0; *got += k > 0 ? k : 0)
            k = sf_readf_float(a->file, to + *got * a->info.channels, n - *got);
    return BC_OK;
}

/* Samples that are no number are silence, and counted once a frame however often it is read; strict: an error. */
static int silence_bad(bc_audio *a, float *y, int64_t n, bc_error *e) {
    int64_t bad = bc_audio_first_bad(y, n * a->rows);
    if (bad < 0) return BC_OK;
    double at = (double)(a->frame + bad / a->rows) / a->info.sample_rate;
    if (a->options.strict)
        return bc_fail(e, "%s: sample %lld (%.3f s) is not finite", a->path,
                       (long long)(a->frame + bad / a->rows), at);
    for (int64_t i = bad / a->rows; i < n; i++) {
        bool whole = true;
        for (int c = 0; c < a->rows; c++) {
            float *s = y + i * a->rows + c;
            if (isfinite(*s)) continue;
            *s = 0;
            whole = false;
        }
        if (!whole && a->frame + i >= a->bad_end) {
            if (a->bad++ == 0) a->bad_from = a->frame + i;
            a->bad_end = a->frame + i + 1;
        }
    }
    return BC_OK;
}

/* The next n <= block frames as (n, rows); *got < n only at the end. */
static int decode(bc_audio *a, float *out, int64_t n, int64_t *got, bc_error *e) {
    bool hole;
    float *to = a->raw != NULL ? a->raw : out;
    if (a->frames >= 0 && n > a->frames - a->frame) n = a->frames - a->frame;
    int rc = fetch(a, to, n, got, &hole, e);
    if (rc != BC_OK) return rc;
    if (a->raw != NULL && a->options.channel > 0)
        pick(out, a->raw, *got, a->info.channels, a->options.channel);
    else if (a->raw != NULL)
        mix(out, a->raw, *got, a->info.channels);
    rc = silence_bad(a, out, *got, e);
    if (rc != BC_OK) return rc;
    a->frame += *got;
    if (bc_interrupted()) return BC_STOPPED;
    if (hole) {
        a->frames = a->frame;
        return damaged(a, "", e);
    }
    return *got < n ? at_end(a, e) : BC_OK;
}

static int read_plain(bc_audio *a, float *out, int64_t stride, int64_t n, int64_t *got,
                      bc_error *e) {
    for (*got = 0; *got < n;) {
        int64_t m = n - *got < a->block ? n - *got : a->block, k;
        int rc = decode(a, a->rows > 1 ? a->wide : out + *got, m, &k, e);
        if (rc != BC_OK) return rc;
        if (a->rows > 1) spread(out + *got, stride, a->wide, k, a->rows);
        *got += k;
        a->at += k;
        if (k < m) break;
    }
    return BC_OK;
}

/* One step of the converter: at most m samples to a->wide. */
static int convert(bc_audio *a, int64_t m, int64_t *gave, bc_error *e) {
    if (a->have == 0 && !a->ended) {
        a->used = 0;
        int rc = decode(a, a->waiting, a->block, &a->have, e);
        if (rc != BC_OK) return rc;
        a->ended = a->have == 0;
    }
    size_t took = 0, out = 0;
    soxr_error_t wrong =
        soxr_process(a->soxr, a->ended ? NULL : a->waiting + a->used * a->rows, (size_t)a->have,
                     &took, a->wide, (size_t)m, &out);
    if (wrong != NULL)
        return bc_fail(e, "%s: cannot be converted to %d Hz: %s", a->path, a->rate, wrong);
    a->used += (int64_t)took;
    a->have -= (int64_t)took;
    *gave = (int64_t)out;
    /* the filter overshoots: samples near the largest float become infinite */
    if (bc_audio_first_bad(a->wide, *gave * a->rows) >= 0)
        return bc_fail(e, "%s: samples near %.3f s are too large to convert to %d Hz", a->path,
                       (double)a->at / a->rate, a->rate);
    return BC_OK;
}

static int read_converted(bc_audio *a, float *out, int64_t stride, int64_t n, int64_t *got,
                          bc_error *e) {
    *got = 0;
    if (a->soxr == NULL)
        a->soxr = soxr_create(a->info.sample_rate, a->rate, (unsigned)a->rows, NULL, NULL, NULL,
                              NULL); /* default: HQ, interleaved f32, one thread */
    if (a->soxr == NULL) return BC_NOMEM;
    while (*got < n) {
        int64_t total = bc_audio_length(a), m = n - *got, k = 0;
        if (total >= 0 && m > total - a->at) m = total - a->at;
        if (m <= 0) break;
        if (a->drop > 0) m = a->drop;
        if (m > a->block) m = a->block;
        int rc = bc_interrupted() ? BC_STOPPED : convert(a, m, &k, e);
        if (rc != BC_OK) return rc;
        if (k == 0 && a->ended) { /* the converter rounds down, we round up */
            if (bc_audio_length(a) <= a->at) break;
            a->drop = 0;
            memset(a->wide, 0, (size_t)a->rows * sizeof *a->wide);
            k = 1;
        }
        if (a->drop > 0) {
            a->drop -= k;
            continue;
        }
        spread(out + *got, stride, a->wide, k, a->rows);
        *got += k;
        a->at += k;
    }
    return BC_OK;
}

int bc_audio_read(bc_audio *a, float *out, int64_t stride, int64_t n, int64_t *got,
                  bc_error *e) {
    return (a->rate == a->info.sample_rate ? read_plain : read_converted)(a, out, stride, n, got,
                                                                         e);
}

static int64_t gcd(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t r = a % b;
        a = b, b = r;
    }
    return a;
}

static bool jump(bc_audio *a, int64_t frame) {
    if (a->mpeg != NULL) return frame == a->frames || bc_mpeg_seek(a->mpeg, frame);
    if (a->vorbis != NULL) return bc_vorbis_seek(a->vorbis, frame);
    return frame == a->frames || sf_seek(a->file, frame, SEEK_SET) == frame;
}

/* The decoder of libsndfile, anew: after damage some do not find back to the beginning. */
static int restart(bc_audio *a, bc_error *e) {
    SF_INFO sf = {0};
    sf_close(a->file);
    a->file = NULL;
    a->frame = a->view.at = 0;
    if (lseek(a->fd, 0, SEEK_SET) != 0) return bc_fail(e, "%s: %s", a->path, strerror(errno));
    int rc = bc_reader_open_own(a, &sf, e);
    if (rc == BC_OK && (a->file == NULL || sf.channels != a->info.channels))
        rc = bc_fail(e, "%s: was written to meanwhile", a->path);
    return rc;
}

static int seek_foreign(bc_audio *a, int64_t frame, bc_error *e) {
    int rc = bc_foreign_seek(a->foreign, frame, e);
    if (rc == BC_OK && a->frames < 0 && bc_foreign_frames(a->foreign) >= 0) rc = bc_reader_learn_length(a, e);
    a->frame = a->frames >= 0 && frame > a->frames ? a->frames : frame;
    return rc;
}

/* Put the decoder on a frame; where it cannot seek, decode and drop. */
static int seek_frame(bc_audio *a, int64_t frame, bc_error *e) {
    if (a->frames >= 0 && frame > a->frames) frame = a->frames;
    if (frame == a->frame) return BC_OK;
    if (a->foreign != NULL) return seek_foreign(a, frame, e);
    bool seekable = a->seekable && a->frames >= 0, own = a->vorbis != NULL || a->mpeg != NULL;
    if (seekable && jump(a, frame)) {
        a->frame = frame;
        return BC_OK;
    }
    bool again = seekable || frame < a->frame;
    if (again && own)
        return bc_fail(e, "%s: damaged: no way to %.3f s", a->path,
                       (double)frame / a->info.sample_rate);
    int rc = again ? restart(a, e) : BC_OK;
    if (rc != BC_OK) return rc;
    float *drop = malloc((size_t)(a->block * a->rows) * sizeof *drop);
    if (drop == NULL) return BC_NOMEM;
    for (int64_t k = 1; k > 0 && a->frame < frame && rc == BC_OK;) {
        int64_t m = frame - a->frame < a->block ? frame - a->frame : a->block;
        rc = decode(a, drop, m, &k, e);
    }
    free(drop);
    return rc;
}

int bc_audio_seek(bc_audio *a, int64_t sample, bc_error *e) {
    int64_t from = a->info.sample_rate, to = a->rate, frame = sample;
    if (from != to) {
        /* The converter must start where an input and an output sample coincide:
         * at multiples of `up` outputs, `down` inputs. */
        int64_t g = gcd(from, to), up = to / g, down = from / g;
        int64_t margin = to > from ? MARGIN * to / from + 1 : MARGIN;
        int64_t start = sample > margin ? (sample - margin) / up : 0;
        frame = start * down;
        a->drop = sample - start * up;
        a->have = a->used = 0;
        a->ended = false;
        soxr_delete(a->soxr);
        a->soxr = NULL;
    }
    a->at = sample;
    return seek_frame(a, frame, e);
}

const char *bc_audio_libraries(void) { return sf_version_string(); }
