/* ffmpeg.c: run ffmpeg, read the WAV that it writes and what it says. */
#include "ffmpeg.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../process/process.h"
#include "../support/interrupt.h"
#include "extent.h"

extern char **environ;

#define PROGRAM "ffmpeg"
enum {
    TIMEOUT_S = 60, /* a network folder may be slow */
    LOOK_MS = 50,   /* how often Ctrl-C is looked for */
    LINE = 400,     /* bytes of a line that are looked at */
    MOST_CHUNK = 4096
};

struct bc_ffmpeg {
    char *path;
    bool says_length;
    pid_t pid;    /* 0: its end was seen */
    int out, err; /* -1: closed */
    int channels, rate;
    /* what it says */
    char line[LINE], last[LINE], fault[LINE];
    size_t length;
    bool listed; /* all streams of the file */
    int streams;
    double claimed_s;
    char codec[32];
    bool failed; /* it ended with an error */
};

/* ---- What it says: a line at a time, after `-v level+info` ---- */

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* `00:01:00.02`; N/A is none */
static double seconds_of(const char *text) {
    int h, m;
    double s;
    if (sscanf(text, "%d:%d:%lf", &h, &m, &s) != 3) return -1;
    return h * 3600.0 + m * 60.0 + s;
}

/* Control characters of a name or tag would end up on a terminal. */
static void copy_text(char *to, const char *from) {
    size_t n = 0;
    for (; from[n] != '\0' && n + 1 < LINE; n++)
        to[n] = from[n] >= 0 && (from[n] < ' ' || from[n] == 127) ? ' ' : from[n];
    to[n] = '\0';
}

/* The text of a line behind its brackets and the file's name. */
static const char *bare(const bc_ffmpeg *f, const char *line) {
    for (const char *end; line[0] == '[' && (end = strstr(line, "] ")) != NULL;) line = end + 2;
    size_t n = strlen(f->path);
    if (begins(line, "file:") && strncmp(line + 5, f->path, n) == 0 && begins(line + 5 + n, ": "))
        line += 5 + n + 2;
    return line;
}

static void take_stream(bc_ffmpeg *f, const char *line) {
    const char *audio = strstr(line, "Audio: ");
    f->streams++;
    if (audio == NULL || f->codec[0] != '\0') return;
    audio += strlen("Audio: ");
    snprintf(f->codec, sizeof f->codec, "%.*s", (int)strcspn(audio, " ,"), audio);
}

static void take_line(bc_ffmpeg *f, const char *line) {
    static const char duration[] = "[info]   Duration: ";
    if (line[0] == '\0') return;
    copy_text(f->last, bare(f, line));
    if (f->fault[0] == '\0' && (strstr(line, "[error] ") != NULL || strstr(line, "[fatal] ") != NULL))
        copy_text(f->fault, bare(f, line));
    if (begins(line, "[info] Stream mapping:") || begins(line, "[info] Output #")) f->listed = true;
    if (f->listed) return;
    if (begins(line, duration)) f->claimed_s = seconds_of(line + sizeof duration - 1);
    if (begins(line, "[info]   Stream #")) take_stream(f, line);
}

static void take_bytes(bc_ffmpeg *f, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\n' || bytes[i] == '\r') {
            f->line[f->length] = '\0';
            take_line(f, f->line);
            f->length = 0;
        } else if (f->length + 1 < sizeof f->line && bytes[i] != '\0') {
            f->line[f->length++] = bytes[i];
        }
    }
}

/* ---- The pipes ---- */

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double patience_s(void) {
    const char *text = getenv("BCLUA_FFMPEG_TIMEOUT");
    double s = text != NULL ? atof(text) : 0;
    return s > 0 ? s : TIMEOUT_S;
}

