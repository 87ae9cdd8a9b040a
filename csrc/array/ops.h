/* ops.h: small arithmetic and reductions on arrays. */
#ifndef BC_ARRAY_OPS_H
#define BC_ARRAY_OPS_H

#include "array.h"

typedef enum { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_POW, OP_MAX, OP_MIN } array_op;
typedef enum { MAP_ABS, MAP_SQRT, MAP_EXP, MAP_LOG, MAP_LOG10, MAP_NEG } array_function;
typedef enum { SUM, MEAN, STD, MIN, MAX, ARGMIN, ARGMAX, ANY_NONFINITE } array_reduction;

/* The shape of a op b by numpy's broadcasting; false if they do not fit. */
bool array_broadcast(int *ndim, int64_t *shape, const bc_array *a, const bc_array *b);

/* f64 if any is f64 or a wide integer meets a float, else f32; integers stay
 * integers under + - * max min. */
bc_dtype array_promote(bc_dtype a, bc_dtype b, array_op op);

/* out (shape from array_broadcast, dtype from array_promote) = a op b, worked
 * out in f64, or in wrapping i64 for integers. */
void array_binary(bc_array *out, const bc_array *a, const bc_array *b, array_op op);

/* a += b: both contiguous, of one shape and one of f32 and f64. */
void array_add(bc_array *a, const bc_array *b);

/* out (same shape) = f(a), worked out in f64; MAP_ABS and MAP_NEG of integers in wrapping i64. */
void array_map(bc_array *out, const bc_array *a, array_function f);

/* One number out of all elements in row-major order, sums in f64. NaN anywhere
 * gives NaN for SUM MEAN STD MIN MAX, and its position for ARGMIN ARGMAX (first
 * of several; positions from 0). STD divides by n. Empty: SUM is 0, MEAN and
 * STD NaN, MIN and MAX NaN, ARGMIN and ARGMAX -1. */
double array_reduce(const bc_array *a, array_reduction r);

/* The position of the smallest or greatest element, as ARGMIN and ARGMAX; integers are
 * compared as such. */
int64_t array_extreme(const bc_array *a, bool greatest);

/* The same along one axis; out has the shape without it, f64 (i64 for ARG*, and for MIN and
 * MAX of integers along an axis that is not empty). */
void array_reduce_axis(bc_array *out, const bc_array *a, int axis, array_reduction r);

/* out (u8, shape from array_broadcast) = 1 where a > b (greater), or a < b, else 0; also of NaN. */
void array_compare(bc_array *out, const bc_array *a, const bc_array *b, bool greater);

/* out (shape of a; f64, or i64 of integers) = sums up to each element along an axis. */
void array_cumsum(bc_array *out, const bc_array *a, int axis);

/* order (n) = where the elements of the vector a are in rising, or falling, order, from 0; equal
 * ones in the order that they have, NaN last. BC_OK or BC_NOMEM. */
int array_argsort(int64_t *order, const bc_array *a, bool falling);

/* out = x where condition is not 0, else y, by broadcasting; dtype as of array_promote(x, y, OP_MAX). */
void array_where(bc_array *out, const bc_array *condition, const bc_array *x, const bc_array *y);

/* out (n, k) = a (n, m) b (m, k), all of one float dtype and contiguous; no extent above INT_MAX. */
void array_matmul(bc_array *out, const bc_array *a, const bc_array *b);

/* All |a-b| <= absolute + relative*|b|; NaN equals NaN. Shapes are equal. */
bool array_close(const bc_array *a, const bc_array *b, double relative, double absolute);
double array_max_difference(const bc_array *a, const bc_array *b); /* NaN if one is NaN alone */

#endif
