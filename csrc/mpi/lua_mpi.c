/* lua_mpi.c: the module bclua.mpi. */
/***
Several processes, ranks, that work together.

`mpirun -n 4 bclua script.lua`, or `srun` with MPI, starts them. Where nothing of that kind did, and
where it started one, there is one rank, number 0, nothing of MPI is needed, and all functions work.
Open MPI 4 and 5 and libraries with the interface of MPICH are opened when the launcher's variables
say so. What is sent is an array or a string; it arrives as it was. A rank that ends with an error,
and one that is killed, ends all others. For the main thread only.

    local mpi = require "bclua.mpi"
    for i = mpi.rank() + 1, #trials, mpi.size() do run(trials[i]) end
    mpi.barrier()
@module bclua.mpi
*/
#include <stdint.h>
#include <string.h>

#include "../array/lua_array.h"
#include "../support/lua_support.h"
#include "mpi.h"

static void check(lua_State *L, int rc, const bc_error *e) {
    if (rc != BC_OK) luaL_error(L, "%s", bc_status_text(rc, e));
}

/* Every function begins with this. */
static void start(lua_State *L) {
    bc_error e = {""};
    check(L, bc_mpi_start(&e), &e);
}

/* ---- a value on its way: a head of fixed size, and bytes ---- */

typedef struct head {
    int64_t dtype; /* -1: a string */
    int64_t ndim, shape[BC_MAXDIM];
    int64_t bytes;
} head;

/* The head and the bytes of the value at arg, which stays there, contiguous. */
static const void *describe(lua_State *L, int arg, head *h) {
    memset(h, 0, sizeof *h);
    const bc_array *a = bc_test_array(L, arg);
    if (a == NULL) {
        size_t bytes;
        if (lua_type(L, arg) != LUA_TSTRING)
            bc_arg_error(L, arg, "array or string expected, got %s", luaL_typename(L, arg));
        const char *text = lua_tolstring(L, arg, &bytes);
        h->dtype = -1;
        h->bytes = (int64_t)bytes;
        return text;
    }
    a = bc_check_as(L, arg, a->dtype, 0);
    h->dtype = a->dtype;
    h->ndim = a->ndim;
    memcpy(h->shape, a->shape, sizeof h->shape);
    h->bytes = (int64_t)bc_array_bytes(a);
    return a->data;
}

/* Memory for what a head describes: an array on the stack, or a block that becomes a string. */
static void *push_room(lua_State *L, const head *h) {
    if (h->dtype < 0) return lua_newuserdatauv(L, (size_t)h->bytes + 1, 0);
    return bc_push_array(L, (bc_dtype)h->dtype, (int)h->ndim, h->shape)->data;
}

static void finish_room(lua_State *L, const head *h) {
    if (h->dtype >= 0) return;
    lua_pushlstring(L, lua_touserdata(L, -1), (size_t)h->bytes);
    lua_remove(L, -2);
}

/* Send the value at arg (0: none), push one that arrives from `from` (below 0: none). */
static void exchange(lua_State *L, int arg, int to, int from) {
    bc_error e = {""};
    head out = {0}, in = {0};
    const void *bytes = arg > 0 ? describe(L, arg, &out) : NULL;
    void *room = NULL;
    check(L,
          bc_mpi_exchange(arg > 0 ? &out : NULL, sizeof out, to, from >= 0 ? &in : NULL, sizeof in,
                          from, &e),
          &e);
    if (from >= 0) room = push_room(L, &in);
    check(L, bc_mpi_exchange(bytes, (size_t)out.bytes, to, room, (size_t)in.bytes, from, &e), &e);
    if (from >= 0) finish_room(L, &in);
}

static int check_other(lua_State *L, int arg) {
    lua_Integer other = luaL_checkinteger(L, arg);
    if (other < 0 || other >= bc_mpi_size() || other == bc_mpi_rank())
        bc_arg_error(L, arg, "rank %I is not another of the %d", other, bc_mpi_size());
    return (int)other;
}

/* ---- functions ---- */

/*** The number of this process.
@function rank
@treturn integer from 0
@raise the launcher says that there are several, but its library cannot be opened */
static int l_rank(lua_State *L) {
    start(L);
    lua_pushinteger(L, bc_mpi_rank());
    return 1;
}

