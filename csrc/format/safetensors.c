/* safetensors.c: the frame of a safetensors file. */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/file.h"

#define MAXHEADER 100000000 /* the format's own limit */

static int read_all(int fd, void *to, size_t bytes, size_t offset, const char *path, bc_error *e) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(fd, (char *)to + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return bc_fail(e, "%s: %s", path, n < 0 ? strerror(errno) : "truncated file");
        done += (size_t)n;
    }
    return BC_OK;
}

static int read_frame(char **header, size_t *length, bc_array *data, int fd, const char *path,
                      bc_error *e) {
    struct stat s;
    unsigned char start[8];
    if (fstat(fd, &s) != 0) return bc_fail(e, "%s: %s", path, strerror(errno));
    if (!S_ISREG(s.st_mode)) return bc_fail(e, "%s: not a regular file", path);
    size_t size = (size_t)s.st_size;
    if (size < sizeof start) return bc_fail(e, "%s: %zu bytes are no safetensors file", path, size);
    int rc = read_all(fd, start, sizeof start, 0, path, e);
    if (rc != BC_OK) return rc;
    uint64_t said = 0;
    for (int i = 7; i >= 0; i--) said = said << 8 | start[i];
    if (said > size - sizeof start || said > MAXHEADER)
        return bc_fail(e, "%s: is cut off, or no safetensors file: header of %llu bytes in a file of %zu",
                       path, (unsigned long long)said, size);
    *length = (size_t)said;
    *header = malloc(*length + 1);
    int64_t rest = (int64_t)(size - sizeof start - *length);
    if (*header == NULL || bc_array_new(data, BC_U8, 1, &rest) != BC_OK) return BC_NOMEM;
    (*header)[*length] = '\0';
    rc = read_all(fd, *header, *length, sizeof start, path, e);
    if (rc == BC_OK) rc = read_all(fd, data->data, (size_t)rest, sizeof start + *length, path, e);
    return rc;
}

int safetensors_read(char **header, size_t *length, bc_array *data, const char *path, bc_error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return bc_fail(e, "%s: %s", path, strerror(errno));
    *header = NULL;
    memset(data, 0, sizeof *data);
    int rc = read_frame(header, length, data, fd, path, e);
    close(fd);
    if (rc != BC_OK) {
        free(*header);
        *header = NULL;
        bc_array_release(data);
    }
    return rc;
}

bool safetensors_dtype(const char **name, bc_element *type, size_t i) {
    static const struct {
        const char *name;
        enum bc_element_kind kind;
        size_t size;
    } known[] = {
        {"F64", BC_FLOAT, 8},    {"F32", BC_FLOAT, 4},    {"F16", BC_FLOAT, 2},
        {"BF16", BC_BRAIN, 2},   {"I64", BC_SIGNED, 8},   {"I32", BC_SIGNED, 4},
        {"I16", BC_SIGNED, 2},   {"I8", BC_SIGNED, 1},    {"U64", BC_UNSIGNED, 8},
        {"U32", BC_UNSIGNED, 4}, {"U16", BC_UNSIGNED, 2}, {"U8", BC_UNSIGNED, 1},
        {"BOOL", BC_BOOLEAN, 1},
    };
    if (i >= sizeof known / sizeof *known) return false;
    *name = known[i].name;
    return bc_element_find(type, known[i].kind, known[i].size, false);
}

int safetensors_take(bc_array *a, const bc_array *data, size_t offset, const bc_element *type,
                     int ndim, const int64_t *shape, bc_error *e) {
    int rc = bc_array_new(a, type->as, ndim, shape);
    const size_t n = rc == BC_OK ? (size_t)bc_array_count(a) : 0;
    if (n == 0) return rc;
    memcpy(bc_elements_place(a->data, type, n), (const char *)data->data + offset, n * type->size);
    if (bc_elements_convert(a->data, type, n)) return BC_OK;
    bc_array_release(a);
    return bc_fail(e, "has an integer above 2^63 - 1");
}

int safetensors_write(const char *path, const char *header, size_t length,
                      const bc_array *const *array, size_t arrays, bc_error *e) {
    bc_file f;
    int rc = bc_file_create(&f, path, BC_FILE_ONWARD, e);
    if (rc != BC_OK) return rc;
    unsigned char start[8];
    for (int i = 0; i < 8; i++) start[i] = (unsigned char)((uint64_t)length >> 8 * i);
    bool good = fwrite(start, 1, sizeof start, f.stream) == sizeof start &&
                fwrite(header, 1, length, f.stream) == length;
    for (size_t i = 0; good && i < arrays; i++) {
        size_t bytes = bc_array_bytes(array[i]);
        good = bytes == 0 || fwrite(array[i]->data, 1, bytes, f.stream) == bytes;
    }
    if (!good) {
        rc = bc_fail(e, "%s: %s", path, strerror(errno));
        bc_file_abort(&f);
        return rc;
    }
    return bc_file_commit(&f, e);
}
