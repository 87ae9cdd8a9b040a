/* flac.c: how long a FLAC file is, by its last frame (RFC 9639). */
#include <stdlib.h>
#include <string.h>

#include "extent.h"

enum {
    STREAMINFO = 42, /* bytes up to its end */
    TAIL = 1 << 19,
    HEADER_MOST = 16,
    BEGINS = 4,
    TAG = 128 /* bytes of an ID3v1 tag */
};

typedef struct {
    int64_t first; /* sample of the stream */
    int64_t samples;
    size_t header; /* bytes */
} frame;

static uint8_t crc8(const unsigned char *p, size_t n) {
    uint8_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = (uint8_t)(crc << 1 ^ (crc & 0x80 ? 0x07 : 0));
    }
    return crc;
}

static uint16_t crc16(const unsigned char *p, size_t n) {
    uint16_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc ^= (uint16_t)(p[i] << 8);
        for (int bit = 0; bit < 8; bit++) crc = (uint16_t)(crc << 1 ^ (crc & 0x8000 ? 0x8005 : 0));
    }
    return crc;
}

/* A number as UTF-8 codes it, up to 36 bits; its bytes, 0 if it is none. */
static size_t coded_number(const unsigned char *p, int64_t *number) {
    size_t n = 0;
    while (n < 8 && (p[0] << n & 0x80)) n++;
    if (n == 1 || n == 8) return 0;
    if (n == 0) n = 1;
    *number = n == 1 ? p[0] : p[0] & (0x7f >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        *number = *number << 6 | (p[i] & 0x3f);
    }
    return n;
}

/* The frame header at p, of which HEADER_MOST bytes can be read. `block`: samples of
 * a frame where all have as many. */
static bool read_frame(const unsigned char *p, int64_t block, frame *f) {
    if (p[0] != 0xff || (p[1] & 0xfe) != 0xf8) return false;
    int size = p[2] >> 4, rate = p[2] & 15, channels = p[3] >> 4, depth = p[3] >> 1 & 7;
    if (size == 0 || rate == 15 || channels > 10 || depth == 3 || (p[3] & 1)) return false;
    int64_t number;
    size_t n = coded_number(p + 4, &number);
    if (n == 0) return false;
    n += 4;
    if (size == 6) f->samples = p[n] + 1, n += 1;
    else if (size == 7) f->samples = (p[n] << 8 | p[n + 1]) + 1, n += 2;
    else f->samples = size == 1 ? 192 : size < 6 ? 576 << (size - 2) : 256 << (size - 8);
    n += rate == 12 ? 1 : rate >= 13 ? 2 : 0;
    if (crc8(p, n) != p[n]) return false;
    f->header = n + 1;
    f->first = p[1] & 1 ? number : number * block;
    return true;
}

/* Does the frame at `from` end at `to`? */
static bool is_whole(const unsigned char *tail, size_t from, size_t to, const frame *f) {
    if (to < from + f->header + 2) return false;
    return crc16(tail + from, to - 2 - from) == (tail[to - 2] << 8 | tail[to - 1]);
}

/* The samples up to the end of the last frame whose checksum is right. From the end
 * backward, a frame ends where another begins, or at the end of the file, but for a tag. */
static bool count_samples(const unsigned char *tail, size_t n, int64_t block, int64_t *samples) {
    size_t begins[BEGINS], found = 0; /* of what looks like frames, the last ones seen */
    for (size_t i = n; i-- > 0;) {
        frame f;
        if (!read_frame(tail + i, block, &f)) continue;
        *samples = f.first + f.samples;
        for (size_t tag = 0; found < BEGINS && tag <= TAG && tag < n - i; tag++)
            if (is_whole(tail, i, n - tag, &f)) return true;
        for (size_t k = 0; k < found && k < BEGINS; k++)
            if (is_whole(tail, i, begins[k], &f)) return true;
        begins[found++ % BEGINS] = i;
    }
    return false;
}

bool bc_extent_flac(bc_extent *x, int fd, int64_t size) {
    unsigned char h[STREAMINFO];
    if (!bc_read_at(fd, h, STREAMINFO, 0) || (h[4] & 0x7f) != 0) return false;
    int64_t block = h[8] << 8 | h[9], at = STREAMINFO;
    int64_t claimed = (int64_t)(bc_get64(h + 18, true) & 0xfffffffff);
    for (unsigned char b[4] = {h[4]}; !(b[0] & 0x80); at += 4 + (b[1] << 16 | b[2] << 8 | b[3]))
        if (!bc_read_at(fd, b, 4, at)) return false;
    int64_t from = size - TAIL > at ? size - TAIL : at, samples;
    size_t n = size > from ? (size_t)(size - from) : 0;
    unsigned char *tail = calloc(1, n + HEADER_MOST); /* a header may begin in the last bytes */
    bool found = tail != NULL && bc_read_at(fd, tail, n, from) &&
                 count_samples(tail, n, block, &samples);
    free(tail);
    if (!found) return false;
    *x = (bc_extent){.from = STREAMINFO, .to = size, .frames = samples, .claimed = -1};
    if (claimed > 0) x->claimed = claimed;
    if (claimed == samples) return true;
    memcpy(x->head, h, STREAMINFO);
    bc_put64(x->head + 18, (bc_get64(h + 18, true) & ~(uint64_t)0xfffffffff) | (uint64_t)samples,
             true);
    memset(x->head + 26, 0, 16); /* the checksum is of another sound */
    x->head_bytes = STREAMINFO;
    return true;
}
