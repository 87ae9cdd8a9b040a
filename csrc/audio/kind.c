/* kind.c: what a file holds, by its first bytes. A name may say anything, and ffmpeg, when it
 * is left to guess, takes noise for MP3 and a text for a list of files to open. */
#include "kind.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "extent.h"
#include "mpeg.h"

enum { BEGIN = 64 };

int64_t bc_id3_bytes(const unsigned char *p) {
    if (memcmp(p, "ID3", 3) != 0) return 0;
    return 10 + ((int64_t)p[6] << 21 | (int64_t)p[7] << 14 | (int64_t)p[8] << 7 | p[9]);
}

static const struct {
    int at; /* where the bytes are */
    const char *bytes;
    size_t n;
    bc_kind kind;
} kinds[] = {
#define BYTES(text) text, sizeof text - 1
    {4, BYTES("ftyp"), {BC_BY_FFMPEG, "mov", "mp4", true}},
    {4, BYTES("moov"), {BC_BY_FFMPEG, "mov", "mp4", true}},
    {4, BYTES("mdat"), {BC_BY_FFMPEG, "mov", "mp4", true}},
    {4, BYTES("wide"), {BC_BY_FFMPEG, "mov", "mp4", true}},
    {0, BYTES("\x30\x26\xb2\x75\x8e\x66\xcf\x11"), {BC_BY_FFMPEG, "asf", "asf", true}},
    {0, BYTES("\x1a\x45\xdf\xa3"), {BC_BY_FFMPEG, "matroska", "matroska", true}},
    {0, BYTES("wvpk"), {BC_BY_FFMPEG, "wv", "wavpack", true}},
    {0, BYTES("MAC "), {BC_BY_FFMPEG, "ape", "ape", true}},
    {0, BYTES("TTA1"), {BC_BY_FFMPEG, "tta", "tta", true}},
    {0, BYTES("tBaK"), {BC_BY_FFMPEG, "tak", "tak", true}},
    {0, BYTES("MPCK"), {BC_BY_FFMPEG, "mpc8", "mpc", true}},
    {0, BYTES("MP+"), {BC_BY_FFMPEG, "mpc", "mpc", true}},
    {0, BYTES("#!AMR"), {BC_BY_FFMPEG, "amr", "amr", false}},
    {0, BYTES("DSD "), {BC_BY_FFMPEG, "dsf", "dsf", true}},
    {0, BYTES("FRM8"), {BC_BY_FFMPEG, "iff", "dsdiff", true}},
    {0, BYTES(".RMF"), {BC_BY_FFMPEG, "rm", "rm", true}},
    {0, BYTES(".ra\xfd"), {BC_BY_FFMPEG, "rm", "rm", true}},
    {0, BYTES("ajkg"), {BC_BY_FFMPEG, "shn", "shorten", false}},
    {0, BYTES("\x7f\xfe\x80\x01"), {BC_BY_FFMPEG, "dts", "dts", false}},
    {28, BYTES("Speex   "), {BC_BY_FFMPEG, "ogg", "ogg", true}},
    /* libsndfile knows these, but not everything that may be in them */
    {0, BYTES("OggS"), {BC_OWN, "ogg", "ogg", true}},
    {8, BYTES("WAVE"), {BC_OWN, "wav", "wav", true}},
    {0, BYTES("riff\x2e\x91\xcf\x11"), {BC_OWN, "w64", "w64", true}},
    {0, BYTES("caff"), {BC_OWN, "caf", "caf", true}},
    {8, BYTES("AIFC"), {BC_OWN, "aiff", "aiff", true}},
    {8, BYTES("AIFF"), {BC_OWN, "aiff", "aiff", true}},
    {0, BYTES(".snd"), {BC_OWN, "au", "au", true}},
    /* and these as well as anybody */
    {0, BYTES("fLaC"), {BC_OWN, NULL, "flac", true}},
    {0, BYTES("dns."), {BC_OWN, NULL, "au", true}},
    {8, BYTES("8SVX"), {BC_OWN, NULL, "svx", true}},
    {0, BYTES("NIST_1A"), {BC_OWN, NULL, "nist", true}},
    {0, BYTES("Creative Voice File"), {BC_OWN, NULL, "voc", true}},
#undef BYTES
};

/* Frames without a file around them: AAC (ADTS, LATM), AC-3. */
static bc_kind frames_of(const unsigned char *p) {
    if (p[0] == 0xff && (p[1] & 0xf6) == 0xf0 && (p[2] >> 2 & 15) < 13)
        return (bc_kind){BC_BY_FFMPEG, "aac", "aac", false};
    if (p[0] == 0x56 && (p[1] & 0xe0) == 0xe0) return (bc_kind){BC_BY_FFMPEG, "loas", "aac", false};
    if (p[0] == 0x0b && p[1] == 0x77 && p[5] >> 3 <= 10)
        return (bc_kind){BC_BY_FFMPEG, "ac3", "ac3", false};
    if (p[0] == 0x0b && p[1] == 0x77 && p[5] >> 3 <= 16)
        return (bc_kind){BC_BY_FFMPEG, "eac3", "eac3", false};
    if (bc_mpeg_begins(p)) return (bc_kind){BC_OWN, NULL, "mp3", false};
    return (bc_kind){0};
}

static bool read_begin(unsigned char *p, int fd, int64_t size, int64_t at) {
    size_t n = size - at < BEGIN ? (size_t)(size - at) : BEGIN;
    memset(p, 0, BEGIN);
    return size > at && bc_read_at(fd, p, n, at);
}

bc_kind bc_kind_of(int fd, int64_t size) {
    unsigned char p[BEGIN];
    if (!read_begin(p, fd, size, 0)) return (bc_kind){0};
    int64_t tag = bc_id3_bytes(p);
    if (tag > 0 && !read_begin(p, fd, size, tag)) return (bc_kind){BC_OWN, NULL, "mp3", false};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (memcmp(p + kinds[i].at, kinds[i].bytes, kinds[i].n) == 0) return kinds[i].kind;
    bc_kind kind = frames_of(p);
    if (kind.reader == BC_NO_READER && tag > 0) return (bc_kind){BC_OWN, NULL, "mp3", false};
    return kind;
}

bc_kind bc_kind_of_path(const char *path) {
    struct stat st;
    bc_kind kind = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0) return kind;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) kind = bc_kind_of(fd, st.st_size);
    close(fd);
    return kind;
}
