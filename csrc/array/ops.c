/* ops.c: arithmetic and reductions, by element. The heavy work is in kernels
 * of their own; what counts here is that every dtype and view is right. */
#include "ops.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>

#include "../support/blas.h"
#include "../support/cpu.h"

bool array_broadcast(int *ndim, int64_t *shape, const bc_array *a, const bc_array *b) {
    *ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int i = 0; i < *ndim; i++) { /* i counts axes from the last */
        int64_t m = i < a->ndim ? a->shape[a->ndim - 1 - i] : 1;
        int64_t n = i < b->ndim ? b->shape[b->ndim - 1 - i] : 1;
        if (m != n && m != 1 && n != 1) return false;
        shape[*ndim - 1 - i] = m == 1 ? n : m;
    }
    return true;
}

bc_dtype array_promote(bc_dtype a, bc_dtype b, array_op op) {
    bool fa = bc_dtype_is_float(a), fb = bc_dtype_is_float(b);
    if (!fa && !fb && op != OP_DIV && op != OP_POW)
        return bc_dtype_size(a) >= bc_dtype_size(b) ? a : b;
    if (a == BC_F64 || b == BC_F64) return BC_F64;
    if (fa && fb) return BC_F32;
    bc_dtype integer = fa ? b : a;
    return integer == BC_I64 || integer == BC_I32 ? BC_F64 : BC_F32;
}

static double apply(double x, double y, array_op op) {
    switch (op) {
    case OP_ADD: return x + y;
    case OP_SUB: return x - y;
    case OP_MUL: return x * y;
    case OP_DIV: return x / y;
    case OP_POW: return pow(x, y);
    case OP_MAX: return isnan(x) || x > y ? x : y;
    default: return isnan(x) || x < y ? x : y;
    }
}

static int64_t apply_integer(int64_t x, int64_t y, array_op op) {
    uint64_t u = (uint64_t)x, v = (uint64_t)y;
    switch (op) {
    case OP_ADD: return (int64_t)(u + v);
    case OP_SUB: return (int64_t)(u - v);
    case OP_MUL: return (int64_t)(u * v);
    case OP_MAX: return x > y ? x : y;
    default: return x < y ? x : y;
    }
}

/* a seen with the shape of out: axes of one element are repeated by stride 0. */
static bc_array stretch(const bc_array *a, const bc_array *out) {
    bc_array v = *a;
    v.ndim = out->ndim;
    for (int i = 0; i < out->ndim; i++) {
        int from = i - (out->ndim - a->ndim);
        bool repeat = from < 0 || a->shape[from] == 1;
        v.shape[i] = out->shape[i];
        v.stride[i] = repeat ? 0 : a->stride[from];
    }
    return v;
}

BC_EACH_CPU(static, binary_f32,
            (float *restrict out, const float *x, const float *y, int64_t n, int64_t sx, int64_t sy,
             array_op op),
            (out, x, y, n, sx, sy, op)) {
    if (op == OP_ADD)
        for (int64_t i = 0; i < n; i++) out[i] = x[i * sx] + y[i * sy];
    else if (op == OP_SUB)
        for (int64_t i = 0; i < n; i++) out[i] = x[i * sx] - y[i * sy];
    else if (op == OP_MUL)
        for (int64_t i = 0; i < n; i++) out[i] = x[i * sx] * y[i * sy];
    else
        for (int64_t i = 0; i < n; i++) out[i] = x[i * sx] / y[i * sy];
}

/* One stride for all of a's elements in row-major order, if there is one. */
static bool flat(const bc_array *a, int64_t *stride) {
    if (bc_array_contiguous(a)) {
        *stride = 1;
        return true;
    }
    *stride = 0;
    for (int i = 0; i < a->ndim; i++)
        if (a->stride[i] != 0) return false;
    return true;
}

void array_binary(bc_array *out, const bc_array *a, const bc_array *b, array_op op) {
    bc_array x = stretch(a, out), y = stretch(b, out);
    int64_t n = bc_array_count(out), sx, sy;
    if (out->dtype == BC_F32 && a->dtype == BC_F32 && b->dtype == BC_F32 && op <= OP_DIV &&
        flat(&x, &sx) && flat(&y, &sy)) {
        binary_f32(out->data, x.data, y.data, n, sx, sy, op);
    } else if (bc_dtype_is_float(out->dtype)) {
        for (int64_t i = 0; i < n; i++)
            bc_array_put(out, i, apply(bc_array_get(&x, i), bc_array_get(&y, i), op));
    } else {
        for (int64_t i = 0; i < n; i++)
            bc_array_put_integer(
                out, i,
                apply_integer(bc_array_get_integer(&x, i), bc_array_get_integer(&y, i), op));
    }
}

