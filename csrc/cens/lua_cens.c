/* lua_cens.c: the module bclua.cens. */
/***
Chroma features of recordings, as librosa 0.11 computes them: tuning,
constant-Q transform, chroma and CENS.

Samples are one-dimensional arrays of any dtype (converted to f32, not scaled;
scale does not matter to `tuning` and `cens`). n samples give 1 + n // hop
frames, frame t centred on sample t * hop; no samples give no frames. A NaN or
infinite sample raises, naming its position. Silence has tuning 0 and gives
zeros. Work stops within a second of Ctrl-C.

Options are the same for `cens`, `chroma` and `cqt`:

 * `sample_rate`: Hz, required; at least 8413 for the default range
 * `hop`: samples from frame to frame (sample_rate // 10)
 * `tuning`: fraction of a bin of 36 an octave (estimated)
 * `n_octaves`: 7
 * `fmin`: Hz, lowest bin (32.7, C1); chroma starts with C whatever it is
 * `smoothing`: frames over which CENS is smoothed (41; 0: not)
@module bclua.cens
*/
#include <math.h>

#include "../array/lua_array.h"
#include "../support/lua_support.h"
#include "cens.h"
#include "cqt.h"
#include "tuning.h"

#define PLAN "bclua.cens.plan"
#define NAMES "sample_rate", "hop", "tuning", "n_octaves", "fmin"

/* The samples at 1, all finite. */
static const bc_array *check_samples(lua_State *L) {
    const bc_array *y = bc_check_as(L, 1, BC_F32, 1);
    const float *x = y->data;
    size_t n = (size_t)y->shape[0], bad = cens_first_bad(x, n);
    if (bad < n)
        bc_arg_error(L, 1, "sample %I is %s", (lua_Integer)bad + 1,
                     isnan(x[bad]) ? "NaN" : "infinite");
    return y;
}

static double check_rate(lua_State *L, int arg) {
    luaL_checktype(L, arg, LUA_TTABLE);
    if (!bc_has_option(L, arg, "sample_rate"))
        bc_arg_error(L, arg, "option 'sample_rate' (Hz) is missing");
    double rate = bc_opt_number(L, arg, "sample_rate", 0);
    if (!(rate > 0 && rate <= 1e9))
        bc_arg_error(L, arg, "option 'sample_rate' must be above 0 and at most 1e9 Hz, got %f",
                     rate);
    return rate;
}

static lua_Integer check_integer(lua_State *L, int arg, const char *name, lua_Integer fallback,
                                 lua_Integer least) {
    lua_Integer n = bc_opt_integer(L, arg, name, fallback);
    if (n < least || n > INT32_MAX)
        bc_arg_error(L, arg, "option '%s' must be %I..%I, got %I", name, least,
                     (lua_Integer)INT32_MAX, n);
    return n;
}

/* The options at 2, all but the tuning. */
static cqt_options check_options(lua_State *L) {
    cqt_options o = cqt_defaults(check_rate(L, 2));
    o.hop = (size_t)check_integer(L, 2, "hop", (lua_Integer)o.hop, 1);
    o.octaves = (int)check_integer(L, 2, "n_octaves", o.octaves, 1);
    o.fmin = bc_opt_number(L, 2, "fmin", o.fmin);
    return o;
}

static int put_plan(lua_State *L) {
    const cqt_plan **p = luaL_checkudata(L, 1, PLAN);
    cqt_plan_put(*p);
    *p = NULL;
    return 0;
}

static const cqt_plan *get_plan(lua_State *L, const cqt_plan **slot, const cqt_options *o) {
    bc_error e;
    int rc = cqt_plan_get(slot, o, &e);
    if (rc == BC_FAIL) bc_arg_error(L, 2, "option %s", e.text);
    if (rc != BC_OK) bc_failure(L, rc, NULL);
    return *slot;
}

/* Push a plan for the samples at 1 and the options at 2; closed with the
 * function's return. Options are judged before the long work of estimating
 * the tuning. */
static const cqt_plan *push_plan(lua_State *L, const bc_array *y) {
    cqt_options o = check_options(L);
    const cqt_plan **slot = lua_newuserdatauv(L, sizeof *slot, 0);
    *slot = NULL; /* born empty: collectable from here */
    luaL_setmetatable(L, PLAN);
    lua_toclose(L, -1);
    if (bc_has_option(L, 2, "tuning")) {
        o.tuning = bc_opt_number(L, 2, "tuning", 0);
        return get_plan(L, slot, &o);
    }
    bc_error e;
    if (cqt_options_check(&o, &e) != BC_OK) bc_arg_error(L, 2, "option %s", e.text);
    int rc = tuning_estimate(&o.tuning, y->data, (size_t)y->shape[0], o.sample_rate);
    if (rc != BC_OK) bc_failure(L, rc, NULL);
    return get_plan(L, slot, &o);
}

static bc_array *push_frames(lua_State *L, const cqt_plan *p, const bc_array *y, int rows) {
    return bc_push_matrix(L, BC_F32, rows, (int64_t)cqt_frames(&p->o, (size_t)y->shape[0]));
}

