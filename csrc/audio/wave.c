/* wave.c: where the sound is in RIFF and RIFX WAV, RF64 (EBU Tech 3306) and Sony Wave64. */
#include <stdlib.h>
#include <string.h>

#include "extent.h"
#include "tags.h"

enum { FORMAT_MOST = 48, DS64 = 28 };

/* Of the chunks of Wave64: what follows the four letters. */
static const unsigned char guid[12] = {0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1,
                                       0x00, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a};
static const unsigned char list_guid[12] = {0x2f, 0x91, 0xcf, 0x11, 0xa5, 0xd6,
                                            0x28, 0xdb, 0x04, 0xc1, 0x00, 0x00};

typedef struct {
    int fd;
    int64_t size;
    bool big, is_w64;
    bool is_odd; /* laid out in a way that decoders refuse */
    unsigned char format[FORMAT_MOST]; /* the chunk fmt */
    size_t format_bytes;
    int64_t data, claimed; /* the chunk data: its first byte, its bytes by the header */
    int64_t ds64;          /* the same by the chunk ds64; -1: there is none */
} wave;

/* One chunk at `at`: its id, first byte and bytes; false at the end. */
static bool chunk_at(const wave *w, int64_t at, unsigned char *id, int64_t *first, int64_t *bytes) {
    unsigned char p[24];
    size_t header = w->is_w64 ? 24 : 8;
    if (!bc_read_at(w->fd, p, header, at)) return false;
    memcpy(id, p, 4);
    *first = at + (int64_t)header;
    *bytes = w->is_w64 ? (int64_t)bc_get64(p + 16, false) - 24 : (int64_t)bc_get32(p + 4, w->big);
    if (w->is_w64 && memcmp(p + 4, guid, 12) != 0) memcpy(id, "????", 4);
    return *bytes >= 0;
}

/* The next chunk. Some writers leave out the padding of an odd one. */
static int64_t behind(wave *w, int64_t first, int64_t bytes) {
    unsigned char id[4];
    int64_t at = first + bytes;
    if (w->is_w64) return (at + 7) & ~(int64_t)7;
    if ((bytes & 1) == 0 || !bc_read_at(w->fd, id, 4, at)) return at;
    for (int i = 0; i < 4; i++)
        if (id[i] < 0x20 || id[i] > 0x7e) return at + 1;
    w->is_odd = true;
    return at;
}

static void take(wave *w, const unsigned char *id, int64_t first, int64_t bytes) {
    unsigned char p[16];
    if (memcmp(id, "fmt ", 4) == 0 && bytes >= 16 && bytes <= FORMAT_MOST) {
        if (bc_read_at(w->fd, w->format, (size_t)bytes, first)) w->format_bytes = (size_t)bytes;
    } else if (memcmp(id, "ds64", 4) == 0 && bc_read_at(w->fd, p, 16, first)) {
        w->ds64 = (int64_t)bc_get64(p + 8, false);
    } else if (memcmp(id, "data", 4) == 0 && w->data == 0) {
        w->data = first;
        w->is_odd |= w->format_bytes == 0; /* the format is behind the sound */
        w->claimed = bytes;
        if (w->ds64 >= 0 && bytes == UINT32_MAX) w->claimed = w->ds64;
    }
}

static bool find_chunks(wave *w) {
    unsigned char id[4];
    int64_t first, bytes;
    for (int64_t at = w->is_w64 ? 40 : 12; chunk_at(w, at, id, &first, &bytes);) {
        take(w, id, first, bytes);
        if (w->data > 0 && w->format_bytes > 0) return true;
        at = behind(w, first, bytes);
    }
    return false;
}

/* Formats whose frames all have the same number of bytes: PCM, float, A-law and
 * mu-law, and what an extended header says in its own place. */
static bool is_plain(uint32_t tag) {
    return tag == 1 || tag == 3 || tag == 6 || tag == 7 || tag == 0xfffe;
}

