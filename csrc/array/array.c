/* array.c: storage, views and element access. */
#include "array.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct bc_storage {
    atomic_size_t references;
    void *memory;
    size_t bytes;
    bool mapped;
};

static atomic_size_t live_bytes;

static const struct {
    const char *name;
    size_t size;
} dtypes[BC_NDTYPES] = {{"f32", 4}, {"f64", 8}, {"i64", 8}, {"i32", 4}, {"i16", 2}, {"u8", 1}};

size_t bc_dtype_size(bc_dtype t) { return dtypes[t].size; }
const char *bc_dtype_name(bc_dtype t) { return dtypes[t].name; }
bool bc_dtype_is_float(bc_dtype t) { return t == BC_F32 || t == BC_F64; }
size_t bc_array_live_bytes(void) { return atomic_load(&live_bytes); }

bool bc_dtype_parse(bc_dtype *t, const char *name) {
    for (int i = 0; i < BC_NDTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0) {
            *t = (bc_dtype)i;
            return true;
        }
    return false;
}

bool bc_shape_bytes(size_t *bytes, bc_dtype dtype, int ndim, const int64_t *shape) {
    size_t n = bc_dtype_size(dtype);
    bool empty = false;
    for (int i = 0; i < ndim; i++) {
        /* An empty axis must not hide an overflow from the strides. */
        size_t extent = shape[i] > 0 ? (size_t)shape[i] : 1;
        if (shape[i] < 0) return false;
        if (shape[i] == 0) empty = true;
        if (__builtin_mul_overflow(n, extent, &n) || n > (size_t)PTRDIFF_MAX) return false;
    }
    *bytes = empty ? 0 : n;
    return true;
}

static void set_shape(bc_array *a, bc_dtype dtype, int ndim, const int64_t *shape) {
    a->dtype = dtype;
    a->ndim = ndim;
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        a->shape[i] = shape[i];
        a->stride[i] = stride;
        stride *= shape[i];
    }
}

static bc_storage *storage_new(void *memory, size_t bytes, bool mapped) {
    bc_storage *s = malloc(sizeof *s);
    if (s == NULL) return NULL;
    atomic_init(&s->references, 1);
    s->memory = memory;
    s->bytes = bytes;
    s->mapped = mapped;
    if (!mapped) atomic_fetch_add(&live_bytes, bytes);
    return s;
}

int bc_array_new(bc_array *a, bc_dtype dtype, int ndim, const int64_t *shape) {
    memset(a, 0, sizeof *a);
    size_t bytes;
    if (!bc_shape_bytes(&bytes, dtype, ndim, shape)) return BC_NOMEM;
    size_t padded = (bytes + 63) / 64 * 64 + 64; /* never NULL, and whole vectors */
    void *memory = aligned_alloc(64, padded);
    if (memory == NULL) return BC_NOMEM;
    a->storage = storage_new(memory, bytes, false);
    if (a->storage == NULL) {
        free(memory);
        return BC_NOMEM;
    }
    memset(memory, 0, padded);
    a->data = memory;
    set_shape(a, dtype, ndim, shape);
    return BC_OK;
}

int bc_array_map(bc_array *a, void *mapping, size_t mapped, size_t offset, bc_dtype dtype, int ndim,
                 const int64_t *shape) {
    memset(a, 0, sizeof *a);
    a->storage = storage_new(mapping, mapped, true);
    if (a->storage == NULL) return BC_NOMEM;
    a->data = (char *)mapping + offset;
    a->readonly = true;
    set_shape(a, dtype, ndim, shape);
    return BC_OK;
}

void bc_array_share(bc_array *to, const bc_array *from) {
    *to = *from;
    if (to->storage != NULL)
        atomic_fetch_add_explicit(&to->storage->references, 1, memory_order_relaxed);
}

void bc_array_release(bc_array *a) {
    bc_storage *s = a->storage;
    memset(a, 0, sizeof *a);
    if (s == NULL || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1) return;
    if (s->mapped) {
        munmap(s->memory, s->bytes);
    } else {
        atomic_fetch_sub(&live_bytes, s->bytes);
        free(s->memory);
    }
    free(s);
}

bool bc_array_alone(const bc_array *a) {
    return a->storage != NULL &&
           atomic_load_explicit(&a->storage->references, memory_order_acquire) == 1;
}

int64_t bc_array_count(const bc_array *a) {
    int64_t n = 1;
    for (int i = 0; i < a->ndim; i++) n *= a->shape[i];
    return n;
}

size_t bc_array_bytes(const bc_array *a) {
    return (size_t)bc_array_count(a) * bc_dtype_size(a->dtype);
}