void array_compare(bc_array *out, const bc_array *a, const bc_array *b, bool greater) {
    const bc_array x = stretch(greater ? b : a, out), y = stretch(greater ? a : b, out);
    const bool integer = !bc_dtype_is_float(a->dtype) && !bc_dtype_is_float(b->dtype);
    for (int64_t i = 0, n = bc_array_count(out); i < n; i++)
        bc_array_put_integer(out, i,
                             integer ? bc_array_get_integer(&x, i) < bc_array_get_integer(&y, i)
                                     : bc_array_get(&x, i) < bc_array_get(&y, i));
}

void array_where(bc_array *out, const bc_array *condition, const bc_array *x, const bc_array *y) {
    const bc_array c = stretch(condition, out), v = stretch(x, out), w = stretch(y, out);
    for (int64_t i = 0, n = bc_array_count(out); i < n; i++) {
        const bc_array *from = bc_array_get(&c, i) != 0 ? &v : &w;
        if (bc_dtype_is_float(out->dtype))
            bc_array_put(out, i, bc_array_get(from, i));
        else
            bc_array_put_integer(out, i, bc_array_get_integer(from, i));
    }
}

void array_cumsum(bc_array *out, const bc_array *a, int axis) {
    int64_t inner = 1; /* elements from one along the axis to the next */
    for (int k = axis + 1; k < a->ndim; k++) inner *= a->shape[k];
    const int64_t length = a->shape[axis];
    for (int64_t i = 0, n = bc_array_count(a); i < n; i++) {
        const bool first = i / inner % length == 0;
        if (out->dtype == BC_I64)
            bc_array_put_integer(out, i,
                                 apply_integer(first ? 0 : bc_array_get_integer(out, i - inner),
                                               bc_array_get_integer(a, i), OP_ADD));
        else
            bc_array_put(out, i, (first ? 0 : bc_array_get(out, i - inner)) + bc_array_get(a, i));
    }
}

struct element {
    double x;
    int64_t integer, at; /* x of floats, integer of integers; the other one is 0 */
};

static int rising(const void *a, const void *b) {
    const struct element *p = a, *q = b;
    const bool p_nan = isnan(p->x), q_nan = isnan(q->x);
    if (p_nan != q_nan) return p_nan ? 1 : -1;
    if (!p_nan && p->x != q->x) return p->x < q->x ? -1 : 1;
    if (p->integer != q->integer) return p->integer < q->integer ? -1 : 1;
    return (p->at > q->at) - (p->at < q->at);
}

static int falling_order(const void *a, const void *b) {
    const struct element *p = a, *q = b;
    const bool nan = isnan(p->x) || isnan(q->x), equal = p->x == q->x && p->integer == q->integer;
    return nan || equal ? rising(a, b) : -rising(a, b);
}

int array_argsort(int64_t *order, const bc_array *a, bool falling) {
    const int64_t n = bc_array_count(a);
    struct element *list = malloc((size_t)(n > 0 ? n : 1) * sizeof *list);
    if (list == NULL) return BC_NOMEM;
    for (int64_t i = 0; i < n; i++) {
        const bool is_float = bc_dtype_is_float(a->dtype);
        list[i] = (struct element){is_float ? bc_array_get(a, i) : 0,
                                   is_float ? 0 : bc_array_get_integer(a, i), i};
    }
    qsort(list, (size_t)n, sizeof *list, falling ? falling_order : rising);
    for (int64_t i = 0; i < n; i++) order[i] = list[i].at;
    free(list);
    return BC_OK;
}

void array_add(bc_array *a, const bc_array *b) {
    int64_t n = bc_array_count(a);
    if (a->dtype == BC_F32)
        for (int64_t i = 0; i < n; i++) ((float *)a->data)[i] += ((const float *)b->data)[i];
    else
        for (int64_t i = 0; i < n; i++) ((double *)a->data)[i] += ((const double *)b->data)[i];
}

void array_map(bc_array *out, const bc_array *a, array_function f) {
    static double (*const functions[])(double) = {fabs, sqrt, exp, log, log10};
    int64_t n = bc_array_count(out);
    bool integer = !bc_dtype_is_float(out->dtype);
    for (int64_t i = 0; i < n && integer; i++) {
        int64_t x = bc_array_get_integer(a, i);
        bc_array_put_integer(out, i, f == MAP_NEG || x < 0 ? apply_integer(0, x, OP_SUB) : x);
    }
    for (int64_t i = 0; i < n && !integer; i++) {
        double x = bc_array_get(a, i);
        bc_array_put(out, i, f == MAP_NEG ? -x : functions[f](x));
    }
}

