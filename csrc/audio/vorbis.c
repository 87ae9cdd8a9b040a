/* vorbis.c: any place of an Ogg Vorbis file, exactly (libvorbisfile). */
#include "vorbis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* the header defines tables of callbacks that nobody here uses */
#define OV_EXCLUDE_STATIC_CALLBACKS
#include <vorbis/vorbisfile.h>

#include "../support/error.h"

struct bc_vorbis {
    OggVorbis_File file;
    int fd, channels;
    int64_t size, at; /* bytes */
};

static size_t read_bytes(void *to, size_t size, size_t n, void *context) {
    bc_vorbis *v = context;
    ssize_t got = size == 0 ? 0 : pread(v->fd, to, size * n, v->at);
    if (got <= 0) return 0;
    v->at += got;
    return (size_t)got / size;
}

static int seek_bytes(void *context, ogg_int64_t offset, int whence) {
    bc_vorbis *v = context;
    int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? v->at : v->size;
    if (from + offset < 0) return -1;
    v->at = from + offset;
    return 0;
}

static long tell_bytes(void *context) {
    return (long)((bc_vorbis *)context)->at;
}

int bc_vorbis_open(bc_vorbis **v, int fd, int64_t size, int channels, int64_t *frames) {
    *v = calloc(1, sizeof **v);
    if (*v == NULL) return BC_NOMEM;
    (*v)->fd = fd;
    (*v)->size = size;
    (*v)->channels = channels;
    ov_callbacks callbacks = {read_bytes, seek_bytes, NULL, tell_bytes};
    OggVorbis_File *f = &(*v)->file;
    if (ov_open_callbacks(*v, f, NULL, 0, callbacks) != 0) {
        free(*v);
        *v = NULL;
        return BC_OK;
    }
    int64_t total = ov_pcm_total(f, -1);
    if (ov_streams(f) != 1 || ov_info(f, 0)->channels != channels || total < 0 ||
        (*frames >= 0 && total != *frames)) {
        bc_vorbis_close(*v);
        *v = NULL;
    } else {
        *frames = total;
    }
    return BC_OK;
}

void bc_vorbis_close(bc_vorbis *v) {
    if (v == NULL) return;
    ov_clear(&v->file);
    free(v);
}

/* Not ov_pcm_seek, which passes over a hole without a word, and then gives what is
 * behind it in its place: the begin of a page, and on from there. */
bool bc_vorbis_seek(bc_vorbis *v, int64_t frame) {
    if (ov_pcm_seek_page(&v->file, frame) != 0) return false;
    for (int64_t left; (left = frame - ov_pcm_tell(&v->file)) != 0;) {
        float **pcm;
        int link, most = left < 4096 ? (int)left : 4096;
        if (left < 0 || ov_read_float(&v->file, &pcm, most, &link) <= 0) return false;
    }
    return true;
}

int64_t bc_vorbis_read(bc_vorbis *v, float *out, int64_t n, bool *damaged) {
    int64_t got = 0;
    *damaged = false;
    while (got < n) {
        float **pcm;
        int link, most = n - got < 1 << 16 ? (int)(n - got) : 1 << 16;
        long k = ov_read_float(&v->file, &pcm, most, &link);
        if (k <= 0) {
            *damaged = k < 0;
            break;
        }
        if (v->channels == 1)
            memcpy(out + got, pcm[0], (size_t)k * sizeof *out);
        else
            for (int c = 0; c < v->channels; c++)
                for (long i = 0; i < k; i++) out[(got + i) * v->channels + c] = pcm[c][i];
        got += k;
    }
    return got;
}

int bc_vorbis_tags(bc_vorbis *v, bc_tags *t) {
    const vorbis_comment *c = ov_comment(&v->file, 0);
    int rc = BC_OK;
    for (int i = 0; c != NULL && i < c->comments && rc == BC_OK; i++)
        rc = bc_tags_add_comment(t, c->user_comments[i], (size_t)c->comment_lengths[i]);
    return rc;
}