/*** How many ranks there are.
@function size
@treturn integer
@raise as `rank` */
static int l_size(lua_State *L) {
    start(L);
    lua_pushinteger(L, bc_mpi_size());
    return 1;
}

/*** The library that was opened.
@function library
@treturn ?string nil: none was, there is one rank */
static int l_library(lua_State *L) {
    start(L);
    lua_pushstring(L, bc_mpi_library());
    return 1;
}

/*** How much this rank has sent so far.
@function sent
@treturn integer bytes */
static int l_sent(lua_State *L) {
    start(L);
    lua_pushinteger(L, (lua_Integer)bc_mpi_sent());
    return 1;
}

/*** How long this rank has waited for messages so far.
@function waited
@treturn number seconds */
static int l_waited(lua_State *L) {
    start(L);
    lua_pushnumber(L, bc_mpi_waited());
    return 1;
}

/*** Wait until all ranks have come to this place.
@function barrier */
static int l_barrier(lua_State *L) {
    bc_error e = {""};
    start(L);
    check(L, bc_mpi_barrier(&e), &e);
    return 0;
}

/*** Send a value to another rank, which must receive it: until then, this one may wait.
@function send
@tparam array|string value
@tparam integer to rank
@raise "stopped" on Ctrl-C, as all that wait */
static int l_send(lua_State *L) {
    start(L);
    exchange(L, 1, check_other(L, 2), -1);
    return 0;
}

/*** Wait for what another rank sends. What one rank sends arrives in order.
@function receive
@tparam integer from rank
@treturn array|string */
static int l_receive(lua_State *L) {
    start(L);
    exchange(L, 0, 0, check_other(L, 1));
    return 1;
}

/*** Give all ranks what one of them has. All must call it.
@function broadcast
@tparam ?array|string value what others than `root` say here does not matter
@tparam[opt=0] integer root rank that has it
@treturn array|string */
static int l_broadcast(lua_State *L) {
    bc_error e = {""};
    start(L);
    lua_Integer root = luaL_optinteger(L, 2, 0);
    if (root < 0 || root >= bc_mpi_size())
        return bc_arg_error(L, 2, "rank %I is none of the %d", root, bc_mpi_size());
    lua_settop(L, 1);
    bool mine = root == bc_mpi_rank();
    head h = {0};
    union {
        const void *have;
        void *room;
    } bytes = {.have = mine ? describe(L, 1, &h) : NULL};
    check(L, bc_mpi_broadcast(&h, sizeof h, (int)root, &e), &e);
    if (!mine) bytes.room = push_room(L, &h);
    check(L, bc_mpi_broadcast(bytes.room, (size_t)h.bytes, (int)root, &e), &e);
    if (!mine) finish_room(L, &h);
    return 1;
}

/*** What all ranks have, in their order. All must call it; the values may differ in size and kind.
@function all_gather
@tparam array|string value
@treturn {array|string,...} that of rank 0 first */
static int l_all_gather(lua_State *L) {
    head h;
    start(L);
    int size = bc_mpi_size(), rank = bc_mpi_rank();
    lua_settop(L, 1);
    describe(L, 1, &h);
    lua_createtable(L, size, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, 2, rank + 1);
    lua_pushvalue(L, 1);
    for (int k = 1; k < size; k++) { /* round the ring: each passes on what came */
        exchange(L, lua_gettop(L), (rank + 1) % size, (rank - 1 + size) % size);
        lua_pushvalue(L, -1);
        lua_rawseti(L, 2, (rank - k + size) % size + 1);
        lua_remove(L, -2);
    }
    lua_settop(L, 2);
    return 1;
}

/* ---- sums ---- */

#define SUM "bclua.mpi.sum"

typedef struct Sum {
    bc_mpi_sum *sum; /* NULL: it is finished, or never began */
    lua_Integer n;
} Sum;

static int l_free_sum(lua_State *L) {
    Sum *s = luaL_checkudata(L, 1, SUM);
    if (s->sum != NULL) bc_mpi_sum_free(s->sum);
    s->sum = NULL;
    return 0;
}

