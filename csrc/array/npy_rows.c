/* npy_rows.c: an npy file written row by row. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../support/file.h"
#include "npy.h"

struct npy_rows {
    bc_file file;
    bc_array like; /* dtype and shape, no data; shape[0]: rows so far */
    size_t bytes;  /* of a row */
    size_t header; /* its length in the file, whatever the number of rows */
};

/* The header goes in at the end; until then zeros stand there. */
static int reserve(npy_rows *r, bc_error *e) {
    char head[NPY_HEADER] = {0};
    int64_t shape[BC_MAXDIM];
    memcpy(shape, r->like.shape, sizeof shape);
    shape[0] = INT64_MAX; /* the most digits */
    r->header = npy_header(head, r->like.dtype, r->like.ndim, shape, 0);
    memset(head, 0, sizeof head);
    if (fwrite(head, 1, r->header, r->file.stream) != r->header)
        return bc_fail(e, "%s: %s", r->file.path, strerror(errno));
    return BC_OK;
}

int npy_rows_open(npy_rows **out, const char *path, bc_dtype dtype, int ndim, const int64_t *shape,
                  bc_error *e) {
    npy_rows *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r == NULL) return BC_NOMEM;
    r->like.dtype = dtype;
    r->like.ndim = ndim;
    for (int i = 1; i < ndim; i++) r->like.shape[i] = shape[i - 1];
    int64_t one[BC_MAXDIM];
    memcpy(one, r->like.shape, sizeof one);
    one[0] = 1;
    int rc = bc_shape_bytes(&r->bytes, dtype, ndim, one) ? BC_OK : BC_NOMEM;
    if (rc == BC_OK) rc = bc_file_create(&r->file, path, BC_FILE_SEEK, e);
    if (rc == BC_OK) rc = reserve(r, e);
    if (rc != BC_OK) {
        npy_rows_free(r);
        return rc;
    }
    *out = r;
    return BC_OK;
}

int npy_rows_put(npy_rows *r, const void *rows, int64_t n, bc_error *e) {
    size_t bytes = r->bytes * (size_t)n;
    if (fwrite(rows, 1, bytes, r->file.stream) != bytes)
        return bc_fail(e, "%s: %s", r->file.path, strerror(errno));
    r->like.shape[0] += n;
    return BC_OK;
}

int64_t npy_rows_count(const npy_rows *r) {
    return r->like.shape[0];
}
const bc_array *npy_rows_like(const npy_rows *r) {
    return &r->like;
}

static int commit(npy_rows *r, bc_error *e) {
    char head[NPY_HEADER];
    size_t n = npy_header(head, r->like.dtype, r->like.ndim, r->like.shape, r->header);
    if (fseeko(r->file.stream, 0, SEEK_SET) != 0 || fwrite(head, 1, n, r->file.stream) != n)
        return bc_fail(e, "%s: %s", r->file.path, strerror(errno));
    return bc_file_commit(&r->file, e);
}

int npy_rows_commit(npy_rows *r, bc_error *e) {
    int rc = commit(r, e);
    npy_rows_free(r);
    return rc;
}

void npy_rows_free(npy_rows *r) {
    if (r == NULL) return;
    bc_file_abort(&r->file);
    free(r);
}
