/* lua_loading.c: the module bclua.loading. */
/***
Batches of triplets, made by threads. `bclua.data.loader` is what scripts use; here are
its parts in C.
@module bclua.loading
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../array/lua_array.h"
#include "../audio/audio.h"
#include "../support/lua_support.h"
#include "loading.h"
#include "match.h"

#define LOADING "bclua.loading"
#define MAXKEPT 24

static const char *const role_names[BC_ROLES] = {"anchor", "neighbor", "distant"};

/* Everything that the threads look at belongs to this block, not to Lua. */
typedef struct {
    bc_loading *loading;
    bc_store *store;
    bc_blocks *backgrounds;
    char **paths, **background_paths;
    uint32_t *subset;
    bc_array kept[MAXKEPT];
    int nkept;
    int patience; /* batches that may be out before we collect */
    bool walk;
} loader;

static void free_list(char **list) {
    for (char **p = list; p != NULL && *p != NULL; p++) free(*p);
    free(list);
}

/*** End the threads and give the memory back. Safe twice.
@function loading:close */
static int l_close(lua_State *L) {
    loader *l = luaL_checkudata(L, 1, LOADING);
    bc_loading_free(l->loading);
    bc_store_free(l->store);
    bc_blocks_free(l->backgrounds);
    free_list(l->paths);
    free_list(l->background_paths);
    free(l->subset);
    while (l->nkept > 0) bc_array_release(&l->kept[--l->nkept]);
    l->loading = NULL;
    l->store = NULL;
    l->backgrounds = NULL;
    l->paths = l->background_paths = NULL;
    l->subset = NULL;
    return 0;
}

static loader *check_open(lua_State *L) {
    loader *l = luaL_checkudata(L, 1, LOADING);
    if (l->loading == NULL) luaL_error(L, "closed loader");
    return l;
}

/* ---- Arguments: options in a table at 1 ---- */

