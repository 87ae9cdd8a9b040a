/* array.h: dense arrays of up to four axes over shared storage. */
#ifndef BC_ARRAY_H
#define BC_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"

#define BC_MAXDIM 4

typedef enum bc_dtype { BC_F32, BC_F64, BC_I64, BC_I32, BC_I16, BC_U8, BC_NDTYPES } bc_dtype;

/* Memory that several arrays, in several threads, may look at. Freed with the
 * last of them. */
typedef struct bc_storage bc_storage;

/* A view: element (i, j, ...) is at data + (i*stride[0] + j*stride[1] + ...)
 * elements. ndim 1..4; extents may be 0. data points into storage. A mapped
 * npy file is read-only. */
typedef struct bc_array {
    bc_storage *storage;
    void *data;
    bc_dtype dtype;
    int ndim;
    int64_t shape[BC_MAXDIM];
    int64_t stride[BC_MAXDIM];
    bool readonly;
} bc_array;

size_t bc_dtype_size(bc_dtype t);
const char *bc_dtype_name(bc_dtype t);            /* "f32" ... */
bool bc_dtype_parse(bc_dtype *t, const char *name); /* false: no such name */
bool bc_dtype_is_float(bc_dtype t);

/* Bytes that a shape needs; false if they do not fit in half the address space, or an
 * extent is negative. */
bool bc_shape_bytes(size_t *bytes, bc_dtype dtype, int ndim, const int64_t *shape);

/* A new zeroed, row-major array, 64-byte aligned. BC_NOMEM also when the size
 * overflows. Free with bc_array_release. */
int bc_array_new(bc_array *a, bc_dtype dtype, int ndim, const int64_t *shape);

/* Another view of the same elements; release both. */
void bc_array_share(bc_array *to, const bc_array *from);
void bc_array_release(bc_array *a); /* safe twice */
bool bc_array_alone(const bc_array *a); /* no other view of its storage */

int64_t bc_array_count(const bc_array *a); /* number of elements */
size_t bc_array_bytes(const bc_array *a);
bool bc_array_contiguous(const bc_array *a);
bool bc_array_same_shape(const bc_array *a, const bc_array *b);

/* Elements as numbers; index is a position from 0 in row-major order. Floats
 * stored into integers are truncated and saturated, NaN gives 0. */
double bc_array_get(const bc_array *a, int64_t index);
int64_t bc_array_get_integer(const bc_array *a, int64_t index);
void bc_array_put(bc_array *a, int64_t index, double value);
void bc_array_put_integer(bc_array *a, int64_t index, int64_t value);

/* Row-major copy of from into to: same shape, dtype converted; not of one memory. */
void bc_array_copy(bc_array *to, const bc_array *from);

/* Views (share storage). Positions are from 0; last is not included.
 * bc_array_reshape needs a contiguous array and an equal count. */
void bc_array_slice(bc_array *view, const bc_array *a, int axis, int64_t first, int64_t last);
void bc_array_select(bc_array *view, const bc_array *a, int axis, int64_t at); /* ndim >= 2 */
void bc_array_transpose(bc_array *view, const bc_array *a);
void bc_array_reshape(bc_array *view, const bc_array *a, int ndim, const int64_t *shape);

/* Bytes held by all storages of this process. */
size_t bc_array_live_bytes(void);

/* Wrap a read-only mapping of a file as storage; unmapped with the last view. */
int bc_array_map(bc_array *a, void *mapping, size_t mapped, size_t offset, bc_dtype dtype,
                 int ndim, const int64_t *shape);

#endif
