/* lua_cens.c: the module bclua.cens. */
/***
Chroma features of recordings, as librosa 0.11 computes them: tuning,
constant-Q transform, chroma and CENS.

Samples are one-dimensional arrays of any dtype (converted to f32, not scaled;
scale does not matter to `tuning` and `cens`). n samples give 1 + n // hop
frames, frame t centred on sample t * hop; no samples give no frames. A NaN or
infinite sample raises, naming its position. Silence has tuning 0 and gives
zeros, and so do samples that are all denormal (below 1e-38), and frames with
samples so large that magnitudes overflow f32 (above about 1e34). Work stops within a second of Ctrl-C.

Instead of an array, a source may be given that is read block by block, so that
a recording of any length needs little more memory than its result, which is
the same to the bit: a reader from `audio.open` (of the same `sample_rate`; it
is read from its beginning), any other object with such `read` and `seek_s`, or
a function that returns the next samples, as many as it likes, and nil at the
end. If a source gives nil and a message, so does the function here. Estimating
the tuning takes a pass of its own, at most two: a function then needs `rewind`.

Options are the same for `cens`, `chroma` and `cqt`:

 * `sample_rate`: Hz, required; at least 8413 for the default range
 * `hop`: samples from frame to frame (sample_rate // 10); or
 * `frames_per_second`, which must divide `sample_rate`
 * `tuning`: fraction of a bin of 36 an octave (estimated)
 * `n_octaves`: 7
 * `fmin`: Hz, lowest bin (32.7, C1), at least about sample_rate / 80000; chroma starts
   with C whatever it is; or
 * `band`: two frequencies in Hz, the lower one first: chroma looks at what is between them, or at
   as much of that as fits below half of `sample_rate`, alone
 * `rewind`: makes a source that is a function start again

and of `cens` alone:

 * `quant_steps`: {0.4, 0.2, 0.1, 0.05}, shares of a frame's sum
 * `quant_weights`: {0.25, 0.25, 0.25, 0.25}, what is added above each step
 * `smoothing`: frames over which CENS is smoothed (41; 0: not)
 * `norm`: what is 1 in each frame in the end: 2 (its Euclidean norm), 1 (its
   sum), math.huge (its largest value), or false (nothing)
@module bclua.cens
*/
#include <math.h>

#include "../array/lua_array.h"
#include "../spectral/frames.h"
#include "../spectral/lua_source.h"
#include "../support/lua_support.h"
#include "cens.h"
#include "cqt.h"
#include "cqt_stream.h"
#include "tuning.h"

#define WORK "bclua.cens.work"
#define NAMES "sample_rate", "hop", "frames_per_second", "tuning", "n_octaves", "fmin", \
    "band", "rewind"
#define CENS_NAMES "quant_steps", "quant_weights", "smoothing", "norm"

