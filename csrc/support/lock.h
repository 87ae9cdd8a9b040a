/* lock.h: one program at a time. */
#ifndef BC_LOCK_H
#define BC_LOCK_H

#include "error.h"

typedef struct bc_lock {
    int fd;     /* -1: not held */
    char *path; /* of the file that stands for it; it goes with the lock */
} bc_lock;

/* Hold the file at path, made where it is missing, and write the note into it. The system
 * lets go when the process ends, however that is; what lies there of one that was killed
 * holds nobody up. BC_FAIL with an empty text: another process holds it; with another one, too,
 * where path is something else than a file. */
int bc_lock_take(bc_lock *l, const char *path, const char *note, bc_error *e);

/* Let go and remove the file; nothing if it is not held. */
void bc_lock_drop(bc_lock *l);

#endif
