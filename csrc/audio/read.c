/* read.c: decode a sound file block by block, mixed and converted on the way. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <soxr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/interrupt.h"
#include "audio.h"
#include "extent.h"
#include "foreign.h"
#include "mpeg.h"
#include "ogg.h"
#include "vorbis.h"

enum {
    BLOCK = 1 << 16, /* samples of all channels per call of the decoder */
    MARGIN = 512,    /* reach of the conversion filter, in samples of the lower rate */
    MPEG_SLACK = 2 * 1152 /* where MP3 files were joined, the decoder leaves out its delay */
};

/* A header that is off by less (MPEG: than its first and last frames) is not wrong. */
static const double slack_s = 0.01, mpeg_slack_s = 0.2;

struct bc_audio {
    char *path;
    int fd;
    SNDFILE *file;
    bc_extent extent;
    bc_view view;      /* what file and mpeg read */
    bc_mpeg *mpeg;     /* reads in place of file */
    bc_vorbis *vorbis; /* the same */
    bc_foreign *foreign; /* the same */
    char warning[512];
    struct stat stat;
    int64_t size;      /* bytes */
    bool seekable;
    bc_audio_info info;
    bc_audio_options options;
    int rows, rate;
    int64_t frames; /* length as far as known: info.frames until the end shows another */
    int64_t frame;  /* the decoder's position */
    int64_t at;     /* the reader's position, at its own rate */
    int64_t block;  /* frames per block */
    float *raw;     /* (block, channels): before mixing; NULL if not mixed */
    float *wide;    /* (block, rows): before the rows are taken apart */
    /* conversion, when the rates differ */
    soxr_t soxr;             /* NULL: begins with the next read */
    float *waiting;          /* (block, rows): what soxr has not taken yet */
    int64_t used, have, drop; /* in waiting; and samples to leave out after a seek */
    bool ended;
};

static void copy_name(char *to, size_t size, const char *from) {
    size_t n = strlen(from);
    if (n >= size) n = size - 1;
    memcpy(to, from, n);
    to[n] = '\0';
}

static void format_names(bc_audio_info *info, int format) {
    static const struct {
        int code;
        const char *name;
    } names[] = {
        {SF_FORMAT_WAV, "wav"},         {SF_FORMAT_WAVEX, "wav"},
        {SF_FORMAT_FLAC, "flac"},       {SF_FORMAT_OGG, "ogg"},
        {SF_FORMAT_MPEG, "mp3"},        {SF_FORMAT_AIFF, "aiff"},
        {SF_FORMAT_AU, "au"},           {SF_FORMAT_W64, "w64"},
        {SF_FORMAT_RF64, "rf64"},       {SF_FORMAT_CAF, "caf"},
        {SF_FORMAT_VORBIS, "vorbis"},   {SF_FORMAT_OPUS, "opus"},
        {SF_FORMAT_PCM_S8, "pcm8"},     {SF_FORMAT_PCM_U8, "pcm8"},
        {SF_FORMAT_PCM_16, "pcm16"},    {SF_FORMAT_PCM_24, "pcm24"},
        {SF_FORMAT_PCM_32, "pcm32"},    {SF_FORMAT_FLOAT, "float"},
        {SF_FORMAT_DOUBLE, "double"},   {SF_FORMAT_MPEG_LAYER_III, "layer3"},
    };
    snprintf(info->format, sizeof info->format, "%x", (unsigned)format & SF_FORMAT_TYPEMASK);
    snprintf(info->subtype, sizeof info->subtype, "%x", (unsigned)format & SF_FORMAT_SUBMASK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].code == (format & SF_FORMAT_TYPEMASK))
            copy_name(info->format, sizeof info->format, names[i].name);
        if (names[i].code == (format & SF_FORMAT_SUBMASK))
            copy_name(info->subtype, sizeof info->subtype, names[i].name);
    }
}

/* ---- libsndfile on a view ---- */

static sf_count_t view_length(void *context) { return ((bc_view *)context)->size; }
static sf_count_t view_tell(void *context) { return ((bc_view *)context)->at; }

static sf_count_t view_seek(sf_count_t offset, int whence, void *context) {
    bc_view *v = context;
    int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? v->at : v->size;
    if (from + offset < 0) return -1;
    return v->at = from + offset;
}

static sf_count_t view_read(void *to, sf_count_t n, void *context) {
    return bc_view_read(context, to, n);
}

