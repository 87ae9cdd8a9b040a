/* lock.c: flock on a file. It goes with the open file and not, as that of fcntl, with every close
 * of that file in this process. On NFS Linux makes one of it that other hosts see. */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Did who held it before us remove it between our open and our lock? */
static bool is_gone(int fd, const char *path) {
    struct stat ours, there;
    if (fstat(fd, &ours) != 0 || stat(path, &there) != 0) return true;
    return ours.st_dev != there.st_dev || ours.st_ino != there.st_ino;
}

/* A device, say, is no lock, and must not be cut or removed as one. */
static bool is_regular(int fd) {
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return true;
    errno = EINVAL;
    return false;
}

/* A file system without locks (some network ones) keeps nobody from his work. */
static bool is_without_locks(int code) {
    return code == ENOLCK || code == ENOSYS || code == EOPNOTSUPP || code == EINVAL;
}

/* The file, locked; else -1 and errno. */
static int hold(const char *path) {
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd < 0) return -1;
        bool held = is_regular(fd) &&
                    (flock(fd, LOCK_EX | LOCK_NB) == 0 || is_without_locks(errno));
        if (held && !is_gone(fd, path)) return fd;
        int code = errno;
        close(fd);
        errno = code;
        if (!held) return -1;
    }
}

int bc_lock_take(bc_lock *l, const char *path, const char *note, bc_error *e) {
    *l = (bc_lock){-1, strdup(path)};
    if (l->path == NULL) return BC_NOMEM;
    int fd = hold(path);
    size_t n = strlen(note);
    if (fd >= 0 && ftruncate(fd, 0) == 0 && write(fd, note, n) == (ssize_t)n) {
        l->fd = fd;
        return BC_OK;
    }
    int code = errno, rc = bc_fail(e, "%s: %s", path, strerror(code));
    if (fd < 0 && code == EWOULDBLOCK) e->text[0] = '\0';
    if (fd >= 0) unlink(path), close(fd); /* a full disk leaves no empty file */
    free(l->path);
    return rc;
}

void bc_lock_drop(bc_lock *l) {
    if (l->fd < 0) return;
    unlink(l->path); /* while nobody else can hold it */
    close(l->fd);
    free(l->path);
    l->fd = -1;
}