static void shut(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* What has come on the second pipe, or its end. */
static void listen_to(bc_ffmpeg *f) {
    char bytes[4096];
    ssize_t n = read(f->err, bytes, sizeof bytes);
    if (n > 0)
        take_bytes(f, bytes, (size_t)n);
    else if (n == 0 || errno != EINTR)
        shut(&f->err);
}

/* Wait until there are samples to read, or, without a pipe for them, until all is said. */
static int wait_for_it(bc_ffmpeg *f, bc_error *e) {
    double until = now_s() + patience_s();
    while (f->out >= 0 || f->err >= 0) {
        struct pollfd p[2] = {{f->out, POLLIN, 0}, {f->err, POLLIN, 0}}; /* -1: passed over */
        int n = poll(p, 2, LOOK_MS);
        if (bc_interrupted()) return BC_STOPPED;
        if (n < 0 && errno != EINTR) return bc_fail(e, "%s: %s", f->path, strerror(errno));
        if (n > 0 && p[1].revents != 0) listen_to(f);
        if (n > 0 && p[0].revents != 0) return BC_OK;
        if (n > 0)
            until = now_s() + patience_s();
        else if (now_s() > until)
            return bc_fail(e, "%s: " PROGRAM " gives nothing any more", f->path);
    }
    return BC_OK;
}

static int reap(bc_ffmpeg *f, bc_error *e) {
    bool by_signal;
    int code;
    double until = now_s() + patience_s();
    while (!bc_process_ended(f->pid, &by_signal, &code)) {
        if (bc_interrupted()) return BC_STOPPED;
        if (now_s() > until) return bc_fail(e, "%s: " PROGRAM " does not end", f->path);
        usleep(1000);
    }
    f->pid = 0;
    f->failed = by_signal || code != 0;
    take_bytes(f, "\n", 1);
    if (by_signal && f->fault[0] == '\0')
        snprintf(f->fault, sizeof f->fault, PROGRAM " was ended by signal %d", code);
    return BC_OK;
}

/* n bytes; *got < n only at the end, when it has ended, too. */
static int read_bytes(bc_ffmpeg *f, void *to, size_t n, size_t *got, bc_error *e) {
    *got = 0;
    while (*got < n && f->pid != 0) {
        int rc = wait_for_it(f, e);
        if (rc != BC_OK) return rc;
        ssize_t k = f->out >= 0 ? read(f->out, (char *)to + *got, n - *got) : 0;
        if (k < 0 && errno != EINTR) return bc_fail(e, "%s: %s", f->path, strerror(errno));
        if (k > 0) *got += (size_t)k;
        if (k != 0) continue;
        if (f->out < 0 && f->err < 0)
            rc = reap(f, e);
        else
            shut(&f->out);
        if (rc != BC_OK) return rc;
    }
    return BC_OK;
}

/* ---- The begin ---- */

bool bc_ffmpeg_is_there(void) {
    const char *path = getenv("PATH");
    char file[4096];
    for (const char *at = path; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, ":");
        struct stat st;
        snprintf(file, sizeof file, "%.*s/" PROGRAM, n > 0 ? (int)n : 1, n > 0 ? at : ".");
        if (access(file, X_OK) == 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode)) return true;
        at += n + (at[n] == ':');
    }
    return false;
}

/* `file:` in front: whatever the name is, no option, and no protocol. The demuxer is named, and
 * no other file is opened. At damage it ends (-xerror): what came behind a hole would have
 * moved. */
static int start(bc_ffmpeg *f, const bc_kind *kind, bc_error *e) {
    char *url;
    if (asprintf(&url, "file:%s", f->path) < 0) return BC_NOMEM;
    const char *const words[] = {PROGRAM, "-hide_banner", "-nostdin", "-nostats", "-v", "level+info",
        "-xerror", "-protocol_whitelist", "file,pipe", "-threads", "1", "-f", kind->demuxer, "-i", url,
        "-map", "0:a:0", "-threads", "1", "-c:a", "pcm_f32le", "-bitexact", "-flush_packets", "1",
        "-f", "wav", "pipe:1", NULL};
    char *argv[sizeof words / sizeof *words];
    memcpy(argv, words, sizeof words); /* posix_spawn takes them without const and leaves them be */
    bc_error why = {""};
    int rc = bc_process_pipe(&f->pid, argv, environ, &f->out, &f->err, &why);
    free(url);
    if (rc == BC_OK) return BC_OK;
    if (!bc_ffmpeg_is_there())
        bc_fail(e, "%s: needs " PROGRAM " to be read, which is not installed", f->path);
    else
        bc_fail(e, "%s: %s", f->path, why.text);
    return rc;
}

