/* write.c: samples to a WAV, FLAC or Ogg file in memory. */
#include <stdlib.h>
#include <string.h>

#include "audio.h"
#include "ogg.h"
#include "encoder.h"

typedef struct memory {
    unsigned char *bytes;
    sf_count_t size, room, at;
    bool full; /* out of memory */
} memory;

static sf_count_t memory_size(void *user) {
    return ((memory *)user)->size;
}
static sf_count_t memory_tell(void *user) {
    return ((memory *)user)->at;
}

static sf_count_t memory_seek(sf_count_t offset, int whence, void *user) {
    memory *m = user;
    sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? m->at : m->size;
    if (from + offset >= 0 && from + offset <= m->size) m->at = from + offset;
    return m->at;
}

static sf_count_t memory_read(void *to, sf_count_t n, void *user) {
    memory *m = user;
    if (n > m->size - m->at) n = m->size - m->at;
    if (n > 0) memcpy(to, m->bytes + m->at, (size_t)n);
    m->at += n;
    return n;
}

static sf_count_t memory_write(const void *from, sf_count_t n, void *user) {
    memory *m = user;
    if (m->at + n > m->room) {
        sf_count_t room = 2 * (m->at + n) + 4096;
        void *p = realloc(m->bytes, (size_t)room);
        if (p == NULL) {
            m->full = true;
            return 0;
        }
        m->bytes = p;
        m->room = room;
    }
    memcpy(m->bytes + m->at, from, (size_t)n);
    m->at += n;
    if (m->size < m->at) m->size = m->at;
    return n;
}

int bc_audio_encode(unsigned char **bytes, size_t *size, const float *y, int channels, int64_t n,
                    int sample_rate, const bc_audio_encoding *how, const char *name, bc_error *e) {
    static SF_VIRTUAL_IO io = {memory_size, memory_seek, memory_read, memory_write, memory_tell};
    memory m = {0};
    bc_encoder c = {0};
    int rc;
    if (n == 0 && how->format == BC_FLAC) { /* libsndfile would write nothing at all */
        rc = bc_fail(e, "%s: flac holds one sample or more", name);
        goto out;
    }
    rc = bc_encoder_open(&c, &io, &m, channels, sample_rate, how);
    if (rc == BC_OK) rc = bc_encoder_write(&c, y, n, n);
    int end = bc_encoder_close(&c);
    if (rc == BC_OK) rc = end;
    if (m.full) rc = BC_NOMEM;
    if (rc == BC_FAIL) /* memory does not fail, so the encoder did not like them */
        bc_fail(e, "%s: the format does not hold %d channels at %d Hz", name, channels,
                sample_rate);
    if (rc == BC_OK && how->format == BC_OGG) bc_ogg_stamp(m.bytes, (size_t)m.size);
out:
    if (rc != BC_OK) {
        free(m.bytes);
        m = (memory){0};
    }
    *bytes = m.bytes;
    *size = (size_t)m.size;
    return rc;
}
