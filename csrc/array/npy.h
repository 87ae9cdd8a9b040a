/* npy.h: numpy's file format, versions 1 to 3 (NEP 1). */
#ifndef BC_NPY_H
#define BC_NPY_H

#include "elements.h"

/* Read or memory-map (read-only) an npy file: floats, integers and booleans of
 * either order of bytes, as bc_element has them, C or Fortran order, up to four
 * axes; a 0-d array becomes one element. What is not stored as one of our dtypes
 * is read and converted where a map is asked for, too. Lengths in the header are checked against the file's size before anything is
 * allocated. BC_FAIL: missing, not npy, truncated, another dtype. */
int npy_load(bc_array *a, const char *path, bool map, bc_error *e);

/* An npy file to read parts of: when the file is
 * cut meanwhile, reading fails, where a mapping would end the program. */
typedef struct npy_file {
    int fd; /* -1: closed */
    size_t offset;
    bc_element type; /* in the file */
    bc_dtype dtype;  /* as it is read */
    int ndim;
    int64_t shape[BC_MAXDIM];
} npy_file;
int npy_open(npy_file *f, const char *path, bc_error *e); /* C order only */
/* Elements first..first+n-1, in row-major order; all of them, or BC_FAIL. */
int npy_read(const npy_file *f, const char *path, void *out, int64_t first, int64_t n,
             bc_error *e);
void npy_close(npy_file *f); /* safe twice */

/* Write version 1.0, C order, whole or not at all. */
int npy_save(const char *path, const bc_array *a, bc_error *e);

/* Magic, version, length and dictionary of a file of this shape, padded to a
 * multiple of 64 and to `least` bytes; returns their number. */
enum { NPY_HEADER = 384 };
size_t npy_header(char out[NPY_HEADER], bc_dtype dtype, int ndim, const int64_t *shape,
                  size_t least);

/* A file that is written row by row: its first axis grows. */
typedef struct npy_rows npy_rows;

/* shape (ndim - 1) is that of a row, ndim 1..4. BC_FAIL, with a text that begins
 * with the path: it cannot be made, a full disk. After any failure but one of open
 * only npy_rows_free is left to do; after commit nothing is. */
int npy_rows_open(npy_rows **r, const char *path, bc_dtype dtype, int ndim, const int64_t *shape,
                  bc_error *e);
int npy_rows_put(npy_rows *r, const void *rows, int64_t n, bc_error *e);
int64_t npy_rows_count(const npy_rows *r);
const bc_array *npy_rows_like(const npy_rows *r); /* dtype and shape, no data */
int npy_rows_commit(npy_rows *r, bc_error *e);   /* frees it in any case */
void npy_rows_free(npy_rows *r);                 /* nothing stays; NULL is fine */

#endif
