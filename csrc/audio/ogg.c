/* ogg.c: the pages of Ogg files (RFC 3533). */
#include "ogg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "extent.h"

enum { OGG_HEADER = 27, OGG_LARGEST = 27 + 255 + 255 * 255, OGG_LAST = 4 };

/* CRC-32, polynomial 0x04c11db7, highest bit first, start 0: four bits a step. */
static uint32_t ogg_crc(uint32_t crc, const unsigned char *p, size_t n) {
    static const uint32_t table[16] = {
        0x00000000, 0x04c11db7, 0x09823b6e, 0x0d4326d9, 0x130476dc, 0x17c56b6b,
        0x1a864db2, 0x1e475005, 0x2608edb8, 0x22c9f00f, 0x2f8ad6d6, 0x2b4bcb61,
        0x350c9b64, 0x31cd86d3, 0x3c8ea00a, 0x384fbdbd};
    for (size_t i = 0; i < n; i++) {
        crc ^= (uint32_t)p[i] << 24;
        crc = (crc << 4) ^ table[crc >> 28];
        crc = (crc << 4) ^ table[crc >> 28];
    }
    return crc;
}

/* Bytes of the whole page at p, 0 if there is none (n bytes are left). */
static size_t ogg_page(const unsigned char *p, size_t n) {
    if (n < OGG_HEADER || memcmp(p, "OggS", 4) != 0) return 0;
    size_t segments = p[26], bytes = OGG_HEADER + segments;
    if (n < bytes) return 0;
    for (size_t i = 0; i < segments; i++) bytes += p[OGG_HEADER + i];
    return n < bytes ? 0 : bytes;
}

static uint32_t page_crc(const unsigned char *p, size_t bytes) {
    static const unsigned char zero[4] = {0}; /* the field itself counts as zero */
    return ogg_crc(ogg_crc(ogg_crc(0, p, 22), zero, 4), p + 26, bytes - 26);
}

/* Some writers add tags behind the last page, so the search goes backward to
 * the last page whose checksum is right; and on, for the granule position, to
 * the last one in which a packet ends. */
static bool last_page(int fd, int64_t size, int64_t *granule) {
    size_t n = size < 2 * OGG_LARGEST ? (size_t)size : 2 * OGG_LARGEST;
    unsigned char *tail = malloc(n);
    bool complete = false, found = false;
    if (tail == NULL) return true;
    if (!bc_read_at(fd, tail, n, size - (int64_t)n)) n = 0;
    for (size_t i = n; i-- > 0 && *granule < 0;) {
        size_t bytes = ogg_page(tail + i, n - i);
        if (bytes == 0 || page_crc(tail + i, bytes) != bc_get32(tail + i + 22, false)) continue;
        if (!found) complete = tail[i + 5] & OGG_LAST;
        found = true;
        *granule = (int64_t)(bc_get32(tail + i + 6, false) | (uint64_t)bc_get32(tail + i + 10, false) << 32);
    }
    if (!found && (int64_t)n == size) *granule = 0;
    free(tail);
    return complete;
}

bool bc_ogg_complete(int fd, int64_t size, int64_t *granule) {
    unsigned char id[4];
    *granule = -1;
    if (size < 12 || !bc_read_at(fd, id, 4, 0) || memcmp(id, "OggS", 4) != 0) return true;
    return last_page(fd, size, granule);
}

void bc_ogg_stamp(unsigned char *bytes, size_t size) {
    uint32_t serial = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t at = 0, n; (n = ogg_page(bytes + at, size - at)) > 0; at += n) {
            unsigned char *p = bytes + at;
            bc_put32(p + 14, serial, false);
            bc_put32(p + 22, 0, false);
            if (pass == 1) bc_put32(p + 22, page_crc(p, n), false);
        }
        serial = ogg_crc(0, bytes, size);
    }
}

static bool write_at(int fd, const void *from, size_t n, int64_t at) {
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(fd, (const char *)from + done, n - done, (off_t)(at + (int64_t)done));
        if (k <= 0) return false;
        done += (size_t)k;
    }
    return true;
}

/* One pass over the pages of fd: give each this serial number, and its checksum
 * where `seal`. *sum: checksum of all that was written. */
static bool stamp_pages(int fd, unsigned char *page, uint32_t serial, bool seal, uint32_t *sum) {
    int64_t at = 0;
    for (;;) {
        ssize_t have = pread(fd, page, OGG_LARGEST, (off_t)at);
        if (have <= 0) return have == 0;
        size_t n = ogg_page(page, (size_t)have);
        if (n == 0) {
            errno = EIO;
            return false;
        }
        bc_put32(page + 14, serial, false);
        bc_put32(page + 22, 0, false);
        if (seal) bc_put32(page + 22, page_crc(page, n), false);
        *sum = ogg_crc(*sum, page, n);
        if (!write_at(fd, page, OGG_HEADER, at)) return false;
        at += (int64_t)n;
    }
}

bool bc_ogg_stamp_file(int fd) {
    unsigned char *page = malloc(OGG_LARGEST);
    uint32_t serial = 0, unused = 0;
    errno = ENOMEM;
    bool ok = page != NULL && stamp_pages(fd, page, 0, false, &serial) &&
              stamp_pages(fd, page, serial, true, &unused);
    int code = errno;
    free(page);
    errno = code;
    return ok;
}
