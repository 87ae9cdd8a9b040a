/* file.c: temporary name in the same folder, fsync, rename. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void release(bc_file *f) {
    free(f->path);
    free(f->temporary);
    memset(f, 0, sizeof *f);
}

int bc_file_create(bc_file *f, const char *path, bc_error *e) {
    static atomic_uint serial; /* two threads may write the same path */
    memset(f, 0, sizeof *f);
    size_t size = strlen(path) + 48;
    f->path = strdup(path);
    f->temporary = malloc(size);
    if (f->path == NULL || f->temporary == NULL) {
        release(f);
        return BC_NOMEM;
    }
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        /* A device or a pipe must not be replaced by a file; a folder fails. */
        f->stream = fopen(path, "wbe");
        if (f->stream != NULL) return BC_OK;
        int rc = bc_fail(e, "%s: %s", path, strerror(errno));
        release(f);
        return rc;
    }
    f->aside = true;
    snprintf(f->temporary, size, "%s.tmp%ld-%u", path, (long)getpid(),
             atomic_fetch_add(&serial, 1));
    int fd = open(f->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd >= 0) {
        f->stream = fdopen(fd, "wb");
        if (f->stream == NULL) close(fd);
    }
    if (f->stream == NULL) {
        int rc = bc_fail(e, "%s: %s", path, strerror(errno));
        if (fd >= 0) unlink(f->temporary);
        release(f);
        return rc;
    }
    return BC_OK;
}

int bc_file_commit(bc_file *f, bc_error *e) {
    int bad = ferror(f->stream), code = bad ? EIO : 0;
    if (fflush(f->stream) != 0 || (f->aside && fsync(fileno(f->stream)) != 0)) bad = 1, code = errno;
    if (fclose(f->stream) != 0 && !bad) bad = 1, code = errno;
    f->stream = NULL;
    if (!bad && f->aside && rename(f->temporary, f->path) != 0) bad = 1, code = errno;
    int rc = bad ? bc_fail(e, "%s: %s", f->path, strerror(code)) : BC_OK;
    if (bad && f->aside) unlink(f->temporary);
    release(f);
    return rc;
}

void bc_file_abort(bc_file *f) {
    if (f->stream == NULL) return;
    fclose(f->stream);
    if (f->aside) unlink(f->temporary);
    release(f);
}

int bc_file_write(const char *path, const void *data, size_t bytes, bc_error *e) {
    bc_file f;
    int rc = bc_file_create(&f, path, e);
    if (rc != BC_OK) return rc;
    if (fwrite(data, 1, bytes, f.stream) != bytes) {
        rc = bc_fail(e, "%s: %s", path, strerror(errno));
        bc_file_abort(&f);
        return rc;
    }
    return bc_file_commit(&f, e);
}
