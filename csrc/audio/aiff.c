/* aiff.c: where the sound is in AIFF, AIFF-C and AU files. */
#include <string.h>

#include "extent.h"

enum { COMMON_MOST = 64 };

typedef struct {
    unsigned char kind[4], common[COMMON_MOST]; /* AIFF or AIFC; the chunk COMM */
    size_t common_bytes;
    int64_t data, claimed; /* the sound in the chunk SSND */
} aiff;

static bool find_chunks(aiff *f, int fd) {
    unsigned char p[16];
    for (int64_t at = 12; bc_read_at(fd, p, 8, at);) {
        int64_t bytes = bc_get32(p + 4, true);
        if (memcmp(p, "COMM", 4) == 0 && bytes >= 18 && bytes <= COMMON_MOST &&
            bc_read_at(fd, f->common, (size_t)bytes, at + 8))
            f->common_bytes = (size_t)bytes;
        if (memcmp(p, "SSND", 4) == 0 && bc_read_at(fd, p, 16, at)) {
            int64_t skipped = 8 + (int64_t)bc_get32(p + 8, true);
            f->data = at + 8 + skipped;
            f->claimed = bytes - skipped;
        }
        if (f->data > 0 && f->common_bytes > 0) return true;
        at += 8 + bytes + (bytes & 1);
    }
    return false;
}

/* Bytes of a frame; 0 where they vary. */
static int64_t frame_bytes(const aiff *f) {
    static const char plain[] = "NONE twos sowt raw  fl32 FL32 fl64 FL64 in24 in32 alaw ulaw ALAW ULAW ";
    const unsigned char *c = f->common;
    int64_t channels = c[0] << 8 | c[1], bits = c[6] << 8 | c[7];
    if (memcmp(f->kind, "AIFC", 4) != 0) return channels * ((bits + 7) / 8);
    if (f->common_bytes < 22) return 0;
    for (const char *id = plain; *id != '\0'; id += 5)
        if (memcmp(c + 18, id, 4) == 0)
            return (id[1] | 0x20) == 'l' && (id[2] | 0x20) == 'a' ? channels
                                                                   : channels * ((bits + 7) / 8);
    return 0;
}

static void write_head(bc_extent *x, const aiff *f) {
    unsigned char *p = x->head;
    uint32_t bytes = (uint32_t)(x->to - x->from);
    memcpy(p, "FORM", 4);
    memcpy(p + 8, f->kind, 4);
    memcpy(p + 12, "COMM", 4);
    bc_put32(p + 16, (uint32_t)f->common_bytes, true);
    memcpy(p + 20, f->common, f->common_bytes);
    bc_put32(p + 22, (uint32_t)x->frames, true);
    p += 20 + f->common_bytes + (f->common_bytes & 1);
    memcpy(p, "SSND", 4);
    bc_put32(p + 4, bytes + 8, true);
    memset(p + 8, 0, 8);
    x->head_bytes = (size_t)(p + 16 - x->head);
    bc_put32(x->head + 4, (uint32_t)x->head_bytes - 8 + bytes, true);
}

bool bc_extent_aiff(bc_extent *x, int fd, int64_t size) {
    aiff f = {.data = 0};
    if (!bc_read_at(fd, f.kind, 4, 8) || !find_chunks(&f, fd)) return false;
    int64_t frame = frame_bytes(&f);
    if (frame == 0 || f.data > size) return false;
    x->from = f.data;
    x->to = bc_chunk_end(fd, size, f.data, f.claimed, true);
    x->frames = (x->to - x->from) / frame;
    x->to = x->from + x->frames * frame;
    uint32_t claimed = bc_get32(f.common + 2, true);
    x->claimed = claimed == 0 || claimed == UINT32_MAX ? -1 : (int64_t)claimed;
    int64_t seen = f.claimed < size - f.data ? f.claimed : size - f.data;
    if (x->frames > 0 && x->to - x->from < UINT32_MAX - BC_HEAD_MOST &&
        (seen / frame != x->frames || claimed != x->frames))
        write_head(x, &f);
    return true;
}

/* Bytes of a sample by the number of its encoding; 0 where they vary. */
static int64_t sample_bytes(uint32_t encoding) {
    static const unsigned char bytes[] = {0, 1, 1, 2, 3, 4, 4, 8};
    return encoding < sizeof bytes ? bytes[encoding] : encoding == 27 ? 1 : 0;
}

bool bc_extent_au(bc_extent *x, int fd, int64_t size) {
    unsigned char h[24];
    if (!bc_read_at(fd, h, 24, 0)) return false;
    bool big = h[0] == '.';
    int64_t from = bc_get32(h + 4, big), claimed = bc_get32(h + 8, big);
    int64_t frame = sample_bytes(bc_get32(h + 12, big)) * (int64_t)bc_get32(h + 20, big);
    if (frame <= 0 || from < 24 || from > size) return false;
    x->from = from;
    x->frames = (size - from) / frame; /* nothing can be behind the sound */
    x->to = from + x->frames * frame;
    x->claimed = claimed == 0 || claimed == UINT32_MAX ? -1 : claimed / frame;
    if (x->claimed < 0 || x->claimed >= x->frames) return true;
    memcpy(x->head, h, 24);
    bc_put32(x->head + 4, 24, big);
    bc_put32(x->head + 8, UINT32_MAX, big); /* to the end */
    x->head_bytes = 24;
    return true;
}