static int64_t extreme_integer(const bc_array *a, int64_t n, bool greatest) {
    int64_t at = 0, best = bc_array_get_integer(a, 0);
    for (int64_t i = 1; i < n; i++) {
        int64_t x = bc_array_get_integer(a, i);
        if (greatest ? x > best : x < best) best = x, at = i;
    }
    return at;
}

int64_t array_extreme(const bc_array *a, bool greatest) {
    int64_t n = bc_array_count(a), at = 0;
    if (n == 0) return -1;
    if (!bc_dtype_is_float(a->dtype)) return extreme_integer(a, n, greatest);
    double best = bc_array_get(a, 0);
    for (int64_t i = 1; i < n && !isnan(best); i++) {
        double x = bc_array_get(a, i);
        if (isnan(x) || (greatest ? x > best : x < best)) best = x, at = i;
    }
    return at;
}

double array_reduce(const bc_array *a, array_reduction r) {
    int64_t n = bc_array_count(a);
    double sum = 0;
    if (r >= MIN && r <= ARGMAX) {
        int64_t at = array_extreme(a, r == MAX || r == ARGMAX);
        if (r == ARGMIN || r == ARGMAX) return (double)at;
        return at < 0 ? (double)NAN : bc_array_get(a, at);
    }
    if (r == ANY_NONFINITE) {
        for (int64_t i = 0; i < n; i++)
            if (!isfinite(bc_array_get(a, i))) return 1;
        return 0;
    }
    for (int64_t i = 0; i < n; i++) sum += bc_array_get(a, i);
    if (r == SUM) return sum;
    double mean = sum / (double)n;
    if (r == MEAN) return mean;
    double squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = bc_array_get(a, i) - mean;
        squares += d * d;
    }
    return sqrt(squares / (double)n);
}

void array_reduce_axis(bc_array *out, const bc_array *a, int axis, array_reduction r) {
    int64_t n = bc_array_count(out);
    for (int64_t i = 0; i < n; i++) {
        bc_array line = *a;
        int64_t rest = i, offset = 0;
        for (int k = a->ndim - 1; k >= 0; k--) {
            if (k == axis) continue;
            offset += rest % a->shape[k] * a->stride[k];
            rest /= a->shape[k];
        }
        line.data = (char *)a->data + offset * (int64_t)bc_dtype_size(a->dtype);
        line.ndim = 1;
        line.shape[0] = a->shape[axis];
        line.stride[0] = a->stride[axis];
        if (!bc_dtype_is_float(out->dtype) && (r == MIN || r == MAX))
            bc_array_put_integer(out, i,
                                 bc_array_get_integer(&line, array_extreme(&line, r == MAX)));
        else
            bc_array_put(out, i, array_reduce(&line, r));
    }
}

/* |a[i] - b[i]|, of integers without rounding them first; 0 of two NaN. */
static double difference(const bc_array *a, const bc_array *b, int64_t i) {
    if (!bc_dtype_is_float(a->dtype) && !bc_dtype_is_float(b->dtype)) {
        int64_t x = bc_array_get_integer(a, i), y = bc_array_get_integer(b, i);
        return (double)(x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x);
    }
    double x = bc_array_get(a, i), y = bc_array_get(b, i);
    return x == y || (isnan(x) && isnan(y)) ? 0 : fabs(x - y);
}

bool array_close(const bc_array *a, const bc_array *b, double relative, double absolute) {
    int64_t n = bc_array_count(a);
    for (int64_t i = 0; i < n; i++) {
        double d = difference(a, b, i);
        if (d != 0 && !(d <= absolute + relative * fabs(bc_array_get(b, i)))) return false;
    }
    return true;
}

double array_max_difference(const bc_array *a, const bc_array *b) {
    int64_t n = bc_array_count(a);
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = difference(a, b, i);
        if (!(d <= most)) most = d;
        if (isnan(d)) return d;
    }
    return most;
}

void array_matmul(bc_array *out, const bc_array *a, const bc_array *b) {
    int n = (int)a->shape[0], m = (int)a->shape[1], k = (int)b->shape[1];
    if (n == 0 || m == 0 || k == 0) return;
    bc_blas_alone();
    if (out->dtype == BC_F64)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, m, 1, a->data, m, b->data, k,
                    0, out->data, k);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, m, 1, a->data, m, b->data, k,
                    0, out->data, k);
    bc_blas_release();
}