static int fail_begin(const bc_ffmpeg *f, bc_error *e) {
    bool whole;
    const char *wrong = bc_ffmpeg_wrong(f, &whole);
    if (strstr(f->fault, "matches no streams") != NULL)
        return bc_fail(e, "%s: no sound in it", f->path);
    return bc_fail(e, "%s: not a readable sound file (" PROGRAM ": %s)", f->path,
                   wrong != NULL ? wrong : "no samples");
}

/* The chunks in front of the samples. */
static int read_header(bc_ffmpeg *f, bc_error *e) {
    unsigned char p[MOST_CHUNK];
    size_t got, n = 12;
    int rc = read_bytes(f, p, n, &got, e);
    if (rc == BC_OK && got < n) return fail_begin(f, e);
    while (rc == BC_OK) {
        rc = read_bytes(f, p, 8, &got, e);
        if (rc != BC_OK) return rc;
        n = bc_get32(p + 4, false);
        if (got == 8 && memcmp(p, "data", 4) == 0) break;
        bool is_format = memcmp(p, "fmt ", 4) == 0;
        if (got < 8 || n > sizeof p || (is_format && n < 16)) return fail_begin(f, e);
        rc = read_bytes(f, p, n + (n & 1), &got, e);
        if (!is_format) continue;
        f->channels = p[2] | p[3] << 8;
        f->rate = (int)bc_get32(p + 4, false);
        if (p[14] != 32) return bc_fail(e, "%s: " PROGRAM " gave samples of %d bits", f->path, p[14]);
    }
    if (rc == BC_OK && (f->channels < 1 || f->channels > 64 || f->rate < 1))
        return bc_fail(e, "%s: %d channels at %d Hz", f->path, f->channels, f->rate);
    return rc;
}

/* What was said before the first samples has come by now. */
static int hear_begin(bc_ffmpeg *f) {
    while (f->err >= 0) {
        struct pollfd p = {f->err, POLLIN, 0};
        if (poll(&p, 1, 0) <= 0) break;
        listen_to(f);
    }
    if (!f->says_length || f->streams != 1) f->claimed_s = -1; /* another may be longer */
    return BC_OK;
}

int bc_ffmpeg_open(bc_ffmpeg **to, const char *path, const bc_kind *kind, bc_error *e) {
    bc_ffmpeg *f = *to = calloc(1, sizeof *f);
    if (f == NULL) return BC_NOMEM;
    f->out = f->err = -1;
    f->claimed_s = -1;
    f->says_length = kind->says_length;
    f->path = strdup(path);
    int rc = f->path == NULL ? BC_NOMEM : start(f, kind, e);
    if (rc == BC_OK) rc = read_header(f, e);
    if (rc == BC_OK) rc = hear_begin(f);
    if (rc == BC_OK) return BC_OK;
    bc_ffmpeg_close(f);
    *to = NULL;
    return rc;
}

void bc_ffmpeg_close(bc_ffmpeg *f) {
    if (f == NULL) return;
    shut(&f->out);
    shut(&f->err);
    if (f->pid != 0) bc_process_kill(f->pid);
    free(f->path);
    free(f);
}

int bc_ffmpeg_channels(const bc_ffmpeg *f) { return f->channels; }
int bc_ffmpeg_rate(const bc_ffmpeg *f) { return f->rate; }
double bc_ffmpeg_claimed(const bc_ffmpeg *f) { return f->claimed_s; }
const char *bc_ffmpeg_codec(const bc_ffmpeg *f) { return f->codec; }

int bc_ffmpeg_read(bc_ffmpeg *f, float *out, int64_t n, int64_t *got, bc_error *e) {
    size_t frame = sizeof *out * (size_t)f->channels, bytes;
    int rc = read_bytes(f, out, (size_t)n * frame, &bytes, e);
    *got = (int64_t)(bytes / frame); /* a part of a frame at the end is nothing */
    return rc;
}

const char *bc_ffmpeg_wrong(const bc_ffmpeg *f, bool *whole) {
    *whole = !f->failed;
    if (f->fault[0] != '\0') return f->fault;
    if (!f->failed) return NULL;
    return f->last[0] != '\0' ? f->last : PROGRAM " failed";
}
