/* lua_array_ops.c: arithmetic, reductions and printing of arrays. */
#include <limits.h>
#include <stdio.h>

#include "../support/bf16.h"
#include "../support/lua_support.h"
#include "lua_array.h"
#include "ops.h"

/* --- arithmetic and reductions -------------------------------------------- */

/* A number beside an array takes the array's dtype, unless it is a float
 * beside integers. */
static const bc_array *operand(lua_State *L, int arg, const bc_array *other) {
    bc_array *a = bc_test_array(L, arg);
    if (a != NULL) return a;
    lua_Number x = luaL_checknumber(L, arg);
    bc_dtype dtype = other->dtype;
    if (!bc_dtype_is_float(dtype)) dtype = lua_isinteger(L, arg) ? BC_U8 : BC_F64;
    if (dtype == BC_U8 && (x < 0 || x > UINT8_MAX)) dtype = BC_I64;
    a = bc_push_vector(L, dtype, 1);
    bc_array_put_value(L, a, 0, arg);
    lua_replace(L, arg);
    return a;
}

static int binary(lua_State *L, array_op op) {
    const bc_array *x = bc_test_array(L, 1), *y = bc_test_array(L, 2);
    if (x == NULL && y == NULL) return luaL_typeerror(L, 1, BC_ARRAY);
    if (x == NULL) x = operand(L, 1, y);
    if (y == NULL) y = operand(L, 2, x);
    int ndim;
    int64_t shape[BC_MAXDIM];
    if (!array_broadcast(&ndim, shape, x, y))
        return luaL_argerror(L, 2, "shapes that do not broadcast");
    array_binary(bc_push_array(L, array_promote(x->dtype, y->dtype, op), ndim, shape), x, y, op);
    return 1;
}

#define BINARY(name, op) \
    static int name(lua_State *L) { return binary(L, op); }
BINARY(l_add, OP_ADD)
BINARY(l_sub, OP_SUB)
BINARY(l_mul, OP_MUL)
BINARY(l_div, OP_DIV)
BINARY(l_pow, OP_POW)
/*** The larger of each two elements; NaN wins.
@function array:maximum
@tparam array|number other
@treturn array */
/*** The smaller of each two elements; NaN wins.
@function array:minimum
@tparam array|number other
@treturn array */
BINARY(l_maximum, OP_MAX)
BINARY(l_minimum, OP_MIN)

static int compare(lua_State *L, bool greater) {
    const bc_array *x = bc_check_array(L, 1), *y = bc_test_array(L, 2);
    if (y == NULL) y = operand(L, 2, x);
    int ndim;
    int64_t shape[BC_MAXDIM];
    if (!array_broadcast(&ndim, shape, x, y))
        return luaL_argerror(L, 2, "shapes that do not broadcast");
    array_compare(bc_push_array(L, BC_U8, ndim, shape), x, y, greater);
    return 1;
}

/*** Where are elements greater than the other's? NaN is not.
@function array:greater
@tparam array|number other
@treturn array u8: 1 where they are, else 0
@usage local loud = array.where(x:greater(0.5), x, 0) */
static int l_greater(lua_State *L) { return compare(L, true); }

/*** Where are elements less than the other's? NaN is not.
@function array:less
@tparam array|number other
@treturn array u8: 1 where they are, else 0 */
static int l_less(lua_State *L) { return compare(L, false); }

/*** Of two arrays or numbers the elements of the first where a condition holds, else those of the
second.
@function where
@tparam array condition not 0: it holds
@tparam array|number x
@tparam array|number y
@treturn array of the shape of all three broadcast; of the dtype of `x + y` */
static int l_where(lua_State *L) {
    const bc_array *c = bc_check_array(L, 1), *x = bc_test_array(L, 2), *y = bc_test_array(L, 3);
    static const bc_array f64 = {.dtype = BC_F64};
    lua_settop(L, 3);
    if (x == NULL) x = operand(L, 2, y != NULL ? y : &f64);
    if (y == NULL) y = operand(L, 3, x);
    bc_array both = {0}, all = {0};
    if (!array_broadcast(&both.ndim, both.shape, x, y) ||
        !array_broadcast(&all.ndim, all.shape, &both, c))
        return luaL_argerror(L, 2, "shapes that do not broadcast");
    array_where(bc_push_array(L, array_promote(x->dtype, y->dtype, OP_MAX), all.ndim, all.shape),
                c, x, y);
    return 1;
}

