/* file.c: follow links, temporary name in the same folder, fsync, rename. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"
#include "temporary.h"

enum { LINKS = 40 }; /* as many as the kernel follows */

static void release(bc_file *f) {
    if (f->stream != NULL) fclose(f->stream);
    if (f->straight >= 0) close(f->straight);
    if (f->lent != NULL) unlink(f->lent);
    if (f->temporary != NULL) unlink(f->temporary);
    free(f->path);
    free(f->target);
    free(f->temporary);
    free(f->lent);
    *f = (bc_file){.straight = -1};
}

static int fail(const bc_file *f, int code, bc_error *e) {
    if (code == ENOMEM) return BC_NOMEM;
    if (code == EINTR && bc_interrupted()) return BC_STOPPED;
    return bc_fail(e, "%s: %s", f->path, strerror(code));
}

/* ---- Where a path leads ---- */

/* The descriptor that a path stands for, -1 if none. To open such a path would be to
 * begin at the front of a file that has been written to. */
static int descriptor_of(const char *path) {
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t n = strlen(folders[i]);
        if (strncmp(path, folders[i], n) != 0 || path[n] < '0' || path[n] > '9') continue;
        char *end;
        long number = strtol(path + n, &end, 10);
        if (*end == '\0' && number <= INT_MAX) return (int)number;
    }
    return -1;
}

/* The folder of a path and a name in it; the name alone if it is absolute. */
static char *join(const char *folder, const char *name) {
    const char *slash = strrchr(folder, '/');
    int n = name[0] == '/' || slash == NULL ? 0 : (int)(slash - folder) + 1;
    char *path;
    return asprintf(&path, "%.*s%s", n, folder, name) < 0 ? NULL : path;
}

/* The file at the end of the links, there or not, or the path of a descriptor. */
static char *follow(const char *path) {
    if (path[0] == '\0') errno = ENOENT;
    char *at = path[0] != '\0' ? join("./", path) : NULL;
    for (int links = 0; at != NULL && descriptor_of(at) < 0; links++) {
        char to[PATH_MAX];
        ssize_t n = readlink(at, to, sizeof to - 1);
        if (n < 0) break;
        to[n] = '\0';
        char *next = links < LINKS ? join(at, to) : NULL;
        if (links == LINKS) errno = ELOOP;
        free(at);
        at = next;
    }
    return at;
}

/* Into f->straight what the target is written through if it is no regular file; into
 * *mode the permissions of one that is there, -1 if nothing is. False, with errno. */
