/* kind.h: what a file holds, by its first bytes. */
#ifndef BC_AUDIO_KIND_H
#define BC_AUDIO_KIND_H

#include <stdbool.h>
#include <stdint.h>

enum bc_reader {
    BC_NO_READER, /* no sound, as far as its first bytes tell */
    BC_OWN,       /* libsndfile or libmpg123; where they fail, ffmpeg if `demuxer` is there */
    BC_BY_FFMPEG  /* only ffmpeg reads it */
};

typedef struct bc_kind {
    enum bc_reader reader;
    const char *demuxer; /* ffmpeg's name of the format; NULL: nothing for ffmpeg */
    const char *name;    /* ours */
    bool says_length;    /* its header does; else ffmpeg guesses from the size */
} bc_kind;

/* Of a file of size bytes; a tag (ID3v2) in front of the sound is passed over. */
bc_kind bc_kind_of(int fd, int64_t size);
bc_kind bc_kind_of_path(const char *path); /* no reader, where it is no file that can be read */

/* The bytes of the ID3v2 tag that p, ten bytes, begins (its size: four times seven bits); else 0. */
int64_t bc_id3_bytes(const unsigned char *p);

#endif