/* Push a sum of the array at 1, which it holds. */
static Sum *push_sum(lua_State *L) {
    static const char *const numbers[] = {"full", "bf16", NULL};
    start(L);
    bool narrow = luaL_checkoption(L, 2, "full", numbers) == 1;
    bc_array *a = bc_check_array(L, 1);
    if (!bc_dtype_is_float(a->dtype) || !bc_array_contiguous(a) || a->readonly)
        bc_arg_error(L, 1, "contiguous array of f32 or f64 that can be written to expected");
    if (narrow && a->dtype != BC_F32) bc_arg_error(L, 1, "bf16 are of arrays of f32");
    int size = bc_mpi_size();
    if ((size & (size - 1)) != 0) luaL_error(L, "a sum of %d ranks: not a power of two", size);
    Sum *s = lua_newuserdatauv(L, sizeof *s, 1);
    *s = (Sum){NULL, (lua_Integer)bc_array_count(a)};
    luaL_setmetatable(L, SUM);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    enum bc_mpi_number number = narrow ? BC_MPI_BF16 : a->dtype == BC_F32 ? BC_MPI_F32 : BC_MPI_F64;
    check(L, bc_mpi_sum_begin(&s->sum, a->data, (size_t)s->n, number), NULL);
    return s;
}

static Sum *check_sum(lua_State *L) {
    Sum *s = luaL_checkudata(L, 1, SUM);
    luaL_argcheck(L, s->sum != NULL, 1, "the sum is finished");
    return s;
}

/*** Begin a sum as `sum` makes it of an array that is not complete yet, and is completed from its end:
parts of it are sent while the caller works on what comes before them.
@function begin_sum
@tparam array a as for `sum`
@tparam[opt="full"] string number as for `sum`
@treturn sum `sum:ready(from)`: the elements from number `from` (less from call to call) to the end are
 there, and not to be touched any more; `sum:finish()`: all are, wait for the sum
@raise as `sum` */
static int l_begin_sum(lua_State *L) {
    push_sum(L);
    return 1;
}

static int l_ready(lua_State *L) {
    bc_error e = {""};
    Sum *s = check_sum(L);
    lua_Integer from = luaL_checkinteger(L, 2);
    luaL_argcheck(L, from >= 1 && from <= s->n + 1, 2, "no such element");
    check(L, bc_mpi_sum_ready(s->sum, (size_t)from - 1, &e), &e);
    return 0;
}

static int l_finish(lua_State *L) {
    bc_error e = {""};
    Sum *s = check_sum(L);
    check(L, bc_mpi_sum_wait(s->sum, &e), &e);
    return l_free_sum(L);
}

/*** Sum arrays of one shape over all ranks, element by element, in place. All must call it. The
order of additions is a fixed binary tree over the ranks, ((0 + 1) + (2 + 3)) + ..., so that the sum
of what they have summed alike within has the same bits on any number of them.
@function sum
@tparam array a f32 or f64, contiguous
@tparam[opt="full"] string number "bf16": elements, f32, and their sums along the tree are rounded to
 bfloat16 (`array:round_bf16`), and half the bytes are sent
@treturn array a
@raise the number of ranks is no power of two */
static int l_sum(lua_State *L) {
    bc_error e = {""};
    lua_settop(L, 2);
    Sum *s = push_sum(L);
    check(L, bc_mpi_sum_wait(s->sum, &e), &e);
    bc_mpi_sum_free(s->sum);
    s->sum = NULL;
    lua_settop(L, 1);
    return 1;
}

BC_EXPORT int luaopen_bclua_mpi(lua_State *L);
BC_EXPORT int luaopen_bclua_mpi(lua_State *L) {
    static const luaL_Reg methods[] = {{"ready", l_ready}, {"finish", l_finish}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", l_free_sum}, {"__close", l_free_sum}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"rank", l_rank},
                                         {"size", l_size},
                                         {"library", l_library},
                                         {"barrier", l_barrier},
                                         {"send", l_send},
                                         {"receive", l_receive},
                                         {"broadcast", l_broadcast},
                                         {"all_gather", l_all_gather},
                                         {"sum", l_sum},
                                         {"begin_sum", l_begin_sum},
                                         {"sent", l_sent},
                                         {"waited", l_waited},
                                         {NULL, NULL}};
    if (luaL_newmetatable(L, SUM)) {
        luaL_setfuncs(L, metamethods, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    luaL_newlib(L, functions);
    return 1;
}
