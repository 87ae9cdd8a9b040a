/* npy.c: numpy's file format. */
#include "npy.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/file.h"

#define MAGIC "\x93NUMPY"
#define MAXHEADER (1 << 16)

static const char *const descr[BC_NDTYPES] = {"<f4", "<f8", "<i8", "<i4", "<i2", "|u1"};

typedef struct {
    bc_dtype dtype;
    bool fortran;
    int ndim;
    int64_t shape[BC_MAXDIM];
} header;

/* The text after 'key': in the header's dictionary. */
static const char *value_of(const char *text, const char *key) {
    const char *p = strstr(text, key);
    if (p == NULL) return NULL;
    p += strlen(key);
    while (isspace((unsigned char)*p)) p++;
    if (*p++ != ':') return NULL;
    while (isspace((unsigned char)*p)) p++;
    return p;
}

static bool parse_dtype(header *h, const char *p) {
    if (p == NULL || (*p != '\'' && *p != '"')) return false;
    for (int t = 0; t < BC_NDTYPES; t++)
        if (strncmp(p + 1, descr[t], 3) == 0 && p[4] == p[0]) {
            h->dtype = (bc_dtype)t;
            return true;
        }
    return false;
}

static bool parse_shape(header *h, const char *p) {
    if (p == NULL || *p++ != '(') return false;
    h->ndim = 0;
    for (;;) {
        while (isspace((unsigned char)*p) || *p == ',') p++;
        if (*p == ')') break;
        char *end;
        errno = 0;
        long long n = strtoll(p, &end, 10);
        if (end == p || errno != 0 || n < 0 || h->ndim == BC_MAXDIM) return false;
        h->shape[h->ndim++] = n;
        p = end;
    }
    if (h->ndim == 0) h->shape[h->ndim++] = 1;
    return true;
}

static int parse(header *h, const char *text, const char *path, bc_error *e) {
    const char *order = value_of(text, "'fortran_order'");
    if (order == NULL) return bc_fail(e, "%s: npy header without fortran_order", path);
    h->fortran = strncmp(order, "True", 4) == 0;
    const char *type = value_of(text, "'descr'");
    if (!parse_dtype(h, type))
        return bc_fail(e, "%s: npy dtype %.12s (one of <f4 <f8 <i8 <i4 <i2 |u1)", path,
                       type == NULL ? "?" : type);
    if (!parse_shape(h, value_of(text, "'shape'")))
        return bc_fail(e, "%s: npy shape that is not up to four extents", path);
    return BC_OK;
}

/* Read magic, version and header; *offset is where the elements start. */
static int read_header(header *h, size_t *offset, int fd, size_t size, const char *path,
                       bc_error *e) {
    unsigned char start[12];
    if (size < 10 || pread(fd, start, sizeof start, 0) < 10 || memcmp(start, MAGIC, 6) != 0)
        return bc_fail(e, "%s: not an npy file", path);
    size_t length = (size_t)start[8] | (size_t)start[9] << 8, at = 10;
    if (start[6] > 1) {
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
        at = 12;
    }
    if (length > MAXHEADER || at + length > size) return bc_fail(e, "%s: truncated npy file", path);
    char *text = malloc(length + 1);
    if (text == NULL) return BC_NOMEM;
    int rc;
    if (pread(fd, text, length, (off_t)at) != (ssize_t)length) {
        rc = bc_fail(e, "%s: %s", path, strerror(errno));
    } else {
        text[length] = '\0';
        rc = parse(h, text, path, e);
    }
    free(text);
    *offset = at + length;
    return rc;
}

static int check_size(const header *h, size_t offset, size_t size, const char *path, bc_error *e) {
    size_t bytes;
    if (!bc_shape_bytes(&bytes, h->dtype, h->ndim, h->shape)) bytes = SIZE_MAX;
    if (bytes > size - offset)
        return bc_fail(e, "%s: truncated npy file (%zu bytes of elements, header says %zu)", path,
                       size - offset, bytes);
    return BC_OK;
}

static int read_bytes(void *out, size_t bytes, int fd, size_t offset, const char *path,
                      bc_error *e) {
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pread(fd, (char *)out + done, bytes - done, (off_t)(offset + done));
        if (n <= 0) return bc_fail(e, "%s: %s", path, n < 0 ? strerror(errno) : "truncated npy file");
        done += (size_t)n;
    }
    return BC_OK;
}

