/* writer.c: samples to a WAV, FLAC or Ogg file on disk, block by block. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../support/file.h"
#include "audio.h"
#include "ogg.h"
#include "encoder.h"

/* A WAV counts its bytes in 32 bits; what is not samples takes less than this. */
#define WAV_LARGEST (UINT32_MAX - 4096)

struct bc_audio_writer {
    bc_file file;
    bc_encoder encoder;
    bc_audio_encoding how;
    sf_count_t size, at;
    int64_t samples; /* written so far, of each channel */
    int code;        /* errno of the first write that failed */
};

static sf_count_t file_size(void *user) {
    return ((bc_audio_writer *)user)->size;
}
static sf_count_t file_tell(void *user) {
    return ((bc_audio_writer *)user)->at;
}

static sf_count_t file_seek(sf_count_t offset, int whence, void *user) {
    bc_audio_writer *w = user;
    sf_count_t to = offset + (whence == SEEK_SET ? 0 : whence == SEEK_CUR ? w->at : w->size);
    if (to == w->at || to < 0 || to > w->size) return w->at;
    if (fseeko(w->file.stream, to, SEEK_SET) == 0)
        w->at = to;
    else if (w->code == 0)
        w->code = errno;
    return w->at;
}

static sf_count_t file_read(void *to, sf_count_t n, void *user) {
    (void)to, (void)n, (void)user;
    return 0; /* no encoder of ours reads back */
}

static sf_count_t file_write(const void *from, sf_count_t n, void *user) {
    bc_audio_writer *w = user;
    sf_count_t wrote = (sf_count_t)fwrite(from, 1, (size_t)n, w->file.stream);
    if (wrote < n && w->code == 0) w->code = errno;
    w->at += wrote;
    if (w->size < w->at) w->size = w->at;
    return wrote;
}

static int failed(const bc_audio_writer *w, bc_error *e) {
    if (w->code != 0) return bc_fail(e, "%s: %s", w->file.path, strerror(w->code));
    return bc_fail(e, "%s: the encoder stopped", w->file.path);
}

static int open_encoder(bc_audio_writer *w, int channels, int sample_rate, bc_error *e) {
    static SF_VIRTUAL_IO io = {file_size, file_seek, file_read, file_write, file_tell};
    int rc = bc_encoder_open(&w->encoder, &io, w, channels, sample_rate, &w->how);
    if (rc != BC_FAIL) return rc;
    if (w->code != 0) return failed(w, e);
    return bc_fail(e, "%s: the format does not hold %d channels at %d Hz", w->file.path, channels,
                   sample_rate);
}

int bc_audio_writer_open(bc_audio_writer **out, const char *path, int channels, int sample_rate,
                         const bc_audio_encoding *how, bc_error *e) {
    bc_audio_writer *w = calloc(1, sizeof *w);
    *out = NULL;
    if (w == NULL) return BC_NOMEM;
    w->how = *how;
    int rc = bc_file_create(&w->file, path, BC_FILE_SEEK, e);
    if (rc == BC_OK) rc = open_encoder(w, channels, sample_rate, e);
    if (rc != BC_OK) {
        bc_audio_writer_free(w);
        return rc;
    }
    *out = w;
    return BC_OK;
}

static int finish(bc_audio_writer *w, int64_t n, int rc, bc_error *e) {
    if (rc == BC_OK) w->samples += n;
    return rc == BC_FAIL ? failed(w, e) : rc;
}

static int check_room(const bc_audio_writer *w, int64_t n, bc_error *e) {
    int bytes = w->encoder.bits == 0 ? 4 : w->encoder.bits / 8;
    if (w->how.format != BC_WAV ||
        (w->samples + n) <= (int64_t)WAV_LARGEST / (bytes * w->encoder.channels))
        return BC_OK;
    return bc_fail(e, "%s: a WAV holds 4 GB at most (flac holds more)", w->file.path);
}

int bc_audio_writer_put(bc_audio_writer *w, const float *y, int64_t stride, int64_t n,
                        bc_error *e) {
    int rc = check_room(w, n, e);
    if (rc != BC_OK) return rc;
    return finish(w, n, bc_encoder_write(&w->encoder, y, stride, n), e);
}

int bc_audio_writer_put_i16(bc_audio_writer *w, const int16_t *y, int64_t n, bc_error *e) {
    int rc = check_room(w, n, e);
    if (rc != BC_OK) return rc;
    return finish(w, n, bc_encoder_write_i16(&w->encoder, y, n), e);
}

int64_t bc_audio_writer_samples(const bc_audio_writer *w) {
    return w->samples;
}

bool bc_audio_writer_takes_i16(const bc_audio_writer *w) {
    return w->encoder.channels == 1 && w->encoder.bits == 16;
}

static int commit(bc_audio_writer *w, bc_error *e) {
    if (w->samples == 0 && w->how.format == BC_FLAC) /* libsndfile would write nothing at all */
        return bc_fail(e, "%s: flac holds one sample or more", w->file.path);
    int rc = bc_encoder_close(&w->encoder);
    if (rc == BC_STOPPED) return rc;
    if (rc != BC_OK || w->code != 0) return failed(w, e);
    if (fflush(w->file.stream) != 0) return bc_fail(e, "%s: %s", w->file.path, strerror(errno));
    if (w->how.format == BC_OGG && !bc_ogg_stamp_file(fileno(w->file.stream)))
        return bc_fail(e, "%s: %s", w->file.path, strerror(errno));
    return bc_file_commit(&w->file, e);
}

int bc_audio_writer_commit(bc_audio_writer *w, bc_error *e) {
    int rc = commit(w, e);
    bc_audio_writer_free(w);
    return rc;
}

void bc_audio_writer_free(bc_audio_writer *w) {
    if (w == NULL) return;
    bc_encoder_close(&w->encoder);
    bc_file_abort(&w->file);
    free(w);
}
