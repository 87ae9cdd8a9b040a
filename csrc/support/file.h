/* file.h: files that are written whole or not at all. */
#ifndef BC_FILE_H
#define BC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "error.h"

typedef struct bc_file {
    FILE *stream;    /* write here; NULL when closed */
    char *path;      /* where it will be */
    char *temporary; /* where it is until then: same folder */
    bool aside;      /* written under the temporary name (not: a device, a pipe) */
} bc_file;

/* Open a temporary file beside path. After BC_OK exactly one of commit and
 * abort must follow; both close and free. commit checks every write that came
 * before (a full disk shows there), syncs and renames. */
int bc_file_create(bc_file *f, const char *path, bc_error *e);
int bc_file_commit(bc_file *f, bc_error *e);
void bc_file_abort(bc_file *f); /* safe on a closed one */

/* All of it in one call. */
int bc_file_write(const char *path, const void *data, size_t bytes, bc_error *e);

#endif