static void push_info(lua_State *L, const cqt_plan *p) {
    lua_createtable(L, 0, 4);
    lua_pushnumber(L, p->o.tuning);
    lua_setfield(L, -2, "tuning");
    lua_pushnumber(L, p->o.sample_rate);
    lua_setfield(L, -2, "sample_rate");
    lua_pushinteger(L, (lua_Integer)p->o.hop);
    lua_setfield(L, -2, "hop");
    lua_pushnumber(L, p->o.sample_rate / (double)p->o.hop);
    lua_setfield(L, -2, "frames_per_second");
}

/*** Chroma energy normalised statistics.
@function cens
@tparam array y samples, 1-D
@tparam table options see above
@treturn array f32 (12, frames), C first; each frame has Euclidean norm 1 or is zero
@treturn table `tuning`, `sample_rate`, `hop`, `frames_per_second`
@usage local c, info = cens.cens(y, {sample_rate = 32000, hop = 3200}) */
static int l_cens(lua_State *L) {
    static const char *const names[] = {NAMES, "smoothing", NULL};
    const bc_array *y = check_samples(L);
    bc_check_options(L, 2, names);
    size_t smoothing = (size_t)check_integer(L, 2, "smoothing", 41, 0);
    const cqt_plan *p = push_plan(L, y);
    bc_array *out = push_frames(L, p, y, 12);
    int rc = cens(out->data, y->data, (size_t)y->shape[0], p, smoothing);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    push_info(L, p);
    return 2;
}

/*** Energy in the twelve pitch classes, not normalised: magnitudes of `cqt`,
added over the octaves and over the three bins of each semitone.
@function chroma
@tparam array y samples, 1-D
@tparam table options see above; not `smoothing`
@treturn array f32 (12, frames), C first
@treturn table as for `cens` */
static int l_chroma(lua_State *L) {
    static const char *const names[] = {NAMES, NULL};
    const bc_array *y = check_samples(L);
    bc_check_options(L, 2, names);
    const cqt_plan *p = push_plan(L, y);
    bc_array *out = push_frames(L, p, y, 12);
    int rc = cqt_chroma(out->data, y->data, (size_t)y->shape[0], p);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    push_info(L, p);
    return 2;
}

/*** Magnitudes of the constant-Q transform, 36 bins an octave.
@function cqt
@tparam array y samples, 1-D
@tparam table options see above; not `smoothing`
@treturn array f32 (36 * n_octaves, frames), lowest bin first
@treturn table as for `cens` */
static int l_cqt(lua_State *L) {
    static const char *const names[] = {NAMES, NULL};
    const bc_array *y = check_samples(L);
    bc_check_options(L, 2, names);
    const cqt_plan *p = push_plan(L, y);
    bc_array *out = push_frames(L, p, y, CQT_BINS * p->o.octaves);
    int rc = cqt_magnitude(out->data, y->data, (size_t)y->shape[0], p);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    push_info(L, p);
    return 2;
}

/*** How far a recording is off concert pitch (A = 440 Hz): the most frequent
deviation of its strong spectral peaks between 150 and 4000 Hz.
@function tuning
@tparam array y samples, 1-D
@tparam table options `sample_rate`, Hz
@treturn number -0.5 .. 0.49 in steps of 0.01, fractions of a bin of 36 an octave;
0 if there is no peak */
static int l_tuning(lua_State *L) {
    static const char *const names[] = {"sample_rate", NULL};
    const bc_array *y = check_samples(L);
    bc_check_options(L, 2, names);
    double tuning, rate = check_rate(L, 2);
    int rc = tuning_estimate(&tuning, y->data, (size_t)y->shape[0], rate);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    lua_pushnumber(L, tuning);
    return 1;
}

/*** The step of CENS between chroma and smoothing: each frame divided by its
sum, then a quarter for each of 0.4, 0.2, 0.1 and 0.05 that is exceeded.
@function quantize
@tparam array chroma (12, frames)
@treturn array f32 (12, frames): 0, 0.25, 0.5, 0.75 or 1 */
static int l_quantize(lua_State *L) {
    const bc_array *chroma = bc_check_as(L, 1, BC_F32, 2);
    if (chroma->shape[0] != 12)
        bc_arg_error(L, 1, "12 rows expected, got %I", (lua_Integer)chroma->shape[0]);
    bc_array *out = bc_push_matrix(L, BC_F32, 12, chroma->shape[1]);
    cens_quantize(out->data, chroma->data, (size_t)chroma->shape[1]);
    return 1;
}

BC_EXPORT int luaopen_bclua_cens(lua_State *L);

BC_EXPORT int luaopen_bclua_cens(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"cens", l_cens},     {"chroma", l_chroma},     {"cqt", l_cqt},
        {"tuning", l_tuning}, {"quantize", l_quantize}, {NULL, NULL},
    };
    static const luaL_Reg plan[] = {{"__gc", put_plan}, {"__close", put_plan}, {NULL, NULL}};
    luaL_newmetatable(L, PLAN);
    luaL_setfuncs(L, plan, 0);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
