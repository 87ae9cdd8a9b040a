/* error.h: what a kernel returns, and the text that goes with a failure. */
#ifndef BC_ERROR_H
#define BC_ERROR_H

#include <limits.h>

/* Every function that can fail returns one of these. BC_FAIL is the world's
 * fault (a file, a format, a full disk) and has a text that begins with the
 * path; BC_BUSY has one, too, and is no fault of that file's: the next try may succeed.
 * BC_NOMEM and BC_STOPPED (Ctrl-C) need none. */
enum bc_status { BC_OK, BC_NOMEM, BC_STOPPED, BC_FAIL, BC_BUSY };

typedef struct bc_error {
    char text[PATH_MAX + 512]; /* what comes after a long path is to be read, too */
} bc_error;

/* Write the text and return BC_FAIL, so that a caller can
 * `return bc_fail(e, "%s: not a WAV file", path)`. e may be NULL. */
int bc_fail(bc_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The text for a status; for BC_FAIL and BC_BUSY that of e. */
const char *bc_status_text(int status, const bc_error *e);

#endif
