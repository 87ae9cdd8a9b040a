/* audio.h: sound files in and out (libsndfile), and their sample rate (libsoxr).
 *
 * Samples are f32 as the decoder gives them: no gain, no clipping, so that
 * lossy formats may exceed 1. One channel is (samples), several are
 * (channels, samples). Times are seconds from the start of the recording. */
#ifndef BC_AUDIO_H
#define BC_AUDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"
#include "tags.h"

#define BC_AUDIO_MAX_RATE 10000000 /* Hz */

typedef struct bc_audio_info {
    int64_t frames; /* samples per channel; -1 when only decoding can tell */
    int channels;
    int sample_rate;
    double seconds;   /* -1 when unknown */
    char format[16];  /* "ogg", "flac", "wav", "mp3" ... */
    char subtype[32]; /* "vorbis", "pcm16", "float" ... */
    bool complete;    /* false: the file ends before its end (truncated) */
    double ends_s;    /* where a truncated one ends; -1 when unknown */
    double claimed_s; /* length by its header, where that is wrong; -1: it is right, or silent */
} bc_audio_info;

typedef struct bc_audio_options {
    int sample_rate; /* convert to this; 0: as in the file */
    bool mono;       /* arithmetic mean of the channels, in f32 */
    int channel;     /* only this one, from 1; 0: all of them, or their mean */
    bool strict;     /* refuse what is truncated or damaged, or longer than its header says */
} bc_audio_options;

/* A file open for reading, block by block. */
typedef struct bc_audio bc_audio;

/* BC_FAIL, with a text that begins with the path: missing, not a regular file,
 * empty, not audio, without the channel that is wanted; if strict, with a wrong header or
 * truncated. Close with bc_audio_close. */
int bc_audio_open(bc_audio **a, const char *path, const bc_audio_options *o, bc_error *e);
void bc_audio_close(bc_audio *a); /* NULL is fine */

const bc_audio_info *bc_audio_info_of(const bc_audio *a); /* as in the file */
bool bc_audio_is_mono(const bc_audio *a);   /* opened with mono, or for one channel */
int bc_audio_rows(const bc_audio *a);       /* channels that read gives */
int bc_audio_rate(const bc_audio *a);       /* sample rate that read gives */
int64_t bc_audio_length(const bc_audio *a); /* samples at that rate; -1 when unknown */
int64_t bc_audio_tell(const bc_audio *a);   /* next sample, at that rate */

/* Continue at a sample, at the rate that read gives, 0 <= sample <= length.
 * With conversion the decoder starts a little earlier, so that what is read
 * is what a read from the start gives there, but for rounding (1e-6). */
int bc_audio_seek(bc_audio *a, int64_t sample, bc_error *e);

/* What a reader should be told of the file, NULL if nothing: that its header claims
 * another length, or, once that was met, where it is damaged, and which samples are no number. */
const char *bc_audio_warning(bc_audio *a);

/* Up to n samples per channel: channel c to out + c*stride. *got < n only at
 * the end, or where the file is damaged (BC_FAIL if strict). BC_FAIL when a sample
 * is NaN or infinite. */
int bc_audio_read(bc_audio *a, float *out, int64_t stride, int64_t n, int64_t *got,
                  bc_error *e);

/* For a length that is not known before the end, or too large to believe:
 * read n samples (< 0: all) into memory of its own, then join its *total into
 * out (rows, total). */
typedef struct bc_pieces bc_pieces;
int bc_pieces_read(bc_pieces **p, int64_t *total, bc_audio *a, int64_t n, bc_error *e);
void bc_pieces_join(float *out, int64_t total, const bc_pieces *p);
void bc_pieces_free(bc_pieces *p); /* NULL is fine */

/* What the file says of itself in words, added to t, which the caller frees. BC_NOMEM. */
int bc_audio_tags(bc_audio *a, bc_tags *t);

/* Samples after conversion: ceil(n*to/from). */
int64_t bc_resample_length(int64_t n, int from, int to);

/* Rates that are further apart take soxr too long, without a way to stop it. */
enum { BC_RESAMPLE_MOST = 65536 };
bool bc_resample_can(int from, int to);

/* BC_FAIL if it cannot, with a text that begins with the path. */
int bc_resample_check(int from, int to, const char *path, bc_error *e);

/* soxr "HQ" (20 bits, linear phase), no gain: in (n) at from Hz to out
 * (bc_resample_length) at to Hz. Equal rates copy. BC_FAIL: soxr refused. */
int bc_resample(float *out, const float *in, int64_t n, int from, int to, bc_error *e);

/* Position of the first NaN or infinity of y (n), or -1. */
int64_t bc_audio_first_bad(const float *y, int64_t n);

enum bc_audio_format { BC_WAV, BC_FLAC, BC_OGG };
enum bc_audio_subtype { BC_AUDIO_PCM16, BC_AUDIO_PCM24, BC_AUDIO_FLOAT };

/* How to write. Integer samples are rounded and saturate at full scale; ogg
 * (Vorbis) takes no subtype. quality 0..1: of Vorbis, or the effort of FLAC;
 * < 0 the library's own. */
typedef struct bc_audio_encoding {
    enum bc_audio_format format;
    enum bc_audio_subtype subtype;
    double quality;
} bc_audio_encoding;

/* y (channels, n), finite, as a file in memory: malloc'ed, for the caller to
 * free. The same samples give the same bytes, Ogg serial number included.
 * name begins the text of a failure. */
int bc_audio_encode(unsigned char **bytes, size_t *size, const float *y, int channels,
                    int64_t n, int sample_rate, const bc_audio_encoding *how,
                    const char *name, bc_error *e);

/* The same on disk, block by block in little memory: whole or not at all.
 * BC_FAIL, with a text that begins with the path: the format does not hold so
 * many channels at this rate, a full disk, a WAV over 4 GB, a FLAC of no sample.
 * After any failure but one of open only free is left to do; after commit nothing is. */
typedef struct bc_audio_writer bc_audio_writer;
int bc_audio_writer_open(bc_audio_writer **w, const char *path, int channels, int sample_rate,
                         const bc_audio_encoding *how, bc_error *e);
/* n finite samples per channel, channel c from y + c*stride. */
int bc_audio_writer_put(bc_audio_writer *w, const float *y, int64_t stride, int64_t n,
                        bc_error *e);
/* The very steps, where takes_i16: one channel of pcm16. */
int bc_audio_writer_put_i16(bc_audio_writer *w, const int16_t *y, int64_t n, bc_error *e);
bool bc_audio_writer_takes_i16(const bc_audio_writer *w);
int64_t bc_audio_writer_samples(const bc_audio_writer *w); /* per channel, so far */
int bc_audio_writer_commit(bc_audio_writer *w, bc_error *e); /* frees it in any case */
void bc_audio_writer_free(bc_audio_writer *w); /* nothing stays; NULL is fine */

/* The libraries that decode and resample, and their versions. */
const char *bc_audio_libraries(void);
const char *bc_resampler_library(void);

#endif
