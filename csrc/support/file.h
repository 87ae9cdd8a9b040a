/* file.h: files that are written whole or not at all.
 *
 * Symbolic links are followed first: a link stays one, and the file that it leads to,
 * even if it is not there yet, gets the new content. That file is written under a
 * temporary name beside it, synced, and renamed; its permissions are those of the file
 * that it replaces. What is no regular file (a device, a pipe) and what is a descriptor
 * of this process (/dev/stdout, /dev/fd/5) is written straight. */
#ifndef BC_FILE_H
#define BC_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "error.h"

enum bc_file_use {
    BC_FILE_ONWARD, /* the stream, from front to back */
    BC_FILE_SEEK,   /* the stream, in any order */
    BC_FILE_LENT    /* not the stream: a library writes the file `lent`, by its name */
};

typedef struct bc_file {
    FILE *stream;    /* NULL when closed */
    char *path;      /* as it was given: messages begin with it */
    char *target;    /* the file that it leads to */
    char *temporary; /* what stream writes until the commit; NULL: the device or pipe itself */
    char *lent;      /* begins with `/` or `./`: no library takes it for something else */
    int straight;    /* the device or pipe that gets what was written in any order; -1: none */
} bc_file;

/* After BC_OK exactly one of commit and abort must follow; both close and free. commit
 * checks every write that came before (a full disk shows there), syncs and renames. */
int bc_file_create(bc_file *f, const char *path, enum bc_file_use use, bc_error *e);
int bc_file_commit(bc_file *f, bc_error *e);
void bc_file_abort(bc_file *f); /* safe on a closed one */

/* All of it in one call. */
int bc_file_write(const char *path, const void *data, size_t bytes, bc_error *e);

#endif