/*** Sums up to each element, along an axis or of all elements in row-major order.
@function array:cumsum
@tparam[opt] integer axis
@treturn array f64, or i64 of integers: the same shape; a vector without an axis */
static int l_cumsum(lua_State *L) {
    const bc_array *a = bc_check_array(L, 1);
    const bc_dtype dtype = bc_dtype_is_float(a->dtype) ? BC_F64 : BC_I64;
    if (lua_isnoneornil(L, 2)) {
        bc_array *out = bc_push_vector(L, dtype, bc_array_count(a));
        bc_array *flat = bc_push_vector(L, a->dtype, bc_array_count(a));
        for (int64_t i = 0, n = bc_array_count(a); i < n; i++) {
            if (dtype == BC_I64)
                bc_array_put_integer(flat, i, bc_array_get_integer(a, i));
            else
                bc_array_put(flat, i, bc_array_get(a, i));
        }
        array_cumsum(out, flat, 0);
        lua_pop(L, 1);
        return 1;
    }
    const int axis = bc_check_axis(L, 2, a);
    array_cumsum(bc_push_array(L, dtype, a->ndim, a->shape), a, axis);
    return 1;
}

/* Push the order of the vector at 1, from 0, as 2 says. */
static bc_array *push_order(lua_State *L, const bc_array *a) {
    static const char *const orders[] = {"rising", "falling", NULL};
    luaL_argcheck(L, a->ndim == 1, 1, "vector expected");
    const bool falling = luaL_checkoption(L, 2, "rising", orders) == 1;
    bc_array *order = bc_push_vector(L, BC_I64, a->shape[0]);
    const int rc = array_argsort(order->data, a, falling);
    if (rc != BC_OK) bc_failure(L, rc, NULL);
    return order;
}

/*** Where the elements of a vector are in order; equal ones in the order that they have, NaN last.
@function array:argsort
@tparam[opt="rising"] string order `"rising"` or `"falling"`
@treturn array i64 (n), 1-based */
static int l_argsort(lua_State *L) {
    bc_array *order = push_order(L, bc_check_array(L, 1));
    int64_t *at = order->data;
    for (int64_t i = 0; i < order->shape[0]; i++) at[i]++;
    return 1;
}

/*** A vector in order, NaN last; a new array.
@function array:sort
@tparam[opt="rising"] string order `"rising"` or `"falling"`
@treturn array (n) of the same dtype */
static int l_sort(lua_State *L) {
    const bc_array *a = bc_check_array(L, 1);
    const int64_t *at = push_order(L, a)->data;
    bc_array *out = bc_push_vector(L, a->dtype, a->shape[0]);
    for (int64_t i = 0; i < a->shape[0]; i++) {
        if (bc_dtype_is_float(a->dtype))
            bc_array_put(out, i, bc_array_get(a, at[i]));
        else
            bc_array_put_integer(out, i, bc_array_get_integer(a, at[i]));
    }
    return 1;
}

/*** Add another array to this one, in place.
@function array:add
@tparam array other of the same shape and dtype, f32 or f64; both contiguous
@treturn array itself */
static int l_add_to(lua_State *L) {
    bc_array *a = bc_check_array(L, 1);
    const bc_array *b = bc_check_array(L, 2);
    if (!bc_dtype_is_float(a->dtype) || !bc_array_contiguous(a) || a->readonly)
        return bc_arg_error(L, 1, "contiguous array of f32 or f64 that can be written to expected");
    if (a->dtype != b->dtype || !bc_array_same_shape(a, b) || !bc_array_contiguous(b))
        return bc_arg_error(L, 2, "contiguous array of the same shape and dtype expected");
    array_add(a, b);
    lua_settop(L, 1);
    return 1;
}

/*** Round to what 16 bits hold (bfloat16: the range of f32, 8 bits of precision), in place: to the
nearest, ties to even.
@function array:round_bf16
@treturn array itself, f32, contiguous */
static int l_round_bf16(lua_State *L) {
    bc_array *a = bc_check_array(L, 1);
    if (a->dtype != BC_F32 || !bc_array_contiguous(a) || a->readonly)
        return bc_arg_error(L, 1, "contiguous array of f32 that can be written to expected");
    bc_bf16_round(a->data, (size_t)bc_array_count(a));
    lua_settop(L, 1);
    return 1;
}

static int map(lua_State *L, array_function f) {
    const bc_array *a = bc_check_array(L, 1);
    bool keep = bc_dtype_is_float(a->dtype) || f == MAP_NEG || f == MAP_ABS;
    array_map(bc_push_array(L, keep ? a->dtype : BC_F64, a->ndim, a->shape), a, f);
    return 1;
}

/*** The absolute value of each element; a new array.
@function array:abs
@treturn array */
/*** The square root of each element; a new array.
@function array:sqrt
@treturn array */
/*** e to the power of each element; a new array.
@function array:exp
@treturn array */
/*** The natural logarithm of each element; a new array.
@function array:log
@treturn array */
/*** The decimal logarithm of each element; a new array.
@function array:log10
@treturn array */
#define MAP(name, f) \
    static int name(lua_State *L) { return map(L, f); }
