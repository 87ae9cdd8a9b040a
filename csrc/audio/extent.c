/* extent.c: reading of files in parts, and what follows the sound in a file of chunks. */
#include "extent.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TAIL = 1 << 18,   /* bytes in which chunks behind sound of unknown length are looked for */
    PADDING = 1 << 16 /* so many zeros behind the sound are the writer's blocks, no sound */
};

bool bc_read_at(int fd, void *to, size_t n, int64_t at) {
    for (size_t done = 0; done < n;) {
        ssize_t k = pread(fd, (char *)to + done, n - done, at + (int64_t)done);
        if (k <= 0) return false;
        done += (size_t)k;
    }
    return true;
}

uint32_t bc_get32(const unsigned char *p, bool big) {
    uint32_t x = 0;
    for (int i = 0; i < 4; i++) x |= (uint32_t)p[big ? 3 - i : i] << (8 * i);
    return x;
}

uint64_t bc_get64(const unsigned char *p, bool big) {
    uint64_t low = bc_get32(big ? p + 4 : p, big), high = bc_get32(big ? p : p + 4, big);
    return high << 32 | low;
}

void bc_put32(unsigned char *p, uint32_t x, bool big) {
    for (int i = 0; i < 4; i++) p[big ? 3 - i : i] = (unsigned char)(x >> (8 * i));
}

void bc_put64(unsigned char *p, uint64_t x, bool big) {
    bc_put32(big ? p + 4 : p, (uint32_t)x, big);
    bc_put32(big ? p : p + 4, (uint32_t)(x >> 32), big);
}

static bool is_id(const unsigned char *p) {
    for (int i = 0; i < 4; i++)
        if (p[i] < 0x20 || p[i] > 0x7e) return false;
    return true;
}

/* Do chunks follow one another from `at` to the end of the file? True, too, where
 * less than a chunk's header is left. */
static bool is_chain(int fd, int64_t size, int64_t at, bool big) {
    unsigned char chunk[8];
    while (size - at >= 8) {
        if (!bc_read_at(fd, chunk, 8, at) || !is_id(chunk)) return false;
        int64_t bytes = bc_get32(chunk + 4, big);
        at += 8 + bytes + (bytes & 1);
    }
    return at <= size + 1; /* the last one may lack its padding */
}

static bool is_zero(int fd, int64_t from, int64_t to) {
    unsigned char bytes[512];
    if (to - from > PADDING) return false;
    while (from < to) {
        size_t n = to - from < (int64_t)sizeof bytes ? (size_t)(to - from) : sizeof bytes;
        if (!bc_read_at(fd, bytes, n, from)) return false;
        for (size_t i = 0; i < n; i++)
            if (bytes[i] != 0) return false;
        from += (int64_t)n;
    }
    return true;
}

/* Chunks that recorders and editors put behind the sound. */
static bool is_known(const unsigned char *p) {
    static const char ids[][5] = {"LIST", "id3 ", "ID3 ", "bext", "iXML", "cue ", "smpl", "fact",
                                  "JUNK", "junk", "PAD ", "inst", "plst", "guan", "wamd", "_PMX",
                                  "afsp", "DISP", "PEAK", "acid", "strc", "cart", "aXML", "ANNO",
                                  "NAME", "AUTH", "MARK", "APPL", "COMT", "(c) "};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (memcmp(p, ids[i], 4) == 0) return true;
    return false;
}

/* The first place behind `start`, near the end, from where on there are chunks. */
static int64_t last_chunks(int fd, int64_t size, int64_t start, bool big) {
    int64_t from = size - TAIL > start ? size - TAIL : start, found = size;
    size_t n = (size_t)(size - from);
    unsigned char *tail = malloc(n + 1);
    if (tail != NULL && bc_read_at(fd, tail, n, from))
        for (size_t i = 0; i + 8 <= n && found == size; i++)
            if (is_known(tail + i) && is_chain(fd, size, from + (int64_t)i, big))
                found = from + (int64_t)i;
    free(tail);
    return found;
}

int64_t bc_chunk_end(int fd, int64_t size, int64_t start, int64_t claimed, bool big) {
    if (claimed >= 0 && claimed <= size - start) {
        int64_t end = start + claimed;
        if (is_chain(fd, size, end + (claimed & 1), big) || is_chain(fd, size, end, big) ||
            (claimed > 0 && is_zero(fd, end, size)))
            return end;
    }
    return last_chunks(fd, size, start, big);
}

bc_extent bc_extent_of(int fd, int64_t size) {
    bc_extent x = {.frames = -1, .claimed = -1}, all = {.to = size, .frames = -1, .claimed = -1};
    unsigned char id[4];
    bool found = false;
    if (!bc_read_at(fd, id, 4, 0)) return all;
    if (memcmp(id, "fLaC", 4) == 0)
        found = bc_extent_flac(&x, fd, size);
    else if (memcmp(id, "FORM", 4) == 0)
        found = bc_extent_aiff(&x, fd, size);
    else if (memcmp(id, ".snd", 4) == 0 || memcmp(id, "dns.", 4) == 0)
        found = bc_extent_au(&x, fd, size);
    else
        found = bc_extent_wave(&x, fd, size);
    return found ? x : all;
}

bc_view bc_view_of(int fd, const bc_extent *x, int64_t size) {
    int64_t head = (int64_t)x->head_bytes;
    return (bc_view){fd, x, head > 0 ? head + x->to - x->from : size, 0};
}

int64_t bc_view_read(bc_view *v, void *to, int64_t n) {
    int64_t head = (int64_t)v->extent->head_bytes, done = 0;
    if (n > v->size - v->at) n = v->size - v->at;
    while (done < n) {
        int64_t k;
        if (v->at < head) {
            k = head - v->at < n - done ? head - v->at : n - done;
            memcpy((char *)to + done, v->extent->head + v->at, (size_t)k);
        } else {
            int64_t at = head > 0 ? v->extent->from + v->at - head : v->at;
            k = pread(v->fd, (char *)to + done, (size_t)(n - done), at);
            if (k <= 0) break;
        }
        v->at += k;
        done += k;
    }
    return done;
}
