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
    bc_element type;
    bool fortran;
    int ndim;
    int64_t shape[BC_MAXDIM];
} header;

/* The text after 'key': or "key": in the header's dictionary. */
static const char *value_of(const char *text, const char *key) {
    const size_t length = strlen(key);
    for (const char *p = text; (p = strstr(p, key)) != NULL; p += length) {
        const char *after = p + length;
        if (p == text || (p[-1] != '\'' && p[-1] != '"') || *after++ != p[-1]) continue;
        while (isspace((unsigned char)*after)) after++;
        if (*after++ != ':') continue;
        while (isspace((unsigned char)*after)) after++;
        return after;
    }
    return NULL;
}

/* '<f4' and its kind: an order of bytes, which may be missing, a kind and a size. */
static bool parse_type(bc_element *t, const char *p) {
    static const char letters[] = "fiub";
    static const enum bc_element_kind kinds[] = {BC_FLOAT, BC_SIGNED, BC_UNSIGNED, BC_BOOLEAN};
    if (p == NULL || (*p != '\'' && *p != '"')) return false;
    const char quote = *p++, order = *p != '\0' && strchr("<>=|", *p) != NULL ? *p++ : '=';
    const char *letter = *p == '\0' ? NULL : strchr(letters, *p++);
    return letter != NULL && isdigit((unsigned char)*p) && p[1] == quote &&
           bc_element_find(t, kinds[letter - letters], (size_t)(*p - '0'), order == '>');
}

/* How much of the text a message repeats: a quoted type, or a list of fields. */
static int shown(const char *p) {
    const char *last = *p == '\0' ? NULL : strchr(p + 1, *p == '[' ? ']' : *p);
    const size_t length = last == NULL ? strcspn(p, ",}") : (size_t)(last - p) + 1;
    return length < 60 ? (int)length : 60;
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
        p = *end == 'L' ? end + 1 : end; /* Python 2's long */
    }
    if (h->ndim == 0) h->shape[h->ndim++] = 1;
    return true;
}

static int parse(header *h, const char *text, const char *path, bc_error *e) {
    const char *order = value_of(text, "fortran_order"), *type = value_of(text, "descr");
    if (order == NULL) return bc_fail(e, "%s: npy header without fortran_order", path);
    h->fortran = strncmp(order, "True", 4) == 0;
    if (type == NULL) return bc_fail(e, "%s: npy header without descr", path);
    if (!parse_type(&h->type, type))
        return bc_fail(e, "%s: npy dtype %.*s (one of f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1)", path,
                       shown(type), type);
    if (!parse_shape(h, value_of(text, "shape")))
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
    if (!bc_shape_bytes(&bytes, h->type.as, h->ndim, h->shape)) bytes = SIZE_MAX;
    bytes = bytes / bc_dtype_size(h->type.as) * h->type.size;
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

/* n elements into memory for n of type->as, from this byte of the file on. */
static int read_elements(void *out, const bc_element *type, size_t n, int fd, size_t from,
                         const char *path, bc_error *e) {
    int rc = read_bytes(bc_elements_place(out, type, n), n * type->size, fd, from, path, e);
    if (rc == BC_OK && !bc_elements_convert(out, type, n))
        rc = bc_fail(e, "%s: an integer above 2^63 - 1", path);
    return rc;
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
    if (map && bc_element_is_plain(&h.type) && offset % h.type.size == 0) {
        void *m = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (m == MAP_FAILED) return bc_fail(e, "%s: %s", path, strerror(errno));
        rc = bc_array_map(a, m, size, offset, h.type.as, h.ndim, h.shape);
        if (rc != BC_OK) munmap(m, size);
    } else {
        rc = bc_array_new(a, h.type.as, h.ndim, h.shape);
        if (rc == BC_OK)
            rc = read_elements(a->data, &h.type, (size_t)bc_array_count(a), fd, offset, path, e);
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
    f->type = h.type;
    f->dtype = h.type.as;
    f->ndim = h.ndim;
    memcpy(f->shape, h.shape, sizeof f->shape);
    return BC_OK;
}

int npy_read(const npy_file *f, const char *path, void *out, int64_t first, int64_t n,
             bc_error *e) {
    return read_elements(out, &f->type, (size_t)n, f->fd, f->offset + (size_t)first * f->type.size,
                         path, e);
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