MAP(l_abs, MAP_ABS)
MAP(l_sqrt, MAP_SQRT)
MAP(l_exp, MAP_EXP)
MAP(l_log, MAP_LOG)
MAP(l_log10, MAP_LOG10)
MAP(l_unm, MAP_NEG)

/*** Reductions over all elements, or along one axis: `a:sum()`, `a:mean(2)`.
`sum`, `mean`, `std` (divides by n), `min`, `max`, `argmin`, `argmax` (1-based,
first of several). `min` and `max` of integers are integers; the rest is worked out
in f64. NaN anywhere gives NaN (its position for arg*). Of nothing:
sum 0, mean, std, min, max NaN, arg* nil (0 along an axis).
@function array:sum
@tparam[opt] integer axis
@treturn number|array */
static int reduce(lua_State *L, array_reduction r) {
    bc_array *a = bc_check_array(L, 1);
    bool position = r == ARGMIN || r == ARGMAX;
    if (lua_isnoneornil(L, 2)) {
        int64_t at = r >= MIN && r <= ARGMAX ? array_extreme(a, r == MAX || r == ARGMAX) : -1;
        if (position && at < 0)
            lua_pushnil(L);
        else if (position)
            lua_pushinteger(L, (lua_Integer)at + 1);
        else if (at >= 0)
            bc_push_element(L, a, at);
        else
            lua_pushnumber(L, array_reduce(a, r));
        return 1;
    }
    int axis = bc_check_axis(L, 2, a), ndim = 0;
    luaL_argcheck(L, a->ndim > 1, 2, "a vector has only one axis: leave it out");
    int64_t shape[BC_MAXDIM];
    for (int i = 0; i < a->ndim; i++)
        if (i != axis) shape[ndim++] = a->shape[i];
    bool extreme = (r == MIN || r == MAX) && !bc_dtype_is_float(a->dtype) && a->shape[axis] > 0;
    bc_array *out = bc_push_array(L, position || extreme ? BC_I64 : BC_F64, ndim, shape);
    array_reduce_axis(out, a, axis, r);
    if (position)
        for (int64_t i = 0, n = bc_array_count(out); i < n; i++)
            bc_array_put_integer(out, i, bc_array_get_integer(out, i) + 1);
    return 1;
}

#define REDUCE(name, r) \
    static int name(lua_State *L) { return reduce(L, r); }
REDUCE(l_sum, SUM)
REDUCE(l_mean, MEAN)
REDUCE(l_std, STD)
REDUCE(l_min, MIN)
REDUCE(l_max, MAX)
REDUCE(l_argmin, ARGMIN)
REDUCE(l_argmax, ARGMAX)

/*** The mean, as `sum` says.
@function array:mean
@tparam[opt] integer axis
@treturn number|array */
/*** The standard deviation (divides by n), as `sum` says.
@function array:std
@tparam[opt] integer axis
@treturn number|array */
/*** The smallest element, as `sum` says.
@function array:min
@tparam[opt] integer axis
@treturn number|array */
/*** The largest element, as `sum` says.
@function array:max
@tparam[opt] integer axis
@treturn number|array */
/*** Where the smallest element is, 1-based, as `sum` says.
@function array:argmin
@tparam[opt] integer axis
@treturn number|array */
/*** Where the largest element is, 1-based, as `sum` says.
@function array:argmax
@tparam[opt] integer axis
@treturn number|array */
/*** True if no element is NaN or infinite.
@function array:is_finite */
static int l_is_finite(lua_State *L) {
    lua_pushboolean(L, array_reduce(bc_check_array(L, 1), ANY_NONFINITE) == 0);
    return 1;
}

/*** The largest absolute difference of two arrays of one shape.
@function max_difference
@tparam array a
@tparam array b
@treturn number */
static int l_max_difference(lua_State *L) {
    bc_array *a = bc_check_array(L, 1), *b = bc_check_array(L, 2);
    luaL_argcheck(L, bc_array_same_shape(a, b), 2, "array of the same shape expected");
    lua_pushnumber(L, array_max_difference(a, b));
    return 1;
}

/*** The product of two matrices.
@function matmul
@tparam array a (n, m)
@tparam array b (m, k)
@treturn array (n, k), f32 if both are, else f64 */
static int l_matmul(lua_State *L) {
    const bc_array *a = bc_check_array(L, 1), *b = bc_check_array(L, 2);
    bc_dtype dtype = a->dtype == BC_F32 && b->dtype == BC_F32 ? BC_F32 : BC_F64;
    a = bc_check_as(L, 1, dtype, 2);
    b = bc_check_as(L, 2, dtype, 2);
    if (a->shape[1] != b->shape[0])
        return bc_arg_error(L, 2, "array of %I rows expected, got %I", (lua_Integer)a->shape[1],
                            (lua_Integer)b->shape[0]);
    if (a->shape[0] > INT_MAX || a->shape[1] > INT_MAX || b->shape[1] > INT_MAX)
        return luaL_error(L, "matrices of more than %d rows or columns", INT_MAX);
    array_matmul(bc_push_matrix(L, dtype, a->shape[0], b->shape[1]), a, b);
    return 1;
}