/* Field `name` of the table at index, as a list of strings; NULL if it is nil. */
static char **string_list(lua_State *L, int index, const char *name, int32_t *n, char ***to) {
    lua_getfield(L, index, name);
    *n = 0;
    if (lua_isnil(L, -1)) return NULL;
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    if (count > INT32_MAX - 1) luaL_error(L, "too many %s", name);
    *to = calloc((size_t)count + 1, sizeof **to);
    if (*to == NULL) luaL_error(L, "not enough memory");
    for (lua_Integer i = 0; i < count; i++) {
        lua_rawgeti(L, -1, i + 1);
        const char *text = lua_tostring(L, -1);
        if (text == NULL) luaL_error(L, "%s must be strings", name);
        if (((*to)[i] = strdup(text)) == NULL) luaL_error(L, "not enough memory");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    *n = (int32_t)count;
    return *to;
}

/* Field `name` of the table at -1, as memory that the loader keeps; NULL if it is
 * nil. *n < 0: any length. */
static const void *column(lua_State *L, loader *l, const char *name, bc_dtype dtype, int64_t *n) {
    lua_getfield(L, -1, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return NULL;
    }
    const bc_array *a = bc_check_as(L, lua_gettop(L), dtype, 1);
    if (*n >= 0 && a->shape[0] != *n)
        luaL_error(L, "column '%s' has %I rows, not %I", name, (LUAI_UACINT)a->shape[0],
                   (LUAI_UACINT)*n);
    if (l->nkept == MAXKEPT) luaL_error(L, "too many columns");
    *n = a->shape[0];
    bc_array_share(&l->kept[l->nkept++], a);
    lua_pop(L, 1);
    return a->shape[0] == 0 ? (const void *)l : l->kept[l->nkept - 1].data;
}

static void read_windows(lua_State *L, loader *l, bc_windows *w) {
    int64_t n = -1;
    w->source = column(L, l, "source", BC_I32, &n);
    w->loc_s = column(L, l, "loc", BC_F64, &n);
    w->file = column(L, l, "file", BC_I32, &n);
    w->first = column(L, l, "first", BC_I64, &n);
    w->scale = column(L, l, "scale", BC_F64, &n);
    if (w->source == NULL || w->loc_s == NULL) luaL_error(L, "windows without source and loc");
    w->n = n;
}

/* windows = {anchor = {source =, loc = ...}, ...}; or one table for all roles,
 * and the window of each triplet in {anchor = i32, ...}. */
static void read_tables(lua_State *L, loader *l, bc_sampler *s) {
    lua_getfield(L, 1, "windows");
    luaL_checktype(L, -1, LUA_TTABLE);
    bool shared = lua_getfield(L, -1, "source") != LUA_TNIL;
    lua_pop(L, 1);
    for (int role = 0; role < BC_ROLES; role++) {
        if (role > 0 && (shared || (role == BC_DISTANT && s->walk))) {
            s->windows[role] = s->windows[0];
            continue;
        }
        if (!shared) {
            lua_getfield(L, -1, role_names[role]);
            luaL_checktype(L, -1, LUA_TTABLE);
        }
        read_windows(L, l, &s->windows[role]);
        if (!shared) lua_pop(L, 1);
    }
    int64_t n = shared ? -1 : s->windows[0].n;
    for (int role = 0; shared && role < BC_ROLES; role++) {
        s->window[role] = column(L, l, role_names[role], BC_I32, &n);
        if (s->window[role] == NULL) luaL_error(L, "no column '%s'", role_names[role]);
    }
    for (int role = 0; role < BC_ROLES; role++)
        if (!shared && s->windows[role].n != n)
            luaL_error(L, "%I windows of role '%s', not %I", (LUAI_UACINT)s->windows[role].n,
                       role_names[role], (LUAI_UACINT)n);
    s->triplets = n;
    lua_pop(L, 1);
}

/* A walk: where the slices of each recording begin, and where the last ones end. */
static void read_walk(lua_State *L, loader *l, bc_loading_options *o) {
    int64_t n = -1;
    lua_pushvalue(L, 1);
    o->first = column(L, l, "first", BC_I64, &n);
    lua_pop(L, 1);
    o->sampler.walk = l->walk = o->first != NULL;
    o->recordings = l->walk ? n - 1 : 0;
}

static void check_walk(lua_State *L, const bc_loading_options *o) {
    const int64_t *first = o->first;
    if (o->sampler.subset != NULL) luaL_error(L, "option 'limit' is not for a walk");
    if (o->parts > 1) luaL_error(L, "option 'parts' is not for a walk");
    bool good = o->recordings >= 1 && first[0] == 0;
    for (int64_t i = 0; good && i < o->recordings; i++) good = first[i] <= first[i + 1];
    if (!good || first[o->recordings] != o->sampler.triplets)
        luaL_error(L, "column 'first' must rise from 0 to the number of slices, %I",
                   (LUAI_UACINT)o->sampler.triplets);
}

static double check_finite(lua_State *L, const char *name, double low, double high) {
    double x = lua_tonumber(L, -1);
    if (!lua_isnumber(L, -1) || !(x >= low && x <= high))
        luaL_error(L, "effect '%s' must be %f to %f, got %s", name, low, high,
                   luaL_tolstring(L, -1, NULL));
    return x;
}

/* {low, high} in the field `name` of the table at -1, decibels. */
static bool range(lua_State *L, const char *name, double to[2]) {
    if (lua_getfield(L, -1, name) == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    for (int i = 0; i < 2; i++) {
        lua_rawgeti(L, -1, i + 1);
        to[i] = check_finite(L, name, -1000, 1000);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return true;
}

static double number(lua_State *L, const char *name, double fallback, double low, double high) {
    double x = fallback;
    if (lua_getfield(L, -1, name) != LUA_TNIL) x = check_finite(L, name, low, high);
    lua_pop(L, 1);
    return x;
}

static void read_effects(lua_State *L, bc_sampler *s) {
    for (int role = 0; role < BC_ROLES; role++) s->effects[role].shift_s = -1;
    if (bc_push_option(L, 1, "effects") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        for (int role = 0; role < BC_ROLES; role++) {
            bc_effects *x = &s->effects[role];
            if (lua_getfield(L, -1, role_names[role]) != LUA_TNIL) {
                luaL_checktype(L, -1, LUA_TTABLE);
                x->shift_s = number(L, "shift", -1, -1, 1e6);
                x->gain_db = number(L, "gain", 0, 0, 1000);
                x->pitch = number(L, "pitch", 0, 0, 24);
                x->noise = range(L, "noise", x->noise_db);
                x->mix = range(L, "mix", x->mix_db);
            }
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

/* The first `limit` triplets of a shuffled table. */
static void set_limit(lua_State *L, loader *l, bc_sampler *s, int64_t limit, uint64_t seed) {
    if (limit <= 0 || limit >= s->triplets) return;
    bc_random r;
    bc_random_seed(&r, seed, UINT64_MAX);
    l->subset = malloc((size_t)s->triplets * sizeof *l->subset);
    if (l->subset == NULL) luaL_error(L, "not enough memory");
    bc_order_shuffle(l->subset, s->triplets, &r);
    s->subset = l->subset;
    s->triplets = limit;
}

/* The channel of each of n paths; NULL: the mean over all. */
static const int32_t *read_channels(lua_State *L, loader *l, int64_t n) {
    lua_pushvalue(L, 1);
    const int32_t *channels = column(L, l, "channels", BC_I32, &n);
    lua_pop(L, 1);
    for (int64_t i = 0; channels != NULL && i < n; i++)
        if (channels[i] < 0) luaL_error(L, "channels must be 0 or more");
    return channels;
}

static int open_store(lua_State *L, loader *l, bc_loading_options *o) {
    static const char *const kinds[] = {"npy", "packed", "flac", "none", NULL};
    bc_store_options s = {.sample_rate = o->sampler.sample_rate};
    int32_t n;
    s.kind = (enum bc_store_kind)bc_opt_choice(L, 1, "store", BC_STORE_NPY, kinds);
    s.paths = (const char *const *)string_list(L, 1, "paths", &s.files, &l->paths);
    if (s.paths == NULL) luaL_error(L, "no paths");
    s.channels = read_channels(L, l, s.files);
    s.duration_s = bc_opt_number_in(L, 1, "duration", 7, 0, 1e6);
    s.bytes = (size_t)bc_opt_integer_in(L, 1, "cache_bytes", 1 << 28, 0, (lua_Integer)1 << 40);
    s.open = (int)bc_opt_integer_in(L, 1, "open", 64, 1, 1 << 20);
    if (s.open < o->workers) s.open = o->workers;
    o->replace = s.kind == BC_STORE_NONE;
    int rc = bc_store_new(&l->store, &s);
    if (rc != BC_OK) return rc;
    o->sampler.store = l->store;
    const char *const *mixed =
        (const char *const *)string_list(L, 1, "backgrounds", &n, &l->background_paths);
    if (mixed == NULL) return BC_OK;
    rc = bc_blocks_new(&l->backgrounds, mixed, NULL, n, s.bytes / 4, s.open);
    o->sampler.backgrounds = l->backgrounds;
    o->sampler.background_files = n;
    return rc;
}

/***
A loader; its options are checked in `bclua.data.loader`.
@function new
@tparam table options `store`, `paths`, `channels` (i32: of each path, 0 for the mean of all),
 `sources`, `windows`, `duration`, `sample_rate`, `samples`, `batch_size`, `seed`, `limit`,
 `workers`, `prefetch`, `cache_bytes`, `open`, `effects`, `backgrounds`, `part` (from 0) of `parts`, and of a walk `first` (i64:
its slices by recording) and `walkers`
@treturn loading
*/
static int l_new(lua_State *L) {
    enum { MOST = 1 << 20 };
    static const char *const names[] = {
        "store",      "paths",       "sources", "windows", "duration", "sample_rate", "samples",
        "batch_size", "seed",        "limit",   "workers", "prefetch", "cache_bytes", "open",
        "effects",    "backgrounds", "first",   "walkers", "channels", "part",        "parts",
        NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    bc_check_options(L, 1, names);
    lua_settop(L, 1);
    loader *l = lua_newuserdatauv(L, sizeof *l, 1);
    memset(l, 0, sizeof *l);
    l->patience = 2;
    luaL_setmetatable(L, LOADING);
    lua_getfield(L, 1, "sources");
    luaL_checktype(L, -1, LUA_TTABLE);
    int64_t sources = (int64_t)lua_rawlen(L, -1);
    lua_setiuservalue(L, -2, 1);
    bc_loading_options o = {.batch_size = bc_opt_integer_in(L, 1, "batch_size", 64, 1, MOST)};
    bc_sampler *s = &o.sampler;
    o.parts = bc_opt_integer_in(L, 1, "parts", 1, 1, MOST);
    o.part = bc_opt_integer_in(L, 1, "part", 0, 0, o.parts - 1);
    if (o.batch_size % o.parts != 0) luaL_error(L, "a batch has no such equal parts");
    o.seed = (uint64_t)bc_opt_integer(L, 1, "seed", 1);
    o.workers = (int)bc_opt_integer_in(L, 1, "workers", 1, 1, 1024);
    o.prefetch = (int)bc_opt_integer_in(L, 1, "prefetch", 2, 1, MOST);
    o.open = (int)bc_opt_integer_in(L, 1, "walkers", 16, 1, MOST);
    s->sample_rate = (int)bc_opt_integer_in(L, 1, "sample_rate", 32000, 1, BC_AUDIO_MAX_RATE);
    s->samples = bc_opt_integer_in(L, 1, "samples", 5 * 32000, 1, (lua_Integer)1 << 40);
    read_walk(L, l, &o);
    read_tables(L, l, s);
    read_effects(L, s);
    if (s->triplets < 1 || s->triplets > UINT32_MAX)
        luaL_error(L, "%I triplets (1 to 2^32 - 1)", (LUAI_UACINT)s->triplets);
    bc_error e = {""};
    int rc = open_store(L, l, &o);
    int64_t files = 0;
    for (char **p = l->paths; *p != NULL; p++) files++;
    if (rc == BC_OK) rc = bc_sampler_check(s, sources, files, &e);
    set_limit(L, l, s, bc_opt_integer(L, 1, "limit", 0), o.seed);
    if (s->walk) check_walk(L, &o);
    if (rc == BC_OK) rc = bc_loading_new(&l->loading, &o);
    if (rc != BC_OK) return luaL_error(L, "%s", bc_status_text(rc, &e));
    lua_settop(L, 2);
    return 1;
}

/* ---- Batches ---- */

static void push_numbers(lua_State *L, const bc_batch *b, int64_t n, int role, const char *name,
                         size_t offset) {
    const char *at = (const char *)&b->rows[0].sample[role] + offset;
    double first;
    memcpy(&first, at, sizeof first);
    if (isnan(first) && offset != offsetof(bc_sample, start_s)) return; /* an effect that is off */
    bc_array *a = bc_push_vector(L, BC_F64, n);
    for (int64_t i = 0; i < n; i++)
        memcpy((double *)a->data + i, at + (size_t)i * sizeof *b->rows, sizeof(double));
    lua_setfield(L, -2, name);
}

static void push_provenance(lua_State *L, const bc_sampler *s, const bc_batch *b, int role) {
    int64_t n = b->data[0].shape[0];
    lua_createtable(L, 0, 6);
    lua_getiuservalue(L, 1, 1);
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_rawgeti(L, -2, bc_sampler_source(s, role, b->rows[i].sample[role].window) + 1);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -3, "file");
    lua_pop(L, 1);
    push_numbers(L, b, n, role, "seconds", offsetof(bc_sample, start_s));
    push_numbers(L, b, n, role, "pitch", offsetof(bc_sample, draw.pitch));
    push_numbers(L, b, n, role, "mix_db", offsetof(bc_sample, draw.mix_db));
    push_numbers(L, b, n, role, "noise_db", offsetof(bc_sample, draw.noise_db));
    push_numbers(L, b, n, role, "gain_db", offsetof(bc_sample, draw.gain_db));
}

static void push_read_failures(lua_State *L, const bc_read_failure *m) {
    lua_newtable(L);
    for (lua_Integer i = 1; m != NULL; m = m->next, i++) {
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, m->row + 1);
        lua_setfield(L, -2, "row");
        lua_getiuservalue(L, 1, 1);
        lua_rawgeti(L, -1, m->source + 1);
        lua_setfield(L, -3, "file");
        lua_pop(L, 1);
        lua_pushstring(L, m->text);
        lua_setfield(L, -2, "reason");
        lua_rawseti(L, -2, i);
    }
}

/* The C memory of a batch, freed by Lua if an error comes between. */
static int batch_gc(lua_State *L) {
    bc_batch_release(luaL_checkudata(L, 1, "bclua.loading.batch"));
    return 0;
}

/* Lua sees only small userdata. A batch that is no longer looked at gives its
 * memory back when it is collected: do that when two are out. If the caller keeps
 * them, wait for twice as many. */
static void collect(lua_State *L, loader *l) {
    if (bc_loading_held(l->loading) < l->patience) return;
    lua_gc(L, LUA_GCCOLLECT);
    int held = bc_loading_held(l->loading);
    l->patience = held + 2 < BC_RECYCLED ? held + 2 : BC_RECYCLED;
}

/***
The next batch, as `bclua.data.loader` gives it; `read_failures` are windows that could not be read.
@function loading:next
@treturn[1] table
@treturn[2] nil
@treturn[2] string message
*/
static int l_next(lua_State *L) {
    loader *l = check_open(L);
    lua_settop(L, 1);
    collect(L, l);
    check_open(L); /* a finalizer may have closed it */
    bc_batch *b = lua_newuserdatauv(L, sizeof *b, 0);
    memset(b, 0, sizeof *b);
    luaL_setmetatable(L, "bclua.loading.batch");
    bc_error e = {""};
    int rc = bc_loading_next(l->loading, b, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    int64_t n = b->data[0].shape[0];
    lua_createtable(L, 0, 6);
    for (int role = 0; role < BC_ROLES; role++) {
        bc_push_view(L, &b->data[role]);
        lua_setfield(L, -2, role_names[role]);
    }
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_pushinteger(L, b->rows[i].triplet + 1);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "rows");
    lua_createtable(L, 0, BC_ROLES);
    for (int role = 0; role < BC_ROLES; role++) {
        push_provenance(L, bc_loading_sampler(l->loading), b, role);
        lua_setfield(L, -2, role_names[role]);
    }
    lua_setfield(L, -2, "provenance");
    if (b->read_failures != NULL) {
        push_read_failures(L, b->read_failures);
        lua_setfield(L, -2, "read_failures");
    }
    bc_batch_release(b);
    return 1;
}

/*** Triplets taken since the first.
@function loading:position
@treturn integer */
static int l_position(lua_State *L) {
    lua_pushinteger(L, bc_loading_position(check_open(L)->loading));
    return 1;
}

/*** Go on at a position, with a seed.
@function loading:seek
@tparam integer seed
@tparam integer position */
static int l_seek(lua_State *L) {
    loader *l = check_open(L);
    lua_Integer seed = luaL_checkinteger(L, 2), position = luaL_checkinteger(L, 3);
    luaL_argcheck(L, position >= 0 && position <= (lua_Integer)1 << 60, 3, "outside 0..2^60");
    bc_loading_seek(l->loading, (uint64_t)seed, position);
    return 0;
}

/*** Seconds that `next` waited for its batches.
@function loading:waited
@treturn number */
static int l_waited(lua_State *L) {
    lua_pushnumber(L, bc_loading_waited(check_open(L)->loading));
    return 1;
}

/*** Bytes of decoded samples held, and files open.
@function loading:held
@treturn integer
@treturn integer */
static int l_held(lua_State *L) {
    size_t bytes;
    int open;
    bc_blocks_held(bc_store_blocks(check_open(L)->store), &bytes, &open);
    lua_pushinteger(L, (lua_Integer)bytes);
    lua_pushinteger(L, open);
    return 2;
}

/***
@section functions
*/

/* Field `name` of the table at arg as a contiguous column of n rows (< 0: any);
 * it stays on the stack. */
static const void *field(lua_State *L, int arg, const char *name, bc_dtype dtype, int64_t *n) {
    lua_getfield(L, arg, name);
    const bc_array *a = bc_check_as(L, lua_gettop(L), dtype, 1);
    if (*n >= 0 && a->shape[0] != *n)
        bc_arg_error(L, arg, "column '%s' has %I rows, not %I", name, (LUAI_UACINT)a->shape[0],
                     (LUAI_UACINT)*n);
    *n = a->shape[0];
    return a->data;
}

/***
The windows of triplets.
@function match
@tparam table windows columns `source` (i32, from 0) and `loc` (f64), sorted by both
@tparam table triplets columns `a`, `b`, `c` (i32: sources) and `a_loc`, `b_loc`, `c_loc`
@treturn table columns `anchor`, `neighbor`, `distant` (i32: windows from 0) and `place`
 (i32: triplets from 0), of those triplets whose three windows are there
*/
static int l_match(lua_State *L) {
    static const char *const names[BC_ROLES] = {"a", "b", "c"};
    static const char *const locs[BC_ROLES] = {"a_loc", "b_loc", "c_loc"};
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    bc_windows w = {.n = -1};
    bc_places t = {.n = -1};
    w.source = field(L, 1, "source", BC_I32, &w.n);
    w.loc_s = field(L, 1, "loc", BC_F64, &w.n);
    for (int role = 0; role < BC_ROLES; role++) {
        t.source[role] = field(L, 2, names[role], BC_I32, &t.n);
        t.loc_s[role] = field(L, 2, locs[role], BC_F64, &t.n);
    }
    if (w.n > INT32_MAX || t.n > INT32_MAX) return luaL_error(L, "too many windows");
    bc_array *out[BC_ROLES + 1];
    int32_t *to[BC_ROLES + 1];
    for (int i = 0; i <= BC_ROLES; i++) {
        out[i] = bc_push_vector(L, BC_I32, t.n);
        to[i] = out[i]->data;
    }
    int64_t found = bc_match(to, to[BC_ROLES], &w, &t);
    lua_createtable(L, 0, BC_ROLES + 1);
    for (int i = 0; i <= BC_ROLES; i++) {
        bc_array part;
        bc_array_slice(&part, out[i], 0, 0, found);
        bc_push_view(L, &part);
        bc_array_release(&part);
        lua_setfield(L, -2, i < BC_ROLES ? role_names[i] : "place");
    }
    return 1;
}

/***
Shift the pitch of a sound; its length is kept. Times move by up to 50 ms.
@function pitch_shift
@tparam bclua.array y f32 (samples)
@tparam integer sample_rate
@tparam number semitones -24..24
@treturn[1] bclua.array f32 (samples)
@treturn[2] nil
@treturn[2] string message: SoundTouch is missing
*/
static int l_pitch_shift(lua_State *L) {
    const bc_array *y = bc_check_as(L, 1, BC_F32, 1);
    lua_Integer rate = luaL_checkinteger(L, 2);
    double semitones = luaL_checknumber(L, 3);
    if (rate < 1000 || rate > 192000)
        bc_arg_error(L, 2, "1000 to 192000 Hz expected, got %I", rate);
    if (!(semitones >= -24 && semitones <= 24))
        bc_arg_error(L, 3, "-24 to 24 semitones expected, got %f", semitones);
    bc_array *out = bc_push_vector(L, BC_F32, y->shape[0]);
    bc_array_copy(out, y);
    bc_error e = {""};
    int rc = bc_pitch(out->data, y->shape[0], (int)rate, semitones, &e);
    return rc == BC_OK ? 1 : bc_failure(L, rc, &e);
}

/*** The version of SoundTouch; nil where it is missing.
@function pitch_library
@treturn ?string */
static int l_pitch_library(lua_State *L) {
    lua_pushstring(L, bc_pitch_library());
    return 1;
}

BC_EXPORT int luaopen_bclua_loading(lua_State *L);
BC_EXPORT int luaopen_bclua_loading(lua_State *L) {
    static const luaL_Reg functions[] = {{"new", l_new},
                                         {"match", l_match},
                                         {"pitch_shift", l_pitch_shift},
                                         {"pitch_library", l_pitch_library},
                                         {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"next", l_next}, {"position", l_position}, {"seek", l_seek}, {"waited", l_waited},
        {"held", l_held}, {"close", l_close},       {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
    luaL_newmetatable(L, "bclua.loading.batch");
    lua_pushcfunction(L, batch_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newmetatable(L, LOADING);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, functions);
    return 1;
}
