/* lua_nn.c: networks in Lua, as `bclua.nn.core`; lua/bclua/nn.lua is the face. */
#include <math.h>
#include <string.h>

#include "../array/lua_array.h"
#include "../support/lua_support.h"
#include "lua_nn.h"
#include "run/network.h"

#define NETWORK "bclua.nn.network"
#define MAXPARTS 16

typedef struct Network {
    nn_graph *graph; /* while it is being built */
    nn_network *net;
    bool busy;      /* a function that it called is running: it must stay */
} Network;

static nn_network *check_network(lua_State *L) {
    Network *n = luaL_checkudata(L, 1, NETWORK);
    luaL_argcheck(L, n->net != NULL, 1, "network is closed");
    return n->net;
}

/* Here a failure is the caller's mistake, a lack of memory or Ctrl-C. */
static void check_status(lua_State *L, int rc, const bc_error *e) {
    if (rc != BC_OK) luaL_error(L, "%s", bc_status_text(rc, e));
}

static bc_dtype dtype_of(const nn_network *net) {
    return nn_is_double(nn_network_settings(net)->precision) ? BC_F64 : BC_F32;
}

/* --- building ------------------------------------------------------------------- */

static nn_shape read_input_shape(lua_State *L) {
    if (bc_push_option(L, 2, "input") != LUA_TTABLE)
        bc_arg_error(L, 2, "option 'input' must be a list: {samples} or {c, h, w}");
    lua_Integer n = luaL_len(L, -1), v[3] = {1, 1, 1};
    if (n < 1 || n > 3) bc_arg_error(L, 2, "option 'input' must have 1 to 3 extents, got %I", n);
    for (lua_Integer i = 0; i < n; i++) {
        int ok;
        lua_geti(L, -1, i + 1);
        v[3 - n + i] = lua_tointegerx(L, -1, &ok);
        if (!ok || v[3 - n + i] < 1)
            bc_arg_error(L, 2, "extents of option 'input' must be integers >= 1");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return (nn_shape){(size_t)v[0], (size_t)v[1], (size_t)v[2]};
}

static enum nn_recompute read_recompute(lua_State *L, int arg) {
    static const char *const names[] = {"auto", "cheap", "none", "stage", "role", NULL};
    int i = bc_opt_choice(L, arg, "recompute", 0, names);
    return i == 4 ? NN_CHEAP : (enum nn_recompute)i; /* bclua.train.step passes role by role */
}

/*** Build a network.
@function network
@tparam {table,...} layers flat list; see bclua.nn
@tparam table options `input` (shape of one sample), `precision` ("f32", "f64", "bf16", "f16"),
 `threads`, `seed`, `input_gradient`, `recompute` ("auto", "cheap", "none", "stage",
 "role")
@treturn network */
static int l_network(lua_State *L) {
    static const char *const names[] = {"input",          "precision",  "threads", "seed",
                                        "input_gradient", "recompute", NULL};
    static const char *const precisions[] = {"f32", "f64", "bf16", "f16", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    bc_check_options(L, 2, names);
    lua_Integer threads = bc_opt_integer(L, 2, "threads", 0);
    luaL_argcheck(L, threads >= 0 && threads <= 1024, 2, "option 'threads' outside 0..1024");
    nn_network_options o = {
        .precision = (enum nn_precision)bc_opt_choice(L, 2, "precision", NN_F32, precisions),
        .threads = (int)threads,
        .seed = (uint64_t)bc_opt_integer(L, 2, "seed", 1),
        .input_gradient = bc_opt_boolean(L, 2, "input_gradient", false),
        .recompute = read_recompute(L, 2)};
    nn_shape input = read_input_shape(L);
    lua_gc(L, LUA_GCCOLLECT); /* it sees little of a network's memory: free those that are done */
    Network *n = lua_newuserdatauv(L, sizeof *n, 0);
    memset(n, 0, sizeof *n);
    luaL_setmetatable(L, NETWORK);
    lua_insert(L, 1); /* the userdata holds the graph if anything raises */
    bc_error e = {""};
    check_status(L, nn_graph_new(&n->graph, input, &e), &e);
    lua_remove(L, 3); /* options; the table of layers is now at 2 */
    lua_Integer layers = luaL_len(L, 2);
    if (layers < 1) return bc_arg_error(L, 1, "a network needs at least one layer");
    for (lua_Integer i = 1; i <= layers; i++) {
        lua_geti(L, 2, i);
        nn_lua_add_layer(L, i, n->graph);
        lua_settop(L, 2);
    }
    nn_graph *g = n->graph;
    n->graph = NULL;
    check_status(L, nn_network_new(&n->net, g, &o), &e);
    lua_settop(L, 1);
    return 1;
}

static int l_close(lua_State *L) {
    Network *n = luaL_checkudata(L, 1, NETWORK);
    luaL_argcheck(L, !n->busy, 1, "the network is at work");
    nn_graph_free(n->graph);
    nn_network_free(n->net);
    n->graph = NULL;
    n->net = NULL;
    return 0;
}

/* --- running ---------------------------------------------------------------------- */

/* Is a (n, C, H, W), or the same without leading axes of extent 1? */
static bool fits_input(const bc_array *a, nn_shape s) {
    int64_t full[3] = {(int64_t)s.c, (int64_t)s.h, (int64_t)s.w};
    int missing = 4 - a->ndim;
    if (missing < 0 || missing > 2) return false;
    for (int i = 0; i < 3; i++)
        if (i < missing ? full[i] != 1 : a->shape[i - missing + 1] != full[i]) return false;
    return true;
}

static void push_shape(lua_State *L, const bc_array *a) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 0; i < a->ndim; i++) {
        lua_pushfstring(L, i == 0 ? "%I" : ", %I", (lua_Integer)a->shape[i]);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
}

/* The arrays of the list at arg, as contiguous memory, left on the stack. */
static void read_parts(lua_State *L, int arg, const nn_network *net, const void **part,
                       nn_batch *batch) {
    nn_shape s = nn_network_graph(net)->layer[0].shape;
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_Integer parts = (lua_Integer)lua_rawlen(L, arg); /* no Lua code: it could close net */
    if (parts < 1 || parts > MAXPARTS)
        bc_arg_error(L, arg, "list of 1 to %d arrays expected, got %I", MAXPARTS, parts);
    luaL_checkstack(L, MAXPARTS + 4, NULL);
    for (lua_Integer i = 0; i < parts; i++) {
        lua_rawgeti(L, arg, i + 1);
        const bc_array *a = bc_test_array(L, -1);
        if (a == NULL) bc_arg_error(L, arg, "element %I is not an array", i + 1);
        if (!fits_input(a, s)) {
            push_shape(L, a);
            bc_arg_error(
                L, arg, "batch of shape (n, %d, %d, %d), leading ones optional, expected, got (%s)",
                (int)s.c, (int)s.h, (int)s.w, lua_tostring(L, -1));
        }
        if (a->shape[0] < 1) bc_arg_error(L, arg, "element %I has no samples", i + 1);
        size_t n = (size_t)a->shape[0] * (size_t)parts;
        if (i > 0 && n != batch->n)
            bc_arg_error(L, arg, "element %I has another number of samples", i + 1);
        batch->n = n;
        part[i] = bc_check_as(L, -1, dtype_of(net), 0)->data;
    }
    batch->part = part;
    batch->parts = (size_t)parts;
}

/* option keep = {"layer", ...} as flags per layer, in a userdata left on the stack. */
static const bool *read_keep(lua_State *L, int arg, const nn_graph *g) {
    if (bc_push_option(L, arg, "keep") == LUA_TNIL) return NULL;
    if (!lua_istable(L, -1)) bc_arg_error(L, arg, "option 'keep' must be a list of layer names");
    bool *keep = lua_newuserdatauv(L, g->layers * sizeof *keep, 0);
    memset(keep, 0, g->layers * sizeof *keep);
    lua_Integer n = (lua_Integer)lua_rawlen(L, -2);
    for (lua_Integer i = 1; i <= n; i++) {
        const char *name = lua_rawgeti(L, -2, i) == LUA_TSTRING ? lua_tostring(L, -1) : "";
        int at = nn_graph_find(g, name);
        if (at < 0) bc_arg_error(L, arg, "there is no layer '%s'", name);
        keep[at] = true;
        lua_pop(L, 1);
    }
    return keep;
}

enum { MOST_PLACES = 4096 };

static size_t read_place(lua_State *L, int arg, lua_Integer place) {
    luaL_argcheck(L, place >= 0 && place < MOST_PLACES, arg, "place outside 0..4095");
    return (size_t)place;
}

/*** Run a batch through the network.
@function network:forward
@tparam {array,...} parts each (n, ...): together they are the batch
@tparam[opt] table options `train`, `backward` (as train), `groups`, `first_group` (0; in training
 at most the groups that came before since the last commit), `seed` (0), `keep`, `place` (0: number of
 the memory in which the pass stays until its way back, or until the next one there)
@treturn array (n, values) of the last layer */
static int l_forward(lua_State *L) {
    static const char *const names[] = {"train", "backward", "groups", "first_group",
                                        "seed",  "keep",     "place",  NULL};
    nn_network *net = check_network(L);
    lua_settop(L, 3);
    bc_check_options(L, 3, names);
    const void *part[MAXPARTS];
    nn_batch batch = {0};
    read_parts(L, 2, net, part, &batch);
    lua_Integer groups = bc_opt_integer(L, 3, "groups", 1);
    luaL_argcheck(L, groups >= 1, 3, "option 'groups' must be at least 1");
    const nn_graph *g = nn_network_graph(net);
    lua_Integer first = bc_opt_integer(L, 3, "first_group", 0);
    luaL_argcheck(L, first >= 0 && first < 1024, 3, "option 'first_group' outside 0..1023");
    bool train = bc_opt_boolean(L, 3, "train", false);
    nn_forward_options o = {.train = train,
                            .backward = bc_opt_boolean(L, 3, "backward", train),
                            .groups = (size_t)groups,
                            .first_group = (size_t)first,
                            .seed = (uint64_t)bc_opt_integer(L, 3, "seed", 0),
                            .keep = read_keep(L, 3, g)};
    bc_array *out = bc_push_matrix(L, dtype_of(net), (int64_t)batch.n,
                                   (int64_t)nn_volume(g->layer[g->layers - 1].shape));
    bc_error e = {""};
    check_status(L, nn_network_go(net, read_place(L, 3, bc_opt_integer(L, 3, "place", 0))), &e);
    check_status(L, nn_network_forward(net, out->data, &batch, &o, &e), &e);
    return 1;
}

/* Call the function at 4; what it raises stays on the stack. */
static int call_ready(void *context, size_t from) {
    lua_State *L = context;
    lua_pushvalue(L, 4);
    lua_pushinteger(L, (lua_Integer)from + 1);
    return lua_pcall(L, 1, 0, 0) == LUA_OK ? BC_OK : BC_BUSY;
}

/*** Add the gradients of all trained tensors, for a gradient of the last output.
@function network:backward
@tparam array dout (n, values)
@tparam[opt] integer place of the forward pass; default: the last one's
@tparam[opt] function ready called after each layer, with the number of the first element of
 `gradients` from which on all are final: less from call to call, 1 at last
@raise what ready raises */
static int l_backward(lua_State *L) {
    nn_network *net = check_network(L);
    Network *own = lua_touserdata(L, 1);
    const nn_graph *g = nn_network_graph(net);
    lua_settop(L, 4);
    if (!lua_isnoneornil(L, 3))
        check_status(L, nn_network_go(net, read_place(L, 3, luaL_checkinteger(L, 3))), NULL);
    const bc_array *dout = bc_check_as(L, 2, dtype_of(net), 2);
    int64_t n = (int64_t)nn_network_batch(net),
            z = (int64_t)nn_volume(g->layer[g->layers - 1].shape);
    if (n > 0 && (dout->shape[0] != n || dout->shape[1] != z))
        return bc_arg_error(L, 2, "gradient of (%I, %I) expected, got (%I, %I)", (lua_Integer)n,
                            (lua_Integer)z, (lua_Integer)dout->shape[0],
                            (lua_Integer)dout->shape[1]);
    bc_error e = {""};
    bool tells = !lua_isnil(L, 4), before = own->busy;
    own->busy = true;
    int rc = nn_network_backward(net, dout->data, tells ? call_ready : NULL, L, &e);
    own->busy = before;
    if (tells && rc == BC_BUSY) return lua_error(L);
    check_status(L, rc, &e);
    return 0;
}

/*** The batch statistics of the last training pass, which commit folds: a copy.
@function network:statistics
@treturn array f64, by group */
static int l_statistics(lua_State *L) {
    double *from;
    size_t n = nn_network_statistics(check_network(L), &from);
    bc_array *a = bc_push_vector(L, BC_F64, (int64_t)n);
    if (n > 0) memcpy(a->data, from, n * sizeof *from);
    return 1;
}

/*** Fold the batch statistics of the last training pass into the running ones.
@function network:commit
@tparam[opt] array statistics in their place, as many */
static int l_commit(lua_State *L) {
    nn_network *net = check_network(L);
    bc_error e = {""};
    if (!lua_isnoneornil(L, 2)) {
        const bc_array *a = bc_check_as(L, 2, BC_F64, 1);
        double *to;
        size_t n = nn_network_statistics(net, &to);
        luaL_argcheck(L, (size_t)a->shape[0] == n, 2, "another number of statistics");
        if (n > 0) memcpy(to, a->data, n * sizeof *to);
    }
    check_status(L, nn_network_commit(net, &e), &e);
    return 0;
}

static int l_zero_gradients(lua_State *L) {
    nn_network_zero_gradients(check_network(L));
    return 0;
}

/*** All gradients in one vector: a view of the network's own memory.
@function network:gradients
@treturn array */
static int l_gradients(lua_State *L) {
    nn_network *net = check_network(L);
    check_status(L, nn_network_need_gradients(net), NULL);
    bc_push_view(L, nn_network_gradients(net));
    return 1;
}

static int l_gradient_norm(lua_State *L) {
    double norm;
    check_status(L, nn_network_gradient_norm(check_network(L), &norm), NULL);
    lua_pushnumber(L, norm);
    return 1;
}

/*** One AdamW step with the gradients as they are.
@function network:adamw
@tparam table options `lr`, `beta1`, `beta2`, `eps`, `weight_decay`, `step` (1 for the first),
 `scale` (1) of the gradients */
static int l_adamw(lua_State *L) {
    static const char *const names[] = {"lr",           "beta1", "beta2", "eps",
                                        "weight_decay", "step",  "scale", NULL};
    nn_network *net = check_network(L);
    bc_check_options(L, 2, names);
    nn_adamw o = {.lr = bc_opt_number(L, 2, "lr", 1e-3),
                  .beta1 = bc_opt_number(L, 2, "beta1", 0.9),
                  .beta2 = bc_opt_number(L, 2, "beta2", 0.999),
                  .eps = bc_opt_number(L, 2, "eps", 1e-8),
                  .weight_decay = bc_opt_number(L, 2, "weight_decay", 0.01),
                  .scale = bc_opt_number(L, 2, "scale", 1),
                  .step = (long)bc_opt_integer(L, 2, "step", 1)};
    if (!(o.lr >= 0) || !(o.beta1 >= 0 && o.beta1 < 1) || !(o.beta2 >= 0 && o.beta2 < 1) ||
        !(o.eps > 0) || !(o.weight_decay >= 0) || o.step < 1)
        return bc_arg_error(
            L, 2, "needs lr >= 0, betas in [0, 1), eps > 0, weight_decay >= 0, step >= 1");
    bc_error e = {""};
    check_status(L, nn_network_adamw(net, &o), &e);
    return 0;
}

/* --- looking inside ------------------------------------------------------------------- */

static bc_array *push_like(lua_State *L, const nn_network *net, nn_shape s) {
    int64_t shape[4] = {(int64_t)nn_network_batch(net), (int64_t)s.c, (int64_t)s.h, (int64_t)s.w};
    return bc_push_array(L, dtype_of(net), 4, shape);
}

/*** The output of a layer in the last pass, (n, c, h, w); name it in `keep`.
@function network:value
@tparam string layer
@treturn array */
static int l_value(lua_State *L) {
    nn_network *net = check_network(L);
    const char *name = luaL_checkstring(L, 2);
    const nn_graph *g = nn_network_graph(net);
    int at = nn_graph_find(g, name);
    if (at < 0) return bc_arg_error(L, 2, "there is no layer '%s'", name);
    bc_error e = {""};
    bc_array *out = push_like(L, net, g->layer[at].shape);
    check_status(L, nn_network_value(net, out->data, (size_t)at, &e), &e);
    return 1;
}

static int l_input_gradient(lua_State *L) {
    nn_network *net = check_network(L);
    bc_error e = {""};
    bc_array *out = push_like(L, net, nn_network_graph(net)->layer[0].shape);
    check_status(L, nn_network_input_gradient(net, out->data, &e), &e);
    return 1;
}

/*** All tensors in PyTorch's order: `{name=, role=}`, role trained, running or counter.
@function network:tensors
@treturn {table,...} */
static int l_tensors(lua_State *L) {
    static const char *const roles[] = {"trained", "running", "counter"};
    const nn_graph *g = nn_network_graph(check_network(L));
    lua_createtable(L, (int)g->tensors, 0);
    for (size_t i = 0; i < g->tensors; i++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, g->tensor[i].name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, roles[g->tensor[i].role]);
        lua_setfield(L, -2, "role");
        lua_seti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/*** A tensor, its gradient or one of its moments: a view of the network's own memory.
@function network:tensor
@tparam integer i position in `tensors`
@tparam[opt="value"] string what value, gradient, moment1 or moment2
@treturn array */
static int l_tensor(lua_State *L) {
    static const char *const what[] = {"value", "gradient", "moment1", "moment2", NULL};
    nn_network *net = check_network(L);
    const nn_graph *g = nn_network_graph(net);
    lua_Integer i = luaL_checkinteger(L, 2);
    luaL_argcheck(L, i >= 1 && i <= (lua_Integer)g->tensors, 2, "no such tensor");
    enum nn_memory m = (enum nn_memory)luaL_checkoption(L, 3, "value", what);
    bc_error e = {""};
    if (m == NN_GRADIENT) check_status(L, nn_network_need_gradients(net), &e);
    if (m == NN_MOMENT1 || m == NN_MOMENT2) check_status(L, nn_network_need_moments(net), &e);
    bc_array *view = bc_push_empty(L);
    if (!nn_network_tensor(net, view, (size_t)i - 1, m))
        return bc_arg_error(L, 3, "'%s' is not trained", g->tensor[i - 1].name);
    return 1;
}

static void set_number(lua_State *L, const char *name, double x) {
    if (x == floor(x) && fabs(x) < 1e15)
        lua_pushinteger(L, (lua_Integer)x);
    else
        lua_pushnumber(L, x);
    lua_setfield(L, -2, name);
}

static double parameters_of(const nn_graph *g, const nn_layer *l) {
    double sum = 0;
    for (int k = 0; k < 5; k++)
        if (l->tensor[k] >= 0 && g->tensor[l->tensor[k]].role == NN_TRAINED)
            sum += (double)g->tensor[l->tensor[k]].count;
    return sum;
}

/*** The layers, the input first: `{name=, kind=, from=, options=, c=, h=, w=, parameters=,
multiply_adds=, forward_s=, backward_s=}`; times since the last reset.
@function network:layers
@treturn {table,...} */
static int l_layers(lua_State *L) {
    nn_network *net = check_network(L);
    const nn_graph *g = nn_network_graph(net);
    lua_createtable(L, (int)g->layers, 0);
    for (size_t i = 0; i < g->layers; i++) {
        const nn_layer *l = &g->layer[i];
        lua_createtable(L, 0, 10);
        lua_pushstring(L, l->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, l->kind->name);
        lua_setfield(L, -2, "kind");
        lua_createtable(L, l->kind->inputs, 0);
        for (int k = 0; k < l->kind->inputs; k++) {
            lua_pushstring(L, g->layer[l->input[k]].name);
            lua_seti(L, -2, k + 1);
        }
        lua_setfield(L, -2, "from");
        nn_lua_push_options(L, l);
        lua_setfield(L, -2, "options");
        set_number(L, "c", (double)l->shape.c);
        set_number(L, "h", (double)l->shape.h);
        set_number(L, "w", (double)l->shape.w);
        set_number(L, "parameters", parameters_of(g, l));
        set_number(L, "multiply_adds", l->kind->multiply_adds ? l->kind->multiply_adds(l) : 0);
        set_number(L, "forward_s", nn_network_seconds(net, i, false));
        set_number(L, "backward_s", nn_network_seconds(net, i, true));
        lua_seti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int l_reset_times(lua_State *L) {
    nn_network_reset_seconds(check_network(L));
    return 0;
}

/*** The bytes that a batch takes: `{weights=, gradients=, moments=, kept=, arena=, scratch=}`,
and `again`, the passes that are run again for backward.
@function network:memory_estimate
@tparam integer n samples
@tparam[opt] table options `groups` (1), `train` (false), `backward` (as train), `recompute` and
 `precision` (the network's; f64 and others cannot be asked of each other)
@treturn table */
static int l_memory_estimate(lua_State *L) {
    static const char *const names[] = {"groups",     "train",     "backward",
                                        "recompute", "precision", NULL};
    static const char *const precisions[] = {"f32", "f64", "bf16", "f16", NULL};
    nn_network *net = check_network(L);
    const nn_network_options *own = nn_network_settings(net);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_argcheck(L, n >= 1, 2, "at least 1 sample");
    lua_settop(L, 3);
    bc_check_options(L, 3, names);
    lua_Integer groups = bc_opt_integer(L, 3, "groups", 1);
    luaL_argcheck(L, groups >= 1, 3, "at least 1 group");
    bool train = bc_opt_boolean(L, 3, "train", false);
    bool told = bc_push_option(L, 3, "recompute") != LUA_TNIL;
    nn_plan_options o = {
        .n = (size_t)n,
        .groups = (size_t)groups,
        .train = train,
        .backward = bc_opt_boolean(L, 3, "backward", train),
        .recompute = told ? read_recompute(L, 3) : own->recompute,
        .precision = (enum nn_precision)bc_opt_choice(L, 3, "precision", own->precision, precisions),
    };
    o.input_gradient = o.backward && own->input_gradient;
    if (nn_is_double(o.precision) != nn_is_double(own->precision))
        return bc_arg_error(L, 3, "f64 and other precisions need networks of their own");
    nn_memory_estimate f;
    bc_error e = {""};
    check_status(L, nn_network_memory_estimate(net, &f, &o, &e), &e);
    lua_createtable(L, 0, 7);
    set_number(L, "weights", (double)f.weights);
    set_number(L, "gradients", (double)f.gradients);
    set_number(L, "moments", (double)f.moments);
    set_number(L, "kept", (double)f.kept);
    set_number(L, "arena", (double)f.arena);
    set_number(L, "scratch", (double)f.scratch);
    set_number(L, "again", (double)f.recompute);
    return 1;
}

static int l_inspect(lua_State *L) {
    nn_network *net = check_network(L);
    Network *n = lua_touserdata(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, !n->busy, 1, "the network is at work");
    return nn_lua_inspect(L, net, &n->busy);
}

/*** Bytes that the network has taken so far.
@function network:held
@treturn integer */
static int l_held(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)nn_network_held(check_network(L)));
    return 1;
}

static int l_threads(lua_State *L) {
    lua_pushinteger(L, nn_network_threads(check_network(L)));
    return 1;
}

/*** The kinds of layers and their options: kind -> list of option names.
@function kinds
@treturn table */
static int l_kinds(lua_State *L) {
    lua_newtable(L);
    for (size_t i = 0; nn_kind_at(i) != NULL; i++) {
        const nn_kind *kind = nn_kind_at(i);
        lua_newtable(L);
        for (int k = 0; kind->options[k].name != NULL; k++) {
            lua_pushstring(L, kind->options[k].name);
            lua_seti(L, -2, k + 1);
        }
        lua_setfield(L, -2, kind->name);
    }
    return 1;
}

/*** The library that multiplies matrices, and how it was built.
@function version
@treturn string */
static int l_version(lua_State *L) {
    lua_pushstring(L, nn_library());
    return 1;
}

static const luaL_Reg methods[] = {{"forward", l_forward},
                                   {"backward", l_backward},
                                   {"commit", l_commit},
                                   {"statistics", l_statistics},
                                   {"gradients", l_gradients},
                                   {"zero_gradients", l_zero_gradients},
                                   {"adamw", l_adamw},
                                   {"gradient_norm", l_gradient_norm},
                                   {"value", l_value},
                                   {"input_gradient", l_input_gradient},
                                   {"tensors", l_tensors},
                                   {"tensor", l_tensor},
                                   {"layers", l_layers},
                                   {"reset_times", l_reset_times},
                                   {"memory_estimate", l_memory_estimate},
                                   {"threads", l_threads},
                                   {"held", l_held},
                                   {"inspect", l_inspect},
                                   {"close", l_close},
                                   {NULL, NULL}};

static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"version", l_version},
    {"network", l_network}, {"loss", nn_lua_loss}, {"kinds", l_kinds}, {NULL, NULL}};

BC_EXPORT int luaopen_bclua_nn_core(lua_State *L);
BC_EXPORT int luaopen_bclua_nn_core(lua_State *L) {
    if (luaL_newmetatable(L, NETWORK)) {
        luaL_setfuncs(L, metamethods, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
    }
    luaL_newlib(L, functions);
    return 1;
}