bool bc_array_contiguous(const bc_array *a) {
    int64_t stride = 1;
    for (int i = a->ndim - 1; i >= 0; i--) {
        if (a->shape[i] != 1 && a->stride[i] != stride) return false;
        stride *= a->shape[i];
    }
    return true;
}

bool bc_array_same_shape(const bc_array *a, const bc_array *b) {
    if (a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

static const char *element(const bc_array *a, int64_t index) {
    int64_t offset = 0;
    for (int i = a->ndim - 1; i > 0; i--) {
        offset += index % a->shape[i] * a->stride[i];
        index /= a->shape[i];
    }
    offset += index * a->stride[0];
    return (const char *)a->data + offset * (int64_t)bc_dtype_size(a->dtype);
}

double bc_array_get(const bc_array *a, int64_t index) {
    const char *p = element(a, index);
    switch (a->dtype) {
    case BC_F32: return (double)*(const float *)p;
    case BC_F64: return *(const double *)p;
    case BC_I64: return (double)*(const int64_t *)p;
    case BC_I32: return *(const int32_t *)p;
    case BC_I16: return *(const int16_t *)p;
    default: return *(const uint8_t *)p;
    }
}

static int64_t clamp(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}

/* Truncate and saturate, as the header promises: a plain cast of such a value
 * is undefined. */
static int64_t integer_of(double x) {
    if (isnan(x)) return 0;
    if (x >= 0x1p63) return INT64_MAX;
    if (x <= -0x1p63) return INT64_MIN;
    return (int64_t)x;
}

int64_t bc_array_get_integer(const bc_array *a, int64_t index) {
    const char *p = element(a, index);
    switch (a->dtype) {
    case BC_I64: return *(const int64_t *)p;
    case BC_I32: return *(const int32_t *)p;
    case BC_I16: return *(const int16_t *)p;
    case BC_U8: return *(const uint8_t *)p;
    default: return integer_of(bc_array_get(a, index));
    }
}

void bc_array_put_integer(bc_array *a, int64_t index, int64_t x) {
    void *p = (char *)a->data + (element(a, index) - (const char *)a->data);
    switch (a->dtype) {
    case BC_F32: *(float *)p = (float)x; break;
    case BC_F64: *(double *)p = (double)x; break;
    case BC_I64: *(int64_t *)p = x; break;
    case BC_I32: *(int32_t *)p = (int32_t)clamp(x, INT32_MIN, INT32_MAX); break;
    case BC_I16: *(int16_t *)p = (int16_t)clamp(x, INT16_MIN, INT16_MAX); break;
    default: *(uint8_t *)p = (uint8_t)clamp(x, 0, UINT8_MAX);
    }
}

void bc_array_put(bc_array *a, int64_t index, double x) {
    void *p = (char *)a->data + (element(a, index) - (const char *)a->data);
    switch (a->dtype) {
    case BC_F32: *(float *)p = (float)x; break;
    case BC_F64: *(double *)p = x; break;
    default: bc_array_put_integer(a, index, integer_of(x));
    }
}

void bc_array_copy(bc_array *to, const bc_array *from) {
    int64_t n = bc_array_count(from);
    if (to->dtype == from->dtype && bc_array_contiguous(to) && bc_array_contiguous(from)) {
        if (n > 0) memcpy(to->data, from->data, bc_array_bytes(from));
    } else if (bc_dtype_is_float(from->dtype)) {
        for (int64_t i = 0; i < n; i++) bc_array_put(to, i, bc_array_get(from, i));
    } else {
        for (int64_t i = 0; i < n; i++) bc_array_put_integer(to, i, bc_array_get_integer(from, i));
    }
}

void bc_array_slice(bc_array *view, const bc_array *a, int axis, int64_t first, int64_t last) {
    bc_array_share(view, a);
    view->data = (char *)a->data + first * a->stride[axis] * (int64_t)bc_dtype_size(a->dtype);
    view->shape[axis] = last - first;
}

void bc_array_select(bc_array *view, const bc_array *a, int axis, int64_t at) {
    bc_array_slice(view, a, axis, at, at + 1);
    for (int i = axis; i + 1 < a->ndim; i++) {
        view->shape[i] = a->shape[i + 1];
        view->stride[i] = a->stride[i + 1];
    }
    view->ndim--;
}

void bc_array_transpose(bc_array *view, const bc_array *a) {
    bc_array_share(view, a);
    for (int i = 0; i < a->ndim; i++) {
        view->shape[i] = a->shape[a->ndim - 1 - i];
        view->stride[i] = a->stride[a->ndim - 1 - i];
    }
}

void bc_array_reshape(bc_array *view, const bc_array *a, int ndim, const int64_t *shape) {
    bc_array_share(view, a);
    set_shape(view, a->dtype, ndim, shape);
}
