/* encoder.h: samples into libsndfile, block by block; write.c and writer.c say where
 * the bytes go. */
#ifndef BC_AUDIO_ENCODER_H
#define BC_AUDIO_ENCODER_H

#include <sndfile.h>
#include <stdint.h>

#include "audio.h"

typedef struct bc_encoder {
    SNDFILE *file;      /* NULL: closed */
    int channels, bits; /* bits 0: floats */
    float *wide;        /* (block, channels) that wait to be written, or the steps */
    int *steps;
    int64_t have; /* of them */
} bc_encoder;

/* BC_FAIL, without a text: the format does not hold so many channels at this
 * rate. Close it whatever open returned. */
int bc_encoder_open(bc_encoder *c, SF_VIRTUAL_IO *io, void *user, int channels, int sample_rate,
                    const bc_audio_encoding *how);

/* n finite samples of each channel, channel k at y + k*stride. BC_FAIL, without a
 * text: not all were taken. */
int bc_encoder_write(bc_encoder *c, const float *y, int64_t stride, int64_t n);

/* One channel of 16 bits, as it is; the encoder has subtype pcm16. */
int bc_encoder_write_i16(bc_encoder *c, const int16_t *y, int64_t n);

/* The last block, and what some encoders hold back to the end, is written here:
 * status as of write. */
int bc_encoder_close(bc_encoder *c); /* safe on a closed one */

#endif