/* A header that the file's size agrees with. */
static int examine(header *h, size_t *offset, size_t *size, int fd, const char *path,
                   bc_error *e) {
    struct stat st;
    if (fstat(fd, &st) != 0) return bc_fail(e, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return bc_fail(e, "%s: not a regular file", path);
    *size = (size_t)st.st_size;
    int rc = read_header(h, offset, fd, *size, path, e);
    return rc == BC_OK ? check_size(h, *offset, *size, path, e) : rc;
}

static int load_fd(bc_array *a, int fd, const char *path, bool map, bc_error *e) {
    size_t size, offset;
    header h;
    int rc = examine(&h, &offset, &size, fd, path, e);
    if (rc != BC_OK) return rc;
    if (h.fortran) /* the reversed shape in C order, seen through a transposition */
        for (int i = 0, j = h.ndim - 1; i < j; i++, j--) {
            int64_t t = h.shape[i];
            h.shape[i] = h.shape[j];
            h.shape[j] = t;
        }
    if (map && offset % bc_dtype_size(h.dtype) == 0) {
        void *m = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (m == MAP_FAILED) return bc_fail(e, "%s: %s", path, strerror(errno));
        rc = bc_array_map(a, m, size, offset, h.dtype, h.ndim, h.shape);
        if (rc != BC_OK) munmap(m, size);
    } else {
        rc = bc_array_new(a, h.dtype, h.ndim, h.shape);
        if (rc == BC_OK) rc = read_bytes(a->data, bc_array_bytes(a), fd, offset, path, e);
        if (rc != BC_OK) bc_array_release(a);
    }
    if (rc == BC_OK && h.fortran && h.ndim > 1) {
        bc_array view;
        bc_array_transpose(&view, a);
        bc_array_release(a);
        *a = view;
    }
    return rc;
}

int npy_load(bc_array *a, const char *path, bool map, bc_error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return bc_fail(e, "%s: %s", path, strerror(errno));
    int rc = load_fd(a, fd, path, map, e);
    close(fd);
    return rc;
}

int npy_open(npy_file *f, const char *path, bc_error *e) {
    header h;
    size_t size;
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0) return bc_fail(e, "%s: %s", path, strerror(errno));
    int rc = examine(&h, &f->offset, &size, f->fd, path, e);
    if (rc == BC_OK && h.fortran && h.ndim > 1)
        rc = bc_fail(e, "%s: in Fortran order", path);
    if (rc != BC_OK) {
        npy_close(f);
        return rc;
    }
    f->dtype = h.dtype;
    f->ndim = h.ndim;
    memcpy(f->shape, h.shape, sizeof f->shape);
    return BC_OK;
}

int npy_read(const npy_file *f, const char *path, void *out, int64_t first, int64_t n,
             bc_error *e) {
    size_t size = bc_dtype_size(f->dtype);
    return read_bytes(out, (size_t)n * size, f->fd, f->offset + (size_t)first * size, path, e);
}

void npy_close(npy_file *f) {
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

size_t npy_header(char out[NPY_HEADER], bc_dtype dtype, int ndim, const int64_t *shape,
                  size_t least) {
    size_t room = NPY_HEADER - 64; /* the padding has the rest */
    size_t n = (size_t)snprintf(out + 10, room - 10,
                                "{'descr': '%s', 'fortran_order': False, 'shape': (",
                                descr[dtype]) + 10;
    for (int i = 0; i < ndim; i++)
        n += (size_t)snprintf(out + n, room - n, i == 0 ? "%lld," : " %lld,",
                              (long long)shape[i]);
    if (ndim > 1) n--; /* numpy's own writer keeps the comma for one axis only */
    n += (size_t)snprintf(out + n, room - n, "), }");
    while ((n + 1) % 64 != 0 || n + 1 < least) out[n++] = ' ';
    out[n++] = '\n';
    memcpy(out, MAGIC "\1\0", 8);
    out[8] = (char)((n - 10) & 255);
    out[9] = (char)((n - 10) >> 8);
    return n;
}

int npy_save(const char *path, const bc_array *a, bc_error *e) {
    char head[NPY_HEADER];
    size_t n = npy_header(head, a->dtype, a->ndim, a->shape, 0);
    bc_array copy = {0};
    const bc_array *from = a;
    if (!bc_array_contiguous(a)) {
        if (bc_array_new(&copy, a->dtype, a->ndim, a->shape) != BC_OK) return BC_NOMEM;
        bc_array_copy(&copy, a);
        from = &copy;
    }
    bc_file f;
    int rc = bc_file_create(&f, path, BC_FILE_ONWARD, e);
    if (rc == BC_OK) {
        size_t bytes = bc_array_bytes(a);
        if (fwrite(head, 1, n, f.stream) != n || fwrite(from->data, 1, bytes, f.stream) != bytes) {
            rc = bc_fail(e, "%s: %s", path, strerror(errno));
            bc_file_abort(&f);
        } else {
            rc = bc_file_commit(&f, e);
        }
    }
    bc_array_release(&copy);
    return rc;
}