static uint32_t get16(const unsigned char *p, bool big) {
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

/* A header of the same format for the bytes that are there. */
static void write_head(bc_extent *x, const wave *w) {
    unsigned char *p = x->head;
    uint64_t bytes = (uint64_t)(x->to - x->from);
    bool large = bytes > UINT32_MAX - BC_HEAD_MOST;
    memcpy(p, w->big ? "RIFX" : large ? "RF64" : "RIFF", 4);
    memcpy(p + 8, "WAVE", 4);
    p += 12;
    if (large) {
        memcpy(p, "ds64", 4);
        bc_put32(p + 4, DS64, false);
        bc_put64(p + 8, bytes + BC_HEAD_MOST, false);
        bc_put64(p + 16, bytes, false);
        bc_put64(p + 24, (uint64_t)x->frames, false);
        bc_put32(p + 32, 0, false);
        p += 8 + DS64;
    }
    memcpy(p, "fmt ", 4);
    bc_put32(p + 4, (uint32_t)w->format_bytes, w->big);
    memcpy(p + 8, w->format, w->format_bytes);
    p += 8 + w->format_bytes;
    memcpy(p, "data", 4);
    bc_put32(p + 4, large ? UINT32_MAX : (uint32_t)bytes, w->big);
    p += 8;
    x->head_bytes = (size_t)(p - x->head);
    bc_put32(x->head + 4, large ? UINT32_MAX : (uint32_t)(x->head_bytes - 8 + bytes), w->big);
}

static bool says_nothing(const wave *w) {
    return w->claimed == 0 || (w->claimed == UINT32_MAX && !w->is_w64 && w->ds64 < 0);
}

static int64_t end_of(const wave *w) {
    if (!w->is_w64) return bc_chunk_end(w->fd, w->size, w->data, w->claimed, w->big);
    int64_t end = w->data + w->claimed, next = (end + 7) & ~(int64_t)7;
    unsigned char p[24];
    if (w->claimed > w->size - w->data) return w->size;
    if (!bc_read_at(w->fd, p, 24, next)) return end;
    return memcmp(p + 4, guid, 12) == 0 || memcmp(p + 4, list_guid, 12) == 0 ? end : w->size;
}

/* Format and sound of a file; its first bytes to head. */
static bool open_wave(wave *w, unsigned char *head, int fd, int64_t size) {
    *w = (wave){.fd = fd, .size = size, .ds64 = -1};
    if (size < 44 || !bc_read_at(fd, head, 12, 0)) return false;
    w->is_w64 = memcmp(head, "riff", 4) == 0;
    w->big = memcmp(head, "RIFX", 4) == 0;
    bool is_riff = memcmp(head, "RIFF", 4) == 0 || w->big || memcmp(head, "RF64", 4) == 0;
    if (!w->is_w64 && (!is_riff || memcmp(head + 8, "WAVE", 4) != 0)) return false;
    return find_chunks(w);
}

bool bc_extent_wave(bc_extent *x, int fd, int64_t size) {
    wave w;
    unsigned char head[12];
    if (!open_wave(&w, head, fd, size)) return false;
    uint32_t tag = get16(w.format, w.big), frame = get16(w.format + 12, w.big);
    x->from = w.data;
    x->to = end_of(&w);
    if (!is_plain(tag) || frame == 0) return true;
    x->frames = (x->to - x->from) / frame;
    x->to = x->from + x->frames * frame;
    x->claimed = says_nothing(&w) ? -1 : w.claimed / frame;
    int64_t seen = w.claimed < size - w.data ? w.claimed : size - w.data; /* by the decoder */
    if (x->frames > 0 && (w.is_odd || seen / frame != x->frames)) write_head(x, &w);
    x->format = x->head_bytes == 0 ? NULL : w.is_w64 ? "w64" : head[1] == 'F' ? "rf64" : "wav";
    return true;
}

/* ---- Texts ---- */

/* A text of fixed size, which ends with its first zero, if there is one. */
static int add_field(bc_tags *t, const char *name, const unsigned char *text, size_t size) {
    return bc_tags_add(t, name, text, strnlen((const char *)text, size));
}

/* EBU Tech 3285. */
static int add_bext(bc_tags *t, const unsigned char *p, size_t n) {
    static const struct {
        const char *name;
        size_t at, bytes;
    } fields[] = {{"bext_description", 0, 256},          {"bext_originator", 256, 32},
                  {"bext_originator_reference", 288, 32}, {"bext_date", 320, 10},
                  {"bext_time", 330, 8}};
    int rc = BC_OK;
    for (size_t i = 0; i < sizeof fields / sizeof *fields && rc == BC_OK; i++)
        if (fields[i].at + fields[i].bytes <= n)
            rc = add_field(t, fields[i].name, p + fields[i].at, fields[i].bytes);
    return rc;
}

/* LIST of the kind INFO: chunks in the chunk. */
static int add_info(bc_tags *t, const unsigned char *p, size_t n, bool big) {
    static const char *const names[][2] = {
        {"ICMT", "comment"}, {"IART", "artist"}, {"ICRD", "date"},      {"INAM", "title"},
        {"IPRD", "album"},   {"IGNR", "genre"},  {"ICOP", "copyright"}, {"ISFT", "software"}};
    int rc = BC_OK;
    if (n < 4 || memcmp(p, "INFO", 4) != 0) return BC_OK;
    for (size_t at = 4; at + 8 <= n && rc == BC_OK;) {
        size_t bytes = bc_get32(p + at + 4, big), left = n - at - 8;
        for (size_t i = 0; i < sizeof names / sizeof *names && rc == BC_OK; i++)
            if (memcmp(p + at, names[i][0], 4) == 0)
                rc = add_field(t, names[i][1], p + at + 8, bytes < left ? bytes : left);
        if (bytes >= left) break;
        at += 8 + bytes + (bytes & 1);
    }
    return rc;
}

/* A chunk, if it has texts; of a truncated one what is there. */
static int add_chunk(bc_tags *t, const wave *w, const unsigned char *id, int64_t first, int64_t bytes) {
    static const char known[] = "LIST bext guan wamd ";
    size_t kind = 0;
    while (known[kind] != '\0' && memcmp(known + kind, id, 4) != 0) kind += 5;
    if (known[kind] == '\0') return BC_OK;
    if (bytes > w->size - first) bytes = w->size - first;
    if (bytes > BC_TAG_BYTES) bytes = BC_TAG_BYTES;
    if (bytes <= 0) return BC_OK;
    unsigned char *p = malloc((size_t)bytes);
    if (p == NULL) return BC_NOMEM;
    int rc = BC_OK;
    if (!bc_read_at(w->fd, p, (size_t)bytes, first)) bytes = 0;
    if (id[0] == 'L')
        rc = add_info(t, p, (size_t)bytes, w->big);
    else if (id[0] == 'b')
        rc = add_bext(t, p, (size_t)bytes);
    else
        rc = bc_tags_add(t, id[0] == 'g' ? "guano" : "wamd", p, (size_t)bytes);
    free(p);
    return rc;
}

int bc_tags_of_wave(bc_tags *t, int fd, int64_t size) {
    enum { CHUNKS_MOST = 4096 }; /* or a file of nothing but empty ones takes long */
    wave w;
    unsigned char head[12], id[4];
    if (!open_wave(&w, head, fd, size)) return BC_OK;
    int64_t at = w.is_w64 ? 40 : 12, first, bytes, end = end_of(&w);
    int rc = BC_OK;
    for (int i = 0; i < CHUNKS_MOST && rc == BC_OK && chunk_at(&w, at, id, &first, &bytes); i++) {
        if (first == w.data)
            bytes = end - first;
        else
            rc = add_chunk(t, &w, id, first, bytes);
        at = behind(&w, first, bytes);
    }
    return rc;
}
