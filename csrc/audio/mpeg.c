/* mpeg.c: libmpg123 on a view of a file. */
#include "mpeg.h"

#include <mpg123.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kind.h"

struct bc_mpeg {
    mpg123_handle *handle;
    bc_view view;
    int64_t from, to; /* of the view, where the sound is */
    int layer, channels, rate;
    int64_t frames, claimed;
};

static ssize_t read_bytes(void *context, void *to, size_t n) {
    bc_mpeg *m = context;
    if ((int64_t)n > m->to - m->view.at) n = (size_t)(m->to - m->view.at);
    return (ssize_t)bc_view_read(&m->view, to, (int64_t)n);
}

static off_t seek_bytes(void *context, off_t offset, int whence) {
    bc_mpeg *m = context;
    int64_t at = whence == SEEK_SET ? m->from : whence == SEEK_CUR ? m->view.at : m->to;
    if (at + offset < m->from || at + offset > m->to) return -1;
    m->view.at = at + offset;
    return m->view.at - m->from;
}

/* Frames of sound by a Xing or Info header in the first frame (LAME's description), in
 * samples; -1: there is none. */
static int64_t xing_samples(const bc_mpeg *m) {
    unsigned char p[4096];
    bc_view v = m->view;
    v.at = m->from;
    size_t n = (size_t)bc_view_read(&v, p, 10);
    v.at = m->from + (n == 10 ? bc_id3_bytes(p) : 0);
    n = v.at < m->to ? (size_t)bc_view_read(&v, p, sizeof p) : 0;
    size_t i = 0;
    while (i + 64 < n && !(p[i] == 0xff && (p[i + 1] & 0xe0) == 0xe0)) i++;
    if (i + 64 >= n) return -1;
    bool is_mpeg1 = (p[i + 1] >> 3 & 3) == 3, is_mono = p[i + 3] >> 6 == 3;
    const unsigned char *tag = p + i + 4 + (is_mpeg1 ? is_mono ? 17 : 32 : is_mono ? 9 : 17);
    if (memcmp(tag, "Xing", 4) != 0 && memcmp(tag, "Info", 4) != 0) return -1;
    if (!(tag[7] & 1)) return -1;
    return (int64_t)bc_get32(tag + 8, true) * (is_mpeg1 ? 1152 : 576);
}

bool bc_mpeg_begins(const unsigned char *p) {
    bool is_frame = p[0] == 0xff && (p[1] & 0xe0) == 0xe0 && (p[1] & 0x06) != 0 &&
                    (p[1] & 0x18) != 0x08 && p[2] >> 4 != 15 && (p[2] & 0x0c) != 0x0c;
    return is_frame || memcmp(p, "ID3", 3) == 0;
}

static void start(void) {
    mpg123_init();
}

static int prepare(bc_mpeg *m, bc_error *e) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    int code = MPG123_OK;
    long rate;
    int channels, encoding;
    mpg123_handle *h = m->handle = mpg123_new(NULL, &code);
    if (h == NULL) return code == MPG123_OUT_OF_MEM ? BC_NOMEM : bc_fail(e, "%s", mpg123_plain_strerror(code));
    bool ok = mpg123_param(h, MPG123_REMOVE_FLAGS, MPG123_AUTO_RESAMPLE, 0) == MPG123_OK &&
              mpg123_param(h, MPG123_ADD_FLAGS,
                           MPG123_FORCE_FLOAT | MPG123_GAPLESS | MPG123_QUIET, 0) == MPG123_OK &&
              mpg123_param(h, MPG123_RESYNC_LIMIT, -1, 0) == MPG123_OK &&
              mpg123_replace_reader_handle(h, read_bytes, seek_bytes, NULL) == MPG123_OK &&
              mpg123_open_handle(h, m) == MPG123_OK && mpg123_scan(h) == MPG123_OK &&
              mpg123_getformat(h, &rate, &channels, &encoding) == MPG123_OK;
    if (!ok) return bc_fail(e, "%s", mpg123_strerror(h));
    struct mpg123_frameinfo info;
    if (mpg123_info(h, &info) != MPG123_OK) return bc_fail(e, "%s", mpg123_strerror(h));
    m->layer = info.layer;
    m->rate = (int)rate;
    m->channels = channels;
    m->frames = mpg123_length(h);
    if (m->frames < 0 || encoding != MPG123_ENC_FLOAT_32) return bc_fail(e, "no frame of MPEG audio");
    m->claimed = xing_samples(m);
    return BC_OK;
}