/* The array at 1, all finite; NULL for a source. */
static const bc_array *check_samples(lua_State *L) {
    if (bc_is_source(L, 1)) return NULL;
    const bc_array *y = bc_check_as(L, 1, BC_F32, 1);
    const float *x = y->data;
    size_t n = (size_t)y->shape[0], bad = frames_first_bad(x, n);
    if (bad < n)
        bc_arg_error(L, 1, "sample %I is %s", (lua_Integer)bad + 1,
                     isnan(x[bad]) ? "NaN" : "infinite");
    if (bc_has_option(L, 2, "rewind"))
        bc_arg_error(L, 2, "option 'rewind' is for samples from a function");
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

/* hop, or what frames_per_second makes of it. */
static size_t check_hop(lua_State *L, double rate, lua_Integer fallback) {
    if (!bc_has_option(L, 2, "frames_per_second"))
        return (size_t)check_integer(L, 2, "hop", fallback, 1);
    if (bc_has_option(L, 2, "hop"))
        bc_arg_error(L, 2, "option 'hop' or 'frames_per_second' expected, got both");
    double hop = rate / bc_opt_number(L, 2, "frames_per_second", 0);
    if (!(hop >= 1 && hop <= INT32_MAX && fabs(hop - rint(hop)) <= 1e-9 * hop))
        bc_arg_error(L, 2, "option 'frames_per_second' must divide the sample rate %f, got %f",
                     rate, bc_opt_number(L, 2, "frames_per_second", 0));
    return (size_t)rint(hop);
}

/* Option `band`, in place of n_octaves and fmin. */
static void read_band(lua_State *L, cqt_options *o) {
    double hz[2] = {0};
    bc_error e;
    if (bc_push_option(L, 2, "band") == LUA_TNIL) return;
    for (int i = 0; i < 2; i++) {
        if (!lua_istable(L, -1)) bc_arg_error(L, 2, "option 'band' must be a list of two numbers");
        lua_geti(L, -1, i + 1);
        hz[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    if (bc_has_option(L, 2, "n_octaves") || bc_has_option(L, 2, "fmin"))
        bc_arg_error(L, 2, "option 'band' or 'n_octaves' and 'fmin' expected, got both");
    if (cqt_options_band(o, hz[0], hz[1], &e) != BC_OK) bc_arg_error(L, 2, "option %s", e.text);
}

/* The options at 2, all but the tuning. */
static cqt_options check_options(lua_State *L) {
    cqt_options o = cqt_defaults(check_rate(L, 2));
    o.hop = check_hop(L, o.sample_rate, (lua_Integer)o.hop);
    o.octaves = (int)check_integer(L, 2, "n_octaves", o.octaves, 1);
    o.fmin = bc_opt_number(L, 2, "fmin", o.fmin);
    read_band(L, &o);
    return o;
}

/* What a call holds on to; freed with the call's return, whatever happens. */
typedef struct work {
    const cqt_plan *plan;
    cqt_stream *cqt;
    tuning_stream *tuning;
} work;

static int free_work(lua_State *L) {
    work *w = luaL_checkudata(L, 1, WORK);
    cqt_stream_free(w->cqt);
    tuning_stream_free(w->tuning);
    cqt_plan_put(w->plan);
    *w = (work){0};
    return 0;
}

static work *push_work(lua_State *L) {
    return bc_push_closing(L, sizeof(work), WORK, free_work);
}

static int take_tuning(void *context, const float *samples, size_t n) {
    return tuning_stream_push(context, samples, n);
}

static int take_cqt(void *context, const float *samples, size_t n) {
    return cqt_stream_push(context, samples, n);
}

/* The tuning of the array y, or of the source; NaN: it has no peak. */
static int measure_tuning(lua_State *L, double *tuning, work *w, const bc_array *y, bc_source *s,
                    double rate, bc_error *e) {
    if (y != NULL) return tuning_estimate(tuning, y->data, (size_t)y->shape[0], rate);
    bool again = true;
    int rc = tuning_stream_new(&w->tuning, rate);
    while (rc == BC_OK && again) {
        rc = bc_source_read(L, s, true, take_tuning, w->tuning, e);
        if (rc == BC_OK) rc = tuning_stream_finish(tuning, &again, w->tuning);
    }
    tuning_stream_free(w->tuning);
    w->tuning = NULL;
    return rc;
}

/* The same; without a peak 0, and a warning. */
static int estimate(lua_State *L, double *tuning, work *w, const bc_array *y, bc_source *s,
                    double rate, bc_error *e) {
    const int rc = measure_tuning(L, tuning, w, y, s, rate, e);
    if (rc != BC_OK || !isnan(*tuning)) return rc;
    *tuning = 0;
    lua_warning(L, "cens: no spectral peak to estimate the tuning from, so it is 0", 0);
    return BC_OK;
}

/* The plan for the options at 2, which are judged before the long work of
 * estimating the tuning. */
static int get_plan(lua_State *L, work *w, const bc_array *y, bc_source *s, bc_error *e) {
    cqt_options o = check_options(L);
    bool known = bc_has_option(L, 2, "tuning");
    if (known) o.tuning = bc_opt_number(L, 2, "tuning", 0);
    if (cqt_options_check(&o, e) != BC_OK) bc_arg_error(L, 2, "option %s", e->text);
    if (y == NULL) *s = bc_check_source(L, 1, 2, o.sample_rate, known);
    int rc = known ? BC_OK : estimate(L, &o.tuning, w, y, s, o.sample_rate, e);
    return rc == BC_OK ? cqt_plan_get(&w->plan, &o, e) : rc;
}

/* Push the chroma or the magnitudes of what is at 1. */
static int push_cqt(lua_State *L, work *w, bool chroma, bc_array **out, bc_error *e) {
    const bc_array *y = check_samples(L);
    bc_source s;
    int rc = get_plan(L, w, y, &s, e);
    if (rc != BC_OK) return rc;
    int rows = chroma ? 12 : CQT_BINS * w->plan->o.octaves;
    if (y != NULL) {
        size_t n = (size_t)y->shape[0];
        *out = bc_push_matrix(L, BC_F32, rows, (int64_t)cqt_frames(&w->plan->o, n));
        return (chroma ? cqt_chroma : cqt_magnitude)((*out)->data, y->data, n, w->plan);
    }
    rc = cqt_stream_new(&w->cqt, w->plan, chroma);
    if (rc == BC_OK) rc = bc_source_read(L, &s, true, take_cqt, w->cqt, e);
    if (rc == BC_OK) rc = cqt_stream_finish(w->cqt);
    if (rc != BC_OK) return rc;
    *out = bc_push_matrix(L, BC_F32, rows, (int64_t)cqt_stream_frames(w->cqt));
    cqt_stream_take((*out)->data, w->cqt);
    return BC_OK;
}

/* The list of numbers that an option is; returns how many. */
static int check_list(lua_State *L, const char *name, double *list, int count) {
    if (bc_push_option(L, 2, name) == LUA_TNIL) return count;
    lua_Integer n = lua_istable(L, -1) ? luaL_len(L, -1) : -1;
    if (n < 0 || n > CENS_MAX_LEVELS)
        bc_arg_error(L, 2, "option '%s' must be a list of at most %d numbers", name,
                     CENS_MAX_LEVELS);
    for (int i = 0; i < (int)n; i++) {
        lua_geti(L, -1, i + 1);
        if (!lua_isnumber(L, -1) || !isfinite(list[i] = lua_tonumber(L, -1)))
            bc_arg_error(L, 2, "option '%s' must be a list of numbers, got %s", name,
                         luaL_tolstring(L, -1, NULL));
        lua_pop(L, 1);
    }
    return (int)n;
}

static enum cens_norm check_norm(lua_State *L, enum cens_norm fallback) {
    int type = bc_push_option(L, 2, "norm");
    double norm = lua_tonumber(L, -1);
    if (type == LUA_TNIL) return fallback;
    if (type == LUA_TBOOLEAN && !lua_toboolean(L, -1)) return CENS_NORM_NONE;
    if (type == LUA_TNUMBER && norm == 1) return CENS_NORM_1;
    if (type == LUA_TNUMBER && norm == 2) return CENS_NORM_2;
    if (type == LUA_TNUMBER && norm == (double)INFINITY) return CENS_NORM_MAX;
    bc_arg_error(L, 2, "option 'norm' must be 1, 2, math.huge or false, got %s",
                 luaL_tolstring(L, -1, NULL));
    return fallback;
}

static void check_levels(lua_State *L, cens_options *o) {
    double step[CENS_MAX_LEVELS] = {0};
    for (int i = 0; i < o->levels; i++) step[i] = o->step[i];
    int steps = check_list(L, "quant_steps", step, o->levels);
    int weights = check_list(L, "quant_weights", o->weight, o->levels);
    if (steps != weights)
        bc_arg_error(L, 2, "options 'quant_steps' and 'quant_weights' must be equally long, got %d "
                           "and %d", steps, weights);
    for (int i = 0; i < steps; i++) o->step[i] = (float)step[i];
    o->levels = steps;
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
@tparam array|reader|function y samples, 1-D
@tparam table options see above
@treturn array f32 (12, frames), C first; each frame has norm 1 or is zero
@treturn table `tuning`, `sample_rate`, `hop`, `frames_per_second`
@return[2] nil if a source fails
@treturn[2] string message
@usage local c, info = cens.cens(y, {sample_rate = 32000, hop = 3200})
@usage local c = cens.cens(assert(audio.open("day.flac")), {sample_rate = 32000}) */
static int l_cens(lua_State *L) {
    static const char *const names[] = {NAMES, CENS_NAMES, NULL};
    luaL_checktype(L, 2, LUA_TTABLE);
    bc_check_options(L, 2, names);
    cens_options o = cens_defaults();
    o.smoothing = (size_t)check_integer(L, 2, "smoothing", (lua_Integer)o.smoothing, 0);
    o.norm = check_norm(L, o.norm);
    check_levels(L, &o);
    bc_error e;
    bc_array *out;
    work *w = push_work(L);
    int rc = push_cqt(L, w, true, &out, &e);
    if (rc == BC_OK) rc = cens_of_chroma(out->data, (size_t)out->shape[1], &o);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    push_info(L, w->plan);
    return 2;
}

static int chroma_or_cqt(lua_State *L, bool chroma) {
    static const char *const names[] = {NAMES, NULL};
    luaL_checktype(L, 2, LUA_TTABLE);
    bc_check_options(L, 2, names);
    bc_error e;
    bc_array *out;
    work *w = push_work(L);
    int rc = push_cqt(L, w, chroma, &out, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    push_info(L, w->plan);
    return 2;
}

/*** Energy in the twelve pitch classes, not normalised: magnitudes of `cqt`,
added over the octaves and over the three bins of each semitone.
@function chroma
@tparam array|reader|function y samples, 1-D
@tparam table options see above
@treturn array f32 (12, frames), C first
@treturn table as for `cens`
@return[2] nil if a source fails
@treturn[2] string message */
static int l_chroma(lua_State *L) {
    return chroma_or_cqt(L, true);
}

/*** Magnitudes of the constant-Q transform, 36 bins an octave.
@function cqt
@tparam array|reader|function y samples, 1-D
@tparam table options see above
@treturn array f32 (36 * n_octaves, frames), lowest bin first
@treturn table as for `cens`
@return[2] nil if a source fails
@treturn[2] string message */
static int l_cqt(lua_State *L) {
    return chroma_or_cqt(L, false);
}

/*** How far a recording is off concert pitch (A = 440 Hz): the most frequent
deviation of its strong spectral peaks between 150 and 4000 Hz.
@function tuning
@tparam array|reader|function y samples, 1-D
@tparam table options `sample_rate`, Hz; `rewind`
@treturn number -0.5 .. 0.49 in steps of 0.01, fractions of a bin of 36 an octave;
0, and a warning (after `warn "@on"`), if there is no peak
@return[2] nil if a source fails
@treturn[2] string message */
static int l_tuning(lua_State *L) {
    static const char *const names[] = {"sample_rate", "rewind", NULL};
    luaL_checktype(L, 2, LUA_TTABLE);
    bc_check_options(L, 2, names);
    const bc_array *y = check_samples(L);
    double tuning, rate = check_rate(L, 2);
    bc_error e;
    bc_source s;
    if (y == NULL) s = bc_check_source(L, 1, 2, rate, false);
    work *w = push_work(L);
    int rc = estimate(L, &tuning, w, y, &s, rate, &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    lua_pushnumber(L, tuning);
    return 1;
}

/*** The step of CENS between chroma and smoothing: each frame divided by its
sum, then a quarter for each of 0.4, 0.2, 0.1 and 0.05 that is exceeded.
@function quantize
@tparam array chroma (12, frames)
@tparam[opt] table options `quant_steps` and `quant_weights`, as for `cens`
@treturn array f32 (12, frames): by default 0, 0.25, 0.5, 0.75 or 1 */
static int l_quantize(lua_State *L) {
    static const char *const names[] = {"quant_steps", "quant_weights", NULL};
    const bc_array *chroma = bc_check_as(L, 1, BC_F32, 2);
    if (chroma->shape[0] != 12)
        bc_arg_error(L, 1, "12 rows expected, got %I", (lua_Integer)chroma->shape[0]);
    bc_check_options(L, 2, names);
    cens_options o = cens_defaults();
    check_levels(L, &o);
    bc_array *out = bc_push_matrix(L, BC_F32, 12, chroma->shape[1]);
    cens_quantize(out->data, chroma->data, (size_t)chroma->shape[1], &o);
    return 1;
}

BC_EXPORT int luaopen_bclua_cens(lua_State *L);

BC_EXPORT int luaopen_bclua_cens(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"cens", l_cens},     {"chroma", l_chroma},     {"cqt", l_cqt},
        {"tuning", l_tuning}, {"quantize", l_quantize}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
