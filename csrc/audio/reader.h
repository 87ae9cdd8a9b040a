/* reader.h: what a file is open with, for open.c and read.c alone. */
#ifndef BC_AUDIO_READER_H
#define BC_AUDIO_READER_H

#include <sndfile.h>
#include <soxr.h>
#include <sys/stat.h>

#include "audio.h"
#include "extent.h"
#include "foreign.h"
#include "mpeg.h"
#include "vorbis.h"

struct bc_audio {
    char *path;
    int fd;
    SNDFILE *file;
    bc_extent extent;
    bc_view view;      /* what file and mpeg read */
    bc_mpeg *mpeg;     /* reads in place of file */
    bc_vorbis *vorbis; /* the same */
    bc_foreign *foreign; /* the same */
    char warning[512], told[640]; /* of the file as such; and with the samples that are no number */
    struct stat stat;
    int64_t size;      /* bytes */
    bool seekable;
    bc_audio_info info;
    bc_audio_options options;
    int rows, rate;
    int64_t frames; /* length as far as known: info.frames until the end shows another */
    int64_t frame;  /* the decoder's position */
    int64_t at;     /* the reader's position, at its own rate */
    int64_t bad, bad_from, bad_end; /* frames that are not finite: how many, the first, behind the last */
    int64_t block;  /* frames per block */
    float *raw;     /* (block, channels): before mixing; NULL if not mixed */
    float *wide;    /* (block, rows): before the rows are taken apart */
    /* conversion, when the rates differ */
    soxr_t soxr;             /* NULL: begins with the next read */
    float *waiting;          /* (block, rows): what soxr has not taken yet */
    int64_t used, have, drop; /* in waiting; and samples to leave out after a seek */
    bool ended;
};

/* Open the file at a->fd with libsndfile or libmpg123. */
int bc_reader_open_own(bc_audio *a, SF_INFO *sf, bc_error *e);

/* The end of foreign sound has been seen, by this reader or by another: its length, and what is
 * the matter with it. */
int bc_reader_learn_length(bc_audio *a, bc_error *e);

#endif