static sf_count_t no_write(const void *from, sf_count_t n, void *context) {
    (void)from, (void)n, (void)context;
    return 0;
}

/* A header that is right is left to libsndfile, with the descriptor, which stays ours:
 * its versions differ on who closes it after a failure. */
static SNDFILE *open_sndfile(bc_audio *a, SF_INFO *sf) {
    static SF_VIRTUAL_IO io = {view_length, view_seek, view_read, no_write, view_tell};
    if (a->extent.head_bytes == 0) return sf_open_fd(a->fd, SFM_READ, sf, 0);
    return sf_open_virtual(&io, SFM_READ, sf, &a->view);
}

/* ---- Opening ---- */

static int open_descriptor(bc_audio *a, bc_error *e) {
    const struct stat *st = &a->stat;
    a->fd = open(a->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (a->fd < 0 || fstat(a->fd, &a->stat) != 0) {
        bool busy = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
        bc_fail(e, "%s: %s", a->path, strerror(errno));
        return busy ? BC_BUSY : BC_FAIL;
    }
    if (S_ISDIR(st->st_mode)) return bc_fail(e, "%s: is a directory", a->path);
    if (!S_ISREG(st->st_mode)) return bc_fail(e, "%s: not a regular file", a->path);
    if (st->st_size == 0) return bc_fail(e, "%s: empty file", a->path);
    a->size = st->st_size;
    a->extent = bc_extent_of(a->fd, a->size);
    a->view = bc_view_of(a->fd, &a->extent, a->size);
    return BC_OK;
}

/* MPEG audio, by itself or in a WAV, goes to its own decoder. */
static int open_mpeg(bc_audio *a, SF_INFO *sf, bc_error *e) {
    static const int subtypes[] = {SF_FORMAT_MPEG_LAYER_I, SF_FORMAT_MPEG_LAYER_II,
                                   SF_FORMAT_MPEG_LAYER_III};
    int rc = bc_mpeg_open(&a->mpeg, &a->view, e);
    if (rc != BC_OK) return rc;
    sf->format = SF_FORMAT_MPEG | subtypes[bc_mpeg_layer(a->mpeg) - 1];
    sf->channels = bc_mpeg_channels(a->mpeg);
    sf->samplerate = bc_mpeg_rate(a->mpeg);
    sf->frames = bc_mpeg_frames(a->mpeg);
    sf->seekable = 1;
    a->extent.claimed = bc_mpeg_claimed(a->mpeg);
    return BC_OK;
}

/* What only ffmpeg decodes goes to it. */
static int open_foreign(bc_audio *a, const bc_kind *kind, SF_INFO *sf, bc_error *e) {
    int rc = bc_foreign_open(&a->foreign, a->path, &a->stat, kind, e);
    if (rc != BC_OK) return rc;
    sf->channels = bc_foreign_channels(a->foreign);
    sf->samplerate = bc_foreign_rate(a->foreign);
    sf->frames = bc_foreign_frames(a->foreign);
    sf->seekable = 1;
    a->extent = (bc_extent){.frames = -1, .claimed = bc_foreign_claimed(a->foreign), .format = kind->name};
    return BC_OK;
}

static int open_own(bc_audio *a, SF_INFO *sf, bc_error *e) {
    unsigned char begin[4] = {0};
    bc_error why = {""};
    bc_read_at(a->fd, begin, 4, a->extent.from);
    if (bc_mpeg_begins(begin)) {
        int rc = open_mpeg(a, sf, &why);
        if (rc != BC_FAIL) return rc;
    }
    a->file = open_sndfile(a, sf);
    if (a->file != NULL) return BC_OK;
    /* The text is shared by all threads of libsndfile: it may just have been reset. */
    const char *text = sf_error(NULL) == 0 ? "unknown format" : sf_strerror(NULL);
    return bc_fail(e, "%s: not a readable sound file (%.*s)", a->path, (int)strcspn(text, "."), text);
}

/* A file of a known kind with something in it that libsndfile does not know may be for ffmpeg. */
static int open_decoder(bc_audio *a, SF_INFO *sf, bc_error *e) {
    bc_kind kind = bc_kind_of(a->fd, a->size);
    if (kind.reader == BC_BY_FFMPEG) return open_foreign(a, &kind, sf, e);
    int rc = open_own(a, sf, e);
    if (rc != BC_FAIL || kind.demuxer == NULL || !bc_ffmpeg_is_there()) return rc;
    bc_error why = {""};
    int other = open_foreign(a, &kind, sf, &why);
    return other == BC_FAIL ? rc : other;
}

/* What the header says of the length, and what is so. */
static void compare_lengths(bc_audio *a) {
    bc_audio_info *info = &a->info;
    double slack = a->mpeg != NULL || a->foreign != NULL ? mpeg_slack_s : slack_s;
    info->claimed_s = -1;
    if (a->extent.claimed < 0 || info->frames < 0) return;
    double claimed_s = (double)a->extent.claimed / info->sample_rate;
    if (fabs(claimed_s - info->seconds) <= slack) return;
    info->claimed_s = claimed_s;
    info->complete = claimed_s < info->seconds;
    snprintf(a->warning, sizeof a->warning, "its header says %.3f s, %.3f s are there", claimed_s,
             info->seconds);
}

static void set_length(bc_audio *a, int64_t frames) {
    bc_audio_info *info = &a->info;
    a->frames = info->frames = frames;
    info->seconds = frames < 0 ? -1 : (double)frames / info->sample_rate;
    info->ends_s = info->seconds;
    compare_lengths(a);
}

/* What ffmpeg had to say, once its end was seen; until then the length is as its header has it. */
static void describe_foreign(bc_audio *a) {
    bc_audio_info *info = &a->info;
    bool whole;
    const char *wrong = bc_foreign_wrong(a->foreign, &whole);
    copy_name(info->subtype, sizeof info->subtype, bc_foreign_codec(a->foreign));
    if (info->frames < 0 && a->extent.claimed >= 0)
        info->ends_s = (double)a->extent.claimed / info->sample_rate;
    if (wrong == NULL || (whole && a->warning[0] != '\0')) return;
    info->complete = whole;
    if (whole)
        snprintf(a->warning, sizeof a->warning, "damaged: %s", wrong);
    else
        snprintf(a->warning, sizeof a->warning, "damaged after %.3f s: %s", info->seconds, wrong);
}

static void describe(bc_audio *a, const SF_INFO *sf) {
    bc_audio_info *info = &a->info;
    info->channels = sf->channels;
    info->sample_rate = sf->samplerate;
    format_names(info, sf->format);
    if (a->extent.format != NULL) copy_name(info->format, sizeof info->format, a->extent.format);
    set_length(a, sf->frames);
    if (a->foreign != NULL) describe_foreign(a);
    if (!info->complete && a->warning[0] == '\0')
        snprintf(a->warning, sizeof a->warning, info->ends_s < 0 ? "truncated" : "truncated after %.3f s",
                 info->ends_s);
}

/* Vorbis has a reader that seeks exactly, knows the length of a truncated file, and stops
 * at a hole. */
static int open_vorbis(bc_audio *a, SF_INFO *sf) {
    a->seekable = sf->seekable;
    if (sf->frames < 0 || sf->frames >= INT64_MAX / 2) sf->frames = -1;
    if ((sf->format & SF_FORMAT_SUBMASK) != SF_FORMAT_VORBIS || !sf->seekable) return BC_OK;
    int64_t frames = sf->frames;
    int rc = bc_vorbis_open(&a->vorbis, a->fd, a->size, sf->channels, &frames);
    a->seekable = a->vorbis != NULL;
    sf->frames = frames;
    return rc;
}

/* Open path and fill in a->info. */
static int open_file(bc_audio *a, bc_error *e) {
    int rc = open_descriptor(a, e);
    if (rc != BC_OK) return rc;
    SF_INFO sf = {0};
    int64_t granule;
    a->info.complete = bc_ogg_complete(a->fd, a->size, &granule);
    /* Part of the headers only: libsndfile would leak memory over it. */
    if (!a->info.complete && granule == 0)
        return bc_fail(e, "%s: truncated before its first sample", a->path);
    rc = open_decoder(a, &sf, e);
    if (rc != BC_OK) return rc;
    if (sf.channels < 1 || sf.samplerate < 1 || sf.samplerate > BC_AUDIO_MAX_RATE)
        return bc_fail(e, "%s: %d channels at %d Hz", a->path, sf.channels, sf.samplerate);
    rc = open_vorbis(a, &sf);
    if (rc == BC_OK) describe(a, &sf);
    return rc;
}

/* Where a header is wrong or a file ends too early, and the caller wants neither. */
static int refuse(const bc_audio *a, bc_error *e) {
    if (a->warning[0] == '\0') return BC_OK;
    if (a->info.complete || a->info.ends_s < 0 || a->foreign != NULL)
        return bc_fail(e, "%s: %s", a->path, a->warning);
    return bc_fail(e, "%s: truncated after %.3f s", a->path, a->info.ends_s);
}

const char *bc_audio_warning(const bc_audio *a) {
    return a->warning[0] == '\0' ? NULL : a->warning;
}

static int new_audio(bc_audio **a, const char *path, bc_error *e) {
    *a = calloc(1, sizeof **a);
    if (*a == NULL) return BC_NOMEM;
    (*a)->fd = -1;
    (*a)->path = strdup(path);
    return (*a)->path == NULL ? BC_NOMEM : open_file(*a, e);
}

static int allocate(bc_audio *a) {
    int channels = a->info.channels;
    a->rows = bc_audio_is_mono(a) ? 1 : channels;
    a->rate = a->options.sample_rate > 0 ? a->options.sample_rate : a->info.sample_rate;
    a->block = channels < BLOCK ? BLOCK / channels : 1;
    bool convert = a->rate != a->info.sample_rate;
    size_t frame = sizeof(float) * (size_t)a->block;
    if (a->rows < channels && (a->raw = malloc(frame * (size_t)channels)) == NULL) return BC_NOMEM;
    if ((convert || a->rows > 1) && (a->wide = malloc(frame * (size_t)a->rows)) == NULL)
        return BC_NOMEM;
    if (convert && (a->waiting = malloc(frame * (size_t)a->rows)) == NULL) return BC_NOMEM;
    return BC_OK;
}

static int check_channel(const bc_audio *a, int channel, bc_error *e) {
    int has = a->info.channels;
    if (channel <= has) return BC_OK;
    return bc_fail(e, "%s: no channel %d (it has %d)", a->path, channel, has);
}

int bc_audio_open(bc_audio **a, const char *path, const bc_audio_options *o, bc_error *e) {
    int rc = new_audio(a, path, e);
    if (rc == BC_OK) rc = check_channel(*a, o->channel, e);
    if (rc == BC_OK && o->strict) rc = refuse(*a, e);
    if (rc == BC_OK && o->sample_rate > 0)
        rc = bc_resample_check((*a)->info.sample_rate, o->sample_rate, path, e);
    if (rc == BC_OK) {
        (*a)->options = *o;
        rc = allocate(*a);
    }
    if (rc != BC_OK) {
        bc_audio_close(*a);
        *a = NULL;
    }
    return rc;
}

void bc_audio_close(bc_audio *a) {
    if (a == NULL) return;
    bc_vorbis_close(a->vorbis);
    bc_mpeg_close(a->mpeg);
    bc_foreign_close(a->foreign);
    if (a->file != NULL) sf_close(a->file);
    if (a->fd >= 0) close(a->fd);
    soxr_delete(a->soxr);
    free(a->raw);
    free(a->wide);
    free(a->waiting);
    free(a->path);
    free(a);
}

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

/* The end of foreign sound has been seen: by this reader, or by another. */
static int learn_length(bc_audio *a, bc_error *e) {
    set_length(a, bc_foreign_frames(a->foreign));
    describe_foreign(a);
    return a->options.strict ? refuse(a, e) : BC_OK;
}

/* The decoder has no more: is that where the file said it would end? */
static int at_end(bc_audio *a, bc_error *e) {
    if (a->foreign != NULL) return a->frames < 0 ? learn_length(a, e) : damaged(a, NULL, e);
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
    int64_t bad = bc_audio_first_bad(out, *got * a->rows);
    if (bad >= 0) {
        bad = a->frame + bad / a->rows;
        return bc_fail(e, "%s: sample %lld (%.3f s) is not finite", a->path, (long long)bad,
                       (double)bad / a->info.sample_rate);
    }
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
    int rc = open_own(a, &sf, e);
    if (rc == BC_OK && (a->file == NULL || sf.channels != a->info.channels))
        rc = bc_fail(e, "%s: was written to meanwhile", a->path);
    return rc;
}

static int seek_foreign(bc_audio *a, int64_t frame, bc_error *e) {
    int rc = bc_foreign_seek(a->foreign, frame, e);
    if (rc == BC_OK && a->frames < 0 && bc_foreign_frames(a->foreign) >= 0) rc = learn_length(a, e);
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
