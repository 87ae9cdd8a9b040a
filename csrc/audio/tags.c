/* tags.c: texts of sound files: of FLAC its Vorbis comments; of others what libsndfile knows. */
#include "tags.h"

#include <ctype.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

#include "extent.h"

int bc_tags_add(bc_tags *t, const char *name, const void *text, size_t bytes) {
    size_t length = strlen(name);
    if (length == 0 || length >= BC_TAG_NAME || bytes == 0 || t->count == BC_TAGS_MOST) return BC_OK;
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->list[i].name, name) == 0) return BC_OK;
    bc_tag *tag = &t->list[t->count];
    tag->bytes = bytes < BC_TAG_BYTES ? bytes : BC_TAG_BYTES;
    tag->text = malloc(tag->bytes);
    if (tag->text == NULL) return BC_NOMEM;
    memcpy(tag->name, name, length + 1);
    memcpy(tag->text, text, tag->bytes);
    t->count++;
    return BC_OK;
}

int bc_tags_add_comment(bc_tags *t, const char *comment, size_t bytes) {
    char name[BC_TAG_NAME];
    const char *equals = memchr(comment, '=', bytes);
    size_t n = equals == NULL ? 0 : (size_t)(equals - comment);
    if (n == 0 || n >= sizeof name) return BC_OK;
    for (size_t i = 0; i < n; i++) name[i] = (char)tolower((unsigned char)comment[i]);
    name[n] = '\0';
    return bc_tags_add(t, name, equals + 1, bytes - n - 1);
}

void bc_tags_free(bc_tags *t) {
    for (size_t i = 0; i < t->count; i++) free(t->list[i].text);
    t->count = 0;
}

int bc_tags_of_sndfile(bc_tags *t, void *file) {
    static const struct {
        int code;
        const char *name;
    } names[] = {{SF_STR_COMMENT, "comment"},     {SF_STR_ARTIST, "artist"}, {SF_STR_DATE, "date"},
                 {SF_STR_TITLE, "title"},         {SF_STR_ALBUM, "album"},   {SF_STR_GENRE, "genre"},
                 {SF_STR_COPYRIGHT, "copyright"}, {SF_STR_SOFTWARE, "software"}};
    int rc = BC_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && rc == BC_OK; i++) {
        const char *text = sf_get_string(file, names[i].code);
        if (text != NULL) rc = bc_tags_add(t, names[i].name, text, strlen(text));
    }
    return rc;
}

/* The comments in a block of n bytes: a vendor, a number, then so many texts, each
 * behind its length. */
static int add_comments(bc_tags *t, const unsigned char *p, size_t n) {
    size_t at = 0, left = 0;
    int rc = BC_OK;
    for (bool is_vendor = true; rc == BC_OK && n - at >= 4; is_vendor = false) {
        if (!is_vendor && left-- == 0) break;
        size_t bytes = bc_get32(p + at, false);
        at += 4;
        if (bytes > n - at) break;
        if (!is_vendor) rc = bc_tags_add_comment(t, (const char *)p + at, bytes);
        at += bytes;
        if (!is_vendor) continue;
        if (n - at < 4) break;
        left = bc_get32(p + at, false);
        at += 4;
    }
    return rc;
}

int bc_tags_of_flac(bc_tags *t, int fd) {
    enum { COMMENTS = 4, BLOCK_MOST = 1 << 20 };
    unsigned char b[4] = {0};
    for (int64_t at = 4; !(b[0] & 0x80) && bc_read_at(fd, b, 4, at);) {
        size_t bytes = (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
        at += 4;
        if ((b[0] & 0x7f) == COMMENTS && bytes <= BLOCK_MOST) {
            unsigned char *p = malloc(bytes + 1);
            if (p == NULL) return BC_NOMEM;
            int rc = bc_read_at(fd, p, bytes, at) ? add_comments(t, p, bytes) : BC_OK;
            free(p);
            return rc;
        }
        at += (int64_t)bytes;
    }
    return BC_OK;
}
