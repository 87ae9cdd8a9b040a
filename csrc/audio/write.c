/* write.c: samples to a WAV, FLAC or Ogg file in memory. */
#include <math.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

#include "../support/interrupt.h"
#include "audio.h"
#include "container.h"

/* Frames per call: libvorbis keeps all of a call's samples on the stack. */
enum { BLOCK = 4096 };

typedef struct memory {
    unsigned char *bytes;
    sf_count_t size, room, at;
    bool full; /* out of memory */
} memory;

static sf_count_t memory_size(void *user) { return ((memory *)user)->size; }
static sf_count_t memory_tell(void *user) { return ((memory *)user)->at; }

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

static int format_code(const bc_audio_encoding *how) {
    static const int containers[] = {SF_FORMAT_WAV, SF_FORMAT_FLAC, SF_FORMAT_OGG};
    static const int subtypes[] = {SF_FORMAT_PCM_16, SF_FORMAT_PCM_24, SF_FORMAT_FLOAT};
    return containers[how->format] |
           (how->format == BC_OGG ? SF_FORMAT_VORBIS : subtypes[how->subtype]);
}

static void configure(SNDFILE *file, const bc_audio_encoding *how) {
    double quality = how->quality;
    sf_command(file, SFC_SET_ADD_PEAK_CHUNK, NULL, SF_FALSE); /* it holds the time of day */
    if (quality >= 0 && how->format == BC_OGG)
        sf_command(file, SFC_SET_VBR_ENCODING_QUALITY, &quality, sizeof quality);
    if (quality >= 0 && how->format == BC_FLAC)
        sf_command(file, SFC_SET_COMPRESSION_LEVEL, &quality, sizeof quality);
}

/* Round to the nearest step and saturate; libsndfile would cut downward.
 * Left-justified in 32 bits, as sf_writef_int wants it. */
static int quantise(float x, int bits) {
    double full = (double)(1 << (bits - 1)), v = nearbyint((double)x * full);
    if (v > full - 1) v = full - 1;
    if (v < -full) v = -full;
    return (int)((unsigned)(int)v << (32 - bits));
}

/* bits 0: as floats. wide and steps: (BLOCK, channels) of scratch. */
static int write_all(SNDFILE *file, const float *y, int channels, int64_t n, int bits,
                     float *wide, int *steps) {
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        for (int c = 0; c < channels; c++)
            for (int64_t k = 0; k < m; k++) {
                float x = y[c * n + i + k];
                if (bits > 0)
                    steps[k * channels + c] = quantise(x, bits);
                else
                    wide[k * channels + c] = x;
            }
        int64_t wrote = bits > 0 ? sf_writef_int(file, steps, m) : sf_writef_float(file, wide, m);
        if (wrote != m) return BC_FAIL;
        if (bc_interrupted()) return BC_STOPPED;
    }
    return BC_OK;
}

static int bits_of(const bc_audio_encoding *how) {
    if (how->format == BC_OGG || how->subtype == BC_AUDIO_FLOAT) return 0;
    return how->subtype == BC_AUDIO_PCM24 ? 24 : 16;
}

int bc_audio_encode(unsigned char **bytes, size_t *size, const float *y, int channels,
                    int64_t n, int sample_rate, const bc_audio_encoding *how,
                    const char *name, bc_error *e) {
    static SF_VIRTUAL_IO io = {memory_size, memory_seek, memory_read, memory_write,
                               memory_tell};
    memory m = {0};
    SF_INFO info = {
        .samplerate = sample_rate, .channels = channels, .format = format_code(how)};
    SNDFILE *file = NULL;
    int rc = BC_NOMEM;
    float *wide = malloc((size_t)channels * BLOCK * sizeof *wide);
    int *steps = malloc((size_t)channels * BLOCK * sizeof *steps);
    if (wide == NULL || steps == NULL) goto out;
    if (n == 0 && how->format == BC_FLAC) { /* libsndfile would write nothing at all */
        rc = bc_fail(e, "%s: flac holds one sample or more", name);
        goto out;
    }
    if (sf_format_check(&info)) file = sf_open_virtual(&io, SFM_WRITE, &info, &m);
    rc = BC_FAIL;
    if (file != NULL) {
        configure(file, how);
        rc = write_all(file, y, channels, n, bits_of(how), wide, steps);
        if (sf_close(file) != 0) rc = BC_FAIL; /* some encoders start only here */
    }
    if (m.full) rc = BC_NOMEM;
    if (rc == BC_FAIL) /* memory does not fail, so the encoder did not like them */
        bc_fail(e, "%s: the format does not hold %d channels at %d Hz", name, channels,
                sample_rate);
    if (rc == BC_OK && how->format == BC_OGG) bc_ogg_stamp(m.bytes, (size_t)m.size);
out:
    free(wide);
    free(steps);
    if (rc != BC_OK) {
        free(m.bytes);
        m = (memory){0};
    }
    *bytes = m.bytes;
    *size = (size_t)m.size;
    return rc;
}
