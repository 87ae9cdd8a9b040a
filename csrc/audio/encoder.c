/* encoder.c: rounding, interleaving and the settings of libsndfile. */
#include "encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/interrupt.h"

/* Frames per call: libvorbis keeps all of a call's samples on the stack. */
enum { BLOCK = 4096 };

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

static int bits_of(const bc_audio_encoding *how) {
    if (how->format == BC_OGG || how->subtype == BC_AUDIO_FLOAT) return 0;
    return how->subtype == BC_AUDIO_PCM24 ? 24 : 16;
}

int bc_encoder_open(bc_encoder *c, SF_VIRTUAL_IO *io, void *user, int channels, int sample_rate,
                    const bc_audio_encoding *how) {
    SF_INFO info = {.samplerate = sample_rate, .channels = channels, .format = format_code(how)};
    memset(c, 0, sizeof *c);
    c->channels = channels;
    c->bits = bits_of(how);
    c->wide = malloc((size_t)channels * BLOCK * sizeof *c->wide);
    c->steps = malloc((size_t)channels * BLOCK * sizeof *c->steps);
    if (c->wide == NULL || c->steps == NULL) return BC_NOMEM;
    if (sf_format_check(&info)) c->file = sf_open_virtual(io, SFM_WRITE, &info, user);
    if (c->file == NULL) return BC_FAIL;
    configure(c->file, how);
    return BC_OK;
}

/* Round to the nearest step and saturate; libsndfile would cut downward.
 * Left-justified in 32 bits, as sf_writef_int wants it. */
static int quantise(float x, int bits) {
    double full = (double)(1 << (bits - 1)), v = nearbyint((double)x * full);
    if (v > full - 1) v = full - 1;
    if (v < -full) v = -full;
    return (int)((unsigned)(int)v << (32 - bits));
}

/* Always in whole blocks but for the last: the packets of Vorbis depend on them. */
static int flush(bc_encoder *c) {
    int64_t n = c->have;
    c->have = 0;
    int64_t wrote =
        c->bits > 0 ? sf_writef_int(c->file, c->steps, n) : sf_writef_float(c->file, c->wide, n);
    if (wrote != n) return BC_FAIL;
    return bc_interrupted() ? BC_STOPPED : BC_OK;
}

int bc_encoder_write(bc_encoder *c, const float *y, int64_t stride, int64_t n) {
    int channels = c->channels, rc = BC_OK;
    for (int64_t i = 0, m; i < n && rc == BC_OK; i += m) {
        m = n - i < BLOCK - c->have ? n - i : BLOCK - c->have;
        for (int k = 0; k < channels; k++)
            for (int64_t j = 0; j < m; j++) {
                float x = y[k * stride + i + j];
                int64_t at = (c->have + j) * channels + k;
                if (c->bits > 0)
                    c->steps[at] = quantise(x, c->bits);
                else
                    c->wide[at] = x;
            }
        c->have += m;
        if (c->have == BLOCK) rc = flush(c);
    }
    return rc;
}

int bc_encoder_write_i16(bc_encoder *c, const int16_t *y, int64_t n) {
    int rc = BC_OK;
    for (int64_t i = 0; i < n && rc == BC_OK; i++) {
        c->steps[c->have++] = y[i] * 65536;
        if (c->have == BLOCK) rc = flush(c);
    }
    return rc;
}

int bc_encoder_close(bc_encoder *c) {
    int rc = BC_OK;
    if (c->file != NULL) {
        if (c->have > 0) rc = flush(c);
        if (sf_close(c->file) != 0 && rc == BC_OK) rc = BC_FAIL; /* some encoders start only here */
    }
    free(c->wide);
    free(c->steps);
    memset(c, 0, sizeof *c);
    return rc;
}