int bc_mpeg_open(bc_mpeg **m, const bc_view *view, bc_error *e) {
    *m = calloc(1, sizeof **m);
    if (*m == NULL) return BC_NOMEM;
    (*m)->view = *view;
    (*m)->from = (*m)->view.at = view->extent->from;
    (*m)->to = view->extent->to;
    int rc = prepare(*m, e);
    if (rc != BC_OK) {
        bc_mpeg_close(*m);
        *m = NULL;
    }
    return rc;
}

void bc_mpeg_close(bc_mpeg *m) {
    if (m == NULL) return;
    mpg123_delete(m->handle);
    free(m);
}

int bc_mpeg_layer(const bc_mpeg *m) { return m->layer; }
int bc_mpeg_channels(const bc_mpeg *m) { return m->channels; }
int bc_mpeg_rate(const bc_mpeg *m) { return m->rate; }
int64_t bc_mpeg_frames(const bc_mpeg *m) { return m->frames; }
int64_t bc_mpeg_claimed(const bc_mpeg *m) { return m->claimed; }

bool bc_mpeg_seek(bc_mpeg *m, int64_t frame) {
    return mpg123_seek(m->handle, frame, SEEK_SET) == frame;
}

/* Behind a change to another rate or number of channels there is other sound. */
static bool is_same_format(bc_mpeg *m) {
    long rate;
    int channels, encoding;
    return mpg123_getformat(m->handle, &rate, &channels, &encoding) == MPG123_OK &&
           rate == m->rate && channels == m->channels;
}

int64_t bc_mpeg_read(bc_mpeg *m, float *out, int64_t n) {
    size_t frame = sizeof *out * (size_t)m->channels, want = (size_t)n * frame, got = 0;
    while (got < want) {
        size_t k = 0;
        int code = mpg123_read(m->handle, (unsigned char *)out + got, want - got, &k);
        got += k;
        if (code != MPG123_OK && !(code == MPG123_NEW_FORMAT && is_same_format(m))) break;
        if (k == 0 && code == MPG123_OK) break;
    }
    return (int64_t)(got / frame);
}

static const char *name_of_field(const mpg123_text *field) {
    static const char *const names[][2] = {
        {"TDRC", "date"},   {"TYER", "year"},  {"TDAT", "day_month"}, {"TIME", "time"},
        {"TPE1", "artist"}, {"TIT2", "title"}, {"TSSE", "software"},  {"COMM", "comment"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (memcmp(field->id, names[i][0], 4) == 0) return names[i][1];
    return "";
}

/* Strings have their final zero in `fill`. */
static int add_string(bc_tags *t, const char *name, const mpg123_string *text) {
    return text->p == NULL ? BC_OK : bc_tags_add(t, name, text->p, strnlen(text->p, text->fill));
}

static int add_id3v2(bc_tags *t, const mpg123_id3v2 *v) {
    int rc = BC_OK;
    for (size_t i = 0; i < v->texts && rc == BC_OK; i++)
        rc = add_string(t, name_of_field(&v->text[i]), &v->text[i].text);
    for (size_t i = 0; i < v->comments && rc == BC_OK; i++)
        rc = add_string(t, name_of_field(&v->comment_list[i]), &v->comment_list[i].text);
    for (size_t i = 0; i < v->extras && rc == BC_OK; i++) { /* fields of a name of their own */
        char name[BC_TAG_NAME] = "";
        const mpg123_string *own = &v->extra[i].description;
        for (size_t k = 0; own->p != NULL && k + 1 < sizeof name && k < own->fill; k++)
            name[k] = (char)(own->p[k] >= 'A' && own->p[k] <= 'Z' ? own->p[k] | 0x20 : own->p[k]);
        rc = add_string(t, name, &v->extra[i].text);
    }
    return rc;
}

int bc_mpeg_tags(bc_mpeg *m, bc_tags *t) {
    mpg123_id3v1 *v1 = NULL;
    mpg123_id3v2 *v2 = NULL;
    if (mpg123_id3(m->handle, &v1, &v2) != MPG123_OK) return BC_OK;
    int rc = v2 == NULL ? BC_OK : add_id3v2(t, v2);
    if (v1 == NULL || rc != BC_OK) return rc;
    rc = bc_tags_add(t, "comment", v1->comment, strnlen(v1->comment, sizeof v1->comment));
    if (rc == BC_OK) rc = bc_tags_add(t, "artist", v1->artist, strnlen(v1->artist, sizeof v1->artist));
    return rc == BC_OK ? bc_tags_add(t, "year", v1->year, strnlen(v1->year, sizeof v1->year)) : rc;
}
