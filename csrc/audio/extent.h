/* extent.h: which bytes of a file are sound, whatever its header claims.
 *
 * Recorders that lose power, streams that never come back to fill in a size, and
 * files above 4 GB leave headers that say too much, too little or nothing. */
#ifndef BC_AUDIO_EXTENT_H
#define BC_AUDIO_EXTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BC_HEAD_MOST = 160 };

typedef struct bc_extent {
    int64_t from, to; /* the sound, bytes of the file */
    int64_t frames;   /* samples per channel in it; -1: only decoding can tell */
    int64_t claimed;  /* frames by the header; -1: it says nothing */
    const char *format; /* its name, where the head below is of another; else NULL */
    /* Where the header is wrong, one that is right, to be read in place of all
     * that is in front of `from` (and nothing behind `to`); else 0 bytes. */
    unsigned char head[BC_HEAD_MOST];
    size_t head_bytes;
} bc_extent;

/* Of WAV, RF64, W64, AIFF, AU and FLAC; of every other file (fd, of size bytes)
 * all bytes, and nothing is known. */
bc_extent bc_extent_of(int fd, int64_t size);

/* The parts of the above, by format; false if it cannot tell. */
bool bc_extent_wave(bc_extent *x, int fd, int64_t size); /* RIFF, RIFX, RF64, W64 */
bool bc_extent_aiff(bc_extent *x, int fd, int64_t size);
bool bc_extent_au(bc_extent *x, int fd, int64_t size);
bool bc_extent_flac(bc_extent *x, int fd, int64_t size);

/* What a decoder reads: the head, then the sound. Positions count from the head's
 * first byte, or, without a head, from the file's. */
typedef struct bc_view {
    int fd;
    const bc_extent *extent;
    int64_t size, at;
} bc_view;

bc_view bc_view_of(int fd, const bc_extent *x, int64_t size);
int64_t bc_view_read(bc_view *v, void *to, int64_t n); /* bytes read; 0 at the end */

/* n bytes of fd at `at`; false if they are not all there. */
bool bc_read_at(int fd, void *to, size_t n, int64_t at);

/* Integers in a file's order of bytes. */
uint32_t bc_get32(const unsigned char *p, bool big);
uint64_t bc_get64(const unsigned char *p, bool big);
void bc_put32(unsigned char *p, uint32_t x, bool big);
void bc_put64(unsigned char *p, uint64_t x, bool big);

/* Where the sound ends that begins at `start` and has `claimed` bytes by its
 * chunk's header: there, if nothing is behind it but other chunks; else at the
 * end of the file, or where its last chunks begin. */
int64_t bc_chunk_end(int fd, int64_t size, int64_t start, int64_t claimed, bool big);

#endif
