/* tags.h: what a sound file says of itself in words, beside its sound.
 *
 * Names: `title`, `artist`, `comment`, `date`, `software` ...; of Vorbis comments their own,
 * in small letters; `bext_description`, `bext_originator`, `bext_originator_reference`,
 * `bext_date`, `bext_time` (EBU Tech 3285); `guano` and `wamd`: these chunks as they are; of ID3
 * `year`, `day_month`, `time`, too. Texts are as the file has them, in whichever encoding. */
#ifndef BC_AUDIO_TAGS_H
#define BC_AUDIO_TAGS_H

#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"

enum {
    BC_TAGS_MOST = 64,      /* of a file; what is more is left out, */
    BC_TAG_BYTES = 1 << 16, /* what is longer is cut off */
    BC_TAG_NAME = 32
};

typedef struct bc_tag {
    char name[BC_TAG_NAME];
    char *text;
    size_t bytes;
} bc_tag;

typedef struct bc_tags {
    bc_tag list[BC_TAGS_MOST];
    size_t count;
} bc_tags;

/* A name that is there keeps its first text; empty texts and names that are too long do
 * not count. BC_NOMEM. */
int bc_tags_add(bc_tags *t, const char *name, const void *text, size_t bytes);
/* The same of a Vorbis comment: NAME=text. */
int bc_tags_add_comment(bc_tags *t, const char *comment, size_t bytes);
void bc_tags_free(bc_tags *t);

/* Of an SNDFILE, and of descriptors: FLAC; WAV, RF64 and Wave64 of size bytes, whose chunks
 * in front of and behind the sound are found whatever the header says of its size. */
int bc_tags_of_sndfile(bc_tags *t, void *file);
int bc_tags_of_flac(bc_tags *t, int fd);
int bc_tags_of_wave(bc_tags *t, int fd, int64_t size);

#endif
