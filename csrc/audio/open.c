/* open.c: open a sound file with the decoder that reads it, and describe it. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ogg.h"
#include "reader.h"

enum { BLOCK = 1 << 16 }; /* samples of all channels per call of the decoder */

/* A header that is off by less (MPEG: than its first and last frames) is not wrong. */
static const double slack_s = 0.01, mpeg_slack_s = 0.2;

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

int bc_reader_open_own(bc_audio *a, SF_INFO *sf, bc_error *e) {
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
    int rc = bc_reader_open_own(a, sf, e);
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

int bc_reader_learn_length(bc_audio *a, bc_error *e) {
    set_length(a, bc_foreign_frames(a->foreign));
    describe_foreign(a);
    return a->options.strict ? refuse(a, e) : BC_OK;
}

const char *bc_audio_warning(bc_audio *a) {
    if (a->bad == 0) return a->warning[0] == '\0' ? NULL : a->warning;
    snprintf(a->told, sizeof a->told, "%s%s%lld samples are NaN or infinite, from %.3f s on: taken for silence",
             a->warning, a->warning[0] == '\0' ? "" : "; ", (long long)a->bad,
             (double)a->bad_from / a->info.sample_rate);
    return a->told;
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
