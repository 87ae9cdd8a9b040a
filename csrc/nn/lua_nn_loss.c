/* lua_nn_loss.c: losses in Lua. */
/// @module bclua.nn.core
#include "../array/lua_array.h"
#include "../support/lua_support.h"
#include "run/loss.h"
#include "lua_nn.h"

static nn_loss_options read_options(lua_State *L, int arg, double *scale) {
    static const char *const names[] = {"loss",  "margin", "l2", "temperature",
                                        "scale", "groups", NULL};
    static const char *const kinds[] = {"triplet", "triplet_cosine", "semi_hard",     "batch_hard",
                                        "nt_xent", "supcon",         "cross_entropy", NULL};
    bc_check_options(L, arg, names);
    nn_loss_options o = {.kind = (enum nn_loss_kind)bc_opt_choice(L, arg, "loss", 0, kinds)};
    o.margin = bc_opt_number(L, arg, "margin", o.kind == NN_TRIPLET_COSINE ? 0.5 : 50);
    o.l2 = bc_opt_number(L, arg, "l2", 0.01);
    o.temperature = bc_opt_number(L, arg, "temperature", 0.1);
    *scale = bc_opt_number(L, arg, "scale", 1);
    if (!(o.temperature > 0)) bc_arg_error(L, arg, "option 'temperature' must be above 0");
    return o;
}

/* Each embedding has as many scores as there are groups. */
static void check_scores(lua_State *L, const int32_t *group, int64_t n, int64_t z) {
    if (group == NULL) bc_arg_error(L, 2, "option 'groups' is missing: 'cross_entropy' needs them");
    for (int64_t i = 0; i < n; i++)
        if (group[i] >= z)
            bc_arg_error(L, 2, "option 'groups': group %d, but there are scores of %I (from 0)",
                         (int)group[i], (lua_Integer)z);
}

/* Option `groups` of the options at 2, kept alive on the stack; NULL: there is none. */
static const int32_t *read_groups(lua_State *L, int64_t n) {
    if (lua_isnil(L, 2) || lua_getfield(L, 2, "groups") == LUA_TNIL) return NULL;
    const bc_array *groups = bc_test_array(L, -1);
    if (groups == NULL || groups->ndim != 1 || groups->shape[0] != n)
        bc_arg_error(L, 2, "option 'groups': an array of %I numbers expected", (lua_Integer)n);
    groups = bc_check_as(L, -1, BC_I32, 1);
    return groups->data;
}

static void push_info(lua_State *L, const nn_loss_info *t) {
    const struct {
        const char *name;
        double x;
    } field[] = {{"loss", t->loss},     {"loss_n", t->neighbor}, {"loss_d", t->distant},
                 {"active", t->active}, {"spread", t->spread},   {"cosine", t->cosine}};
    lua_createtable(L, 0, 8);
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        lua_pushnumber(L, field[i].x);
        lua_setfield(L, -2, field[i].name);
    }
}

/*** A loss over the embeddings of a batch of triplets, and its gradient; see bclua.nn.
@function loss
@tparam array e (3B, z) anchors, neighbours, distant ones
@tparam[opt] table options `loss`, `margin`, `l2`, `temperature`, `groups`; `scale` of the gradient
@treturn table `loss`, `loss_n`, `loss_d`, `active`, `spread`, `cosine`
@treturn array gradient (3B, z), of the dtype of e */
int nn_lua_loss(lua_State *L) {
    const bc_array *given = bc_check_array(L, 1);
    bc_dtype dtype = given->dtype == BC_F64 ? BC_F64 : BC_F32;
    double scale;
    lua_settop(L, 2);
    nn_loss_options o = read_options(L, 2, &scale);
    const bc_array *e = bc_check_as(L, 1, BC_F64, 2);
    if (e->shape[0] < 3 || e->shape[0] % 3 != 0 || e->shape[1] < 1)
        return bc_arg_error(L, 1, "array of (3 B, z) expected, got (%I, %I)",
                            (lua_Integer)e->shape[0], (lua_Integer)e->shape[1]);
    o.group = read_groups(L, e->shape[0]);
    if (o.kind == NN_CROSS_ENTROPY) check_scores(L, o.group, e->shape[0], e->shape[1]);
    bc_array *wide = bc_push_array(L, BC_F64, 2, e->shape);
    nn_loss_info info;
    int rc = nn_loss(&info, wide->data, e->data, &o, (size_t)e->shape[0] / 3, (size_t)e->shape[1]);
    if (rc != BC_OK) return luaL_error(L, "%s", bc_status_text(rc, NULL));
    push_info(L, &info);
    bc_array *de = bc_push_array(L, dtype, 2, e->shape);
    int64_t count = e->shape[0] * e->shape[1];
    for (int64_t i = 0; i < count; i++) bc_array_put(de, i, scale * ((double *)wide->data)[i]);
    return 2;
}