static bool open_straight(bc_file *f, int *mode) {
    struct stat st;
    int descriptor = descriptor_of(f->target);
    *mode = -1;
    if (descriptor >= 0) {
        if (descriptor == STDOUT_FILENO) fflush(stdout); /* what was printed comes first */
        f->straight = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        return f->straight >= 0;
    }
    if (stat(f->target, &st) != 0) return errno == ENOENT;
    *mode = st.st_mode & 0777;
    if (S_ISREG(st.st_mode)) return true;
    f->straight = open(f->target, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return f->straight >= 0;
}

/* ---- Create ---- */

static bool set_mode(int fd, int mode) {
    struct stat st;
    if (mode < 0) return true;
    if (fstat(fd, &st) != 0) return false;
    return (int)(st.st_mode & 0777) == mode || fchmod(fd, (mode_t)mode) == 0;
}

/* The folder for temporary files, with a slash at its end: the target's, or, for what takes
 * bytes in their order only, the system's. */
static char *temporary_folder(const bc_file *f) {
    const char *system = getenv("TMPDIR");
    char *folder;
    if (f->straight < 0) return join(f->target, "");
    if (system == NULL || system[0] == '\0') system = "/tmp";
    return asprintf(&folder, "%s/", system) < 0 ? NULL : folder;
}

static bool open_temporary(bc_file *f, int mode) {
    char *folder = temporary_folder(f);
    if (folder == NULL) return false;
    int fd = bc_temporary_create(&f->temporary, folder, strrchr(f->target, '/') + 1);
    free(folder);
    if (fd < 0) return false;
    f->stream = fdopen(fd, "w+b");
    if (f->stream == NULL) close(fd);
    return f->stream != NULL && set_mode(fd, mode);
}

static bool open_all(bc_file *f, enum bc_file_use use) {
    int mode;
    f->target = follow(f->path);
    if (f->target == NULL || !open_straight(f, &mode)) return false;
    if (f->straight >= 0 && use == BC_FILE_ONWARD) {
        f->stream = fdopen(f->straight, "wb");
        if (f->stream != NULL) f->straight = -1;
        return f->stream != NULL;
    }
    return open_temporary(f, f->straight < 0 ? mode : -1) &&
           (use != BC_FILE_LENT || bc_temporary_second(&f->lent, f->temporary) == 0);
}

int bc_file_create(bc_file *f, const char *path, enum bc_file_use use, bc_error *e) {
    *f = (bc_file){.straight = -1};
    f->path = strdup(path);
    if (f->path == NULL) return BC_NOMEM;
    if (open_all(f, use)) return BC_OK;
    int rc = fail(f, errno, e);
    release(f);
    return rc;
}

/* ---- Commit ---- */

static bool write_all(int to, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t wrote = write(to, bytes, n);
        if (wrote < 0 && (errno != EINTR || bc_interrupted())) return false;
        if (wrote > 0) bytes += wrote, n -= (size_t)wrote;
    }
    return true;
}

static bool copy_all(int to, int from) {
    char bytes[1 << 16];
    ssize_t n;
    if (lseek(from, 0, SEEK_SET) != 0) return false;
    while ((n = read(from, bytes, sizeof bytes)) > 0)
        if (!write_all(to, bytes, (size_t)n)) return false;
    return n == 0;
}

/* So that the name, too, outlives a power cut; not every file system does that for folders. */
static bool sync_folder(const char *target) {
    char *folder = join(target, "");
    if (folder == NULL) return false;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0) return true; /* may be written, not read */
    bool good = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
    int code = errno;
    close(fd);
    errno = code;
    return good;
}

/* The temporary file, open at fd, to where it belongs. */
static bool deliver(bc_file *f, int fd) {
    char **name = f->lent != NULL ? &f->lent : &f->temporary;
    if (f->straight >= 0) return copy_all(f->straight, fd);
    if (fsync(fd) != 0 || rename(*name, f->target) != 0) return false;
    free(*name);
    *name = NULL;
    return sync_folder(f->target);
}

static bool finish(bc_file *f) {
    if (f->temporary == NULL) {
        FILE *stream = f->stream;
        f->stream = NULL;
        return fclose(stream) == 0;
    }
    if (f->lent == NULL) return deliver(f, fileno(f->stream));
    int fd = open(f->lent, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool good = deliver(f, fd);
    int code = errno;
    close(fd);
    errno = code;
    return good;
}

int bc_file_commit(bc_file *f, bc_error *e) {
    int rc = BC_OK;
    if (ferror(f->stream)) rc = fail(f, EIO, e);
    if (rc == BC_OK && (fflush(f->stream) != 0 || !finish(f))) rc = fail(f, errno, e);
    release(f);
    return rc;
}

void bc_file_abort(bc_file *f) {
    if (f->path != NULL) release(f);
}

int bc_file_write(const char *path, const void *data, size_t bytes, bc_error *e) {
    bc_file f;
    int rc = bc_file_create(&f, path, BC_FILE_ONWARD, e);
    if (rc != BC_OK) return rc;
    if (fwrite(data, 1, bytes, f.stream) != bytes) {
        rc = fail(&f, errno, e);
        bc_file_abort(&f);
        return rc;
    }
    return bc_file_commit(&f, e);
}
