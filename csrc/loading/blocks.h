/* blocks.h: any samples of many recordings, through a cache of decoded blocks
 * and a few open files, for several threads at once. */
#ifndef BC_BLOCKS_H
#define BC_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"

typedef struct bc_blocks bc_blocks;

/* What is known of a recording once it has been opened. */
typedef struct bc_recording {
    int sample_rate, channels;
    int64_t frames;
} bc_recording;

/* paths (n) and channels (n) stay the caller's and must outlive it. channels: of each file
 * the one that is read, from 1, or 0: the mean over all; NULL: that of every file. bytes: of
 * decoded samples kept, the longest unused going first (0: none is kept); open: files kept
 * open, at least one for each thread. */
int bc_blocks_new(bc_blocks **b, const char *const *paths, const int32_t *channels, int32_t n,
                  size_t bytes, int open);
void bc_blocks_free(bc_blocks *b); /* NULL is fine */

const char *bc_blocks_path(const bc_blocks *b, int32_t file);

/* Sample rate and length of a file. A file that is none of sound fails with
 * the same text ever after; BC_BUSY is forgotten. */
int bc_blocks_recording(bc_blocks *b, int32_t file, bc_recording *r, bc_error *e);

/* Samples first..first+n-1 of the channel, or the mean over all, at the file's own
 * rate, silent where they lie outside of it: out (n). The same samples as in a
 * decode of the whole file, whatever was read before. */
int bc_blocks_read(bc_blocks *b, int32_t file, float *out, int64_t first, int64_t n, bc_error *e);

/* Bytes of decoded samples held, and files open, at this moment. */
void bc_blocks_held(bc_blocks *b, size_t *bytes, int *open);

#endif