/*** Are two arrays of the same shape and near in every element
(|a-b| <= atol + rtol*|b|; NaN equals NaN)?
@function allclose
@tparam array a
@tparam array b
@tparam[opt=1e-5] number rtol
@tparam[opt=1e-8] number atol
@treturn boolean */
static int l_allclose(lua_State *L) {
    bc_array *a = bc_check_array(L, 1), *b = bc_check_array(L, 2);
    double rtol = luaL_optnumber(L, 3, 1e-5), atol = luaL_optnumber(L, 4, 1e-8);
    lua_pushboolean(L, bc_array_same_shape(a, b) && array_close(a, b, rtol, atol));
    return 1;
}

/*** Same dtype, shape and elements?
@function equal
@tparam array a
@tparam array b
@treturn boolean */
static int l_equal(lua_State *L) {
    bc_array *a = bc_check_array(L, 1), *b = bc_check_array(L, 2);
    lua_pushboolean(L, a->dtype == b->dtype && bc_array_same_shape(a, b) && array_close(a, b, 0, 0));
    return 1;
}

/* --- printing ------------------------------------------------------------- */

#define EDGE 4 /* elements shown at either end of an axis */

static void add_number(luaL_Buffer *b, const bc_array *a, int64_t index) {
    char text[40];
    if (bc_dtype_is_float(a->dtype))
        snprintf(text, sizeof text, " %10.4g", bc_array_get(a, index));
    else
        snprintf(text, sizeof text, " %6lld", (long long)bc_array_get_integer(a, index));
    luaL_addstring(b, text);
}

static void add_axis(luaL_Buffer *b, const bc_array *a, int axis, int64_t index) {
    int64_t n = a->shape[axis], skip = n > 2 * EDGE + 1 ? EDGE : n;
    for (int64_t i = 0; i < n; i++) {
        if (i == skip) {
            luaL_addstring(b, axis + 1 == a->ndim ? "  ..." : "\n  ...");
            i = n - EDGE;
        }
        if (axis + 1 == a->ndim || axis + 1 == BC_MAXDIM) {
            add_number(b, a, index * n + i);
        } else {
            if (axis + 2 == a->ndim || i > 0) luaL_addstring(b, "\n");
            add_axis(b, a, axis + 1, index * n + i);
        }
    }
}

static int l_tostring(lua_State *L) {
    const bc_array *a = luaL_checkudata(L, 1, BC_ARRAY);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    if (a->storage == NULL) {
        luaL_addstring(&b, "array (released)");
    } else {
        luaL_addstring(&b, bc_dtype_name(a->dtype));
        for (int i = 0; i < a->ndim; i++) {
            char extent[32];
            snprintf(extent, sizeof extent, "%s%lld", i == 0 ? " (" : ", ", (long long)a->shape[i]);
            luaL_addstring(&b, extent);
        }
        luaL_addstring(&b, ")");
        if (a->ndim == 1 && bc_array_count(a) > 0) luaL_addstring(&b, "\n");
        if (bc_array_count(a) > 0) add_axis(&b, a, 0, 0);
    }
    luaL_pushresult(&b);
    return 1;
}

static const luaL_Reg methods[] = {
    {"abs", l_abs},         {"sqrt", l_sqrt},       {"exp", l_exp},
    {"log", l_log},         {"log10", l_log10},     {"sum", l_sum},
    {"mean", l_mean},       {"std", l_std},         {"min", l_min},
    {"max", l_max},         {"argmin", l_argmin},   {"argmax", l_argmax},
    {"maximum", l_maximum}, {"minimum", l_minimum}, {"is_finite", l_is_finite},
    {"add", l_add_to},      {"greater", l_greater}, {"less", l_less},
    {"cumsum", l_cumsum},   {"sort", l_sort},       {"argsort", l_argsort},
    {"round_bf16", l_round_bf16},                   {NULL, NULL}};

static const luaL_Reg metamethods[] = {
    {"__add", l_add}, {"__sub", l_sub}, {"__mul", l_mul}, {"__div", l_div},
    {"__pow", l_pow}, {"__unm", l_unm}, {"__tostring", l_tostring}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"equal", l_equal},
    {"allclose", l_allclose},
    {"matmul", l_matmul},
    {"where", l_where},
    {"max_difference", l_max_difference},
    {NULL, NULL}};

const luaL_Reg *const bc_array_op_methods = methods;
const luaL_Reg *const bc_array_op_metamethods = metamethods;
const luaL_Reg *const bc_array_op_functions = functions;
