/* lua_sampling.c: the module bclua.sampling. */
/***
Seeded random numbers, triplets, tiles and synthetic sound.

Same seed, same result, on any machine and any number of threads.
@module bclua.sampling
*/
#include <math.h>
#include <string.h>

#include "../array/lua_array.h"
#include "../support/lua_support.h"
#include "../support/random.h"
#include "synth.h"
#include "lua_sampling.h"
#include "tiles.h"

#define GENERATOR "bclua.sampling.generator"

static bc_random *check_generator(lua_State *L, int arg) { return luaL_checkudata(L, arg, GENERATOR); }

/* A count at arg, 0 .. 2^40. */
static int64_t check_count(lua_State *L, int arg) {
    lua_Integer n = luaL_checkinteger(L, arg);
    if (n < 0 || n > INT64_C(1) << 40) bc_arg_error(L, arg, "expected a count, got %I", n);
    return n;
}

/***
A generator of random numbers (xoshiro256**).
Streams of one seed are independent of each other: give each worker, round
or item its own.
@function generator
@tparam integer seed
@tparam[opt=0] integer stream
@treturn generator
*/
static int l_generator(lua_State *L) {
    lua_Integer seed = luaL_checkinteger(L, 1), stream = luaL_optinteger(L, 2, 0);
    bc_random *r = lua_newuserdatauv(L, sizeof *r, 0);
    bc_random_seed(r, (uint64_t)seed, (uint64_t)stream);
    luaL_setmetatable(L, GENERATOR);
    return 1;
}

/* A generator, from `generator`. */

static int many(lua_State *L, double (*draw)(bc_random *)) {
    bc_random *r = check_generator(L, 1);
    if (lua_isnoneornil(L, 2)) {
        lua_pushnumber(L, draw(r));
        return 1;
    }
    bc_array *a = bc_push_vector(L, BC_F64, check_count(L, 2));
    for (int64_t i = 0; i < a->shape[0]; i++) ((double *)a->data)[i] = draw(r);
    return 1;
}

/***
Evenly from [0, 1).
@function generator:uniform
@tparam[opt] integer n how many; default: one, as a number
@treturn number|bclua.array f64 (n)
*/
static int g_uniform(lua_State *L) { return many(L, bc_random_uniform); }

/***
From the normal distribution of mean 0 and deviation 1.
@function generator:normal
@tparam[opt] integer n how many; default: one, as a number
@treturn number|bclua.array f64 (n)
*/
static int g_normal(lua_State *L) { return many(L, bc_random_normal); }

/***
Evenly from 1..n, as `math.random(n)`.
@function generator:integer
@tparam integer n 1 or more
@treturn integer
*/
static int g_integer(lua_State *L) {
    bc_random *r = check_generator(L, 1);
    lua_Integer n = luaL_checkinteger(L, 2);
    if (n < 1) bc_arg_error(L, 2, "expected 1 or more, got %I", n);
    lua_pushinteger(L, (lua_Integer)bc_random_below(r, (uint64_t)n) + 1);
    return 1;
}

/***
The numbers 1..n in random order.
@function generator:shuffle
@tparam integer n
@treturn bclua.array i64 (n)
*/
static int g_shuffle(lua_State *L) {
    bc_random *r = check_generator(L, 1);
    bc_array *a = bc_push_vector(L, BC_I64, check_count(L, 2));
    int64_t *x = a->data;
    for (int64_t i = 0; i < a->shape[0]; i++) { /* Fisher and Yates, inside out */
        int64_t j = (int64_t)bc_random_below(r, (uint64_t)i + 1);
        x[i] = x[j];
        x[j] = i + 1;
    }
    return 1;
}

static int g_tostring(lua_State *L) {
    check_generator(L, 1);
    lua_pushliteral(L, GENERATOR);
    return 1;
}

/***
@section functions
*/

static double check_positive(lua_State *L, int arg, const char *what) {
    double x = luaL_checknumber(L, arg);
    if (!(x > 0 && x <= 1e9)) bc_arg_error(L, arg, "%s must be more than 0, got %f", what, x);
    return x;
}

static double check_centre(lua_State *L, double centre) {
    if (!(centre >= 0 && centre <= 1e9) && centre != -1)
        bc_arg_error(L, 3, "centre must be 0 s or more, or -1, got %f", centre);
    return centre;
}

/***
Cut windows out of a recording.
A tile has round(seconds * sample_rate) samples, the first of them number
round((centre_s - seconds/2) * sample_rate); it is silent where it leaves the
recording. Centre -1 means the whole recording in the middle of silence, or
its middle if it is longer than the tile. An empty recording gives silence.
@function cut
@tparam bclua.array y f32 (samples)
@tparam number sample_rate
@tparam number|bclua.array centre_s one centre, or several (k)
@tparam number seconds length of a tile
@treturn bclua.array f32 (length), or (k, length) for several centres
*/
static int l_cut(lua_State *L) {
    const bc_array *y = bc_check_as(L, 1, BC_F32, 1);
    double sample_rate = check_positive(L, 2, "sample rate");
    double seconds = check_positive(L, 4, "seconds");
    int64_t length = (int64_t)floor(seconds * sample_rate + 0.5);
    if (bc_test_array(L, 3) == NULL) {
        double centre = check_centre(L, luaL_checknumber(L, 3));
        bc_array *tile = bc_push_vector(L, BC_F32, length);
        bc_tile_cut(tile->data, length, y->data, y->shape[0], sample_rate, centre, seconds);
        return 1;
    }
    const bc_array *centres = bc_check_as(L, 3, BC_F64, 1);
    const double *centre = centres->data;
    int64_t k = centres->shape[0];
    for (int64_t i = 0; i < k; i++) check_centre(L, centre[i]);
    bc_array *tiles = bc_push_matrix(L, BC_F32, k, length);
    for (int64_t i = 0; i < k; i++)
        bc_tile_cut((float *)tiles->data + i * length, length, y->data, y->shape[0], sample_rate,
                    centre[i], seconds);
    return 1;
}

/***
Crop every row at a random place.
@function crop
@tparam bclua.array tiles f32 (n, samples)
@tparam integer length samples to keep, at most those of a row
@tparam generator generator
@treturn bclua.array f32 (n, length)
@treturn bclua.array i64 (n): samples left out before each
*/
static int l_crop(lua_State *L) {
    const bc_array *tiles = bc_check_as(L, 1, BC_F32, 2);
    lua_Integer length = luaL_checkinteger(L, 2);
    int64_t rows = tiles->shape[0], n = tiles->shape[1];
    if (length < 0 || length > n)
        bc_arg_error(L, 2, "length must be 0 to %I samples, got %I", (lua_Integer)n, length);
    bc_random *r = check_generator(L, 3);
    bc_array *out = bc_push_matrix(L, BC_F32, rows, length);
    bc_array *offset = bc_push_vector(L, BC_I64, rows);
    bc_tile_crop(out->data, offset->data, tiles->data, rows, n, length, r);
    return 2;
}

/* y of the functions that add to it in place. */
static float *check_sound(lua_State *L, int64_t *n, double *sample_rate) {
    const bc_array *y = bc_check_array(L, 1);
    if (y->dtype != BC_F32 || y->ndim != 1 || !bc_array_contiguous(y) || y->readonly)
        bc_arg_error(L, 1, "expected a writable, contiguous f32 array with one axis");
    *sample_rate = check_positive(L, 2, "sample rate");
    *n = y->shape[0];
    return y->data;
}

static double number_in(lua_State *L, int arg, const char *name, double fallback, double low,
                        double high) {
    double x = bc_opt_number(L, arg, name, fallback);
    if (!(x >= low && x <= high))
        bc_arg_error(L, arg, "option '%s' must be %f to %f, got %f", name, low, high, x);
    return x;
}

/***
Add a synthetic syllable to a sound, in place; what lies outside is left out.
@function add_syllable
@tparam bclua.array y f32 (samples)
@tparam number sample_rate
@tparam table options `start_s` (0), `seconds` (0.2), `level` (0.1),
  `start_hz` (2000), `end_hz` (start_hz), `bend` (1: the glide is even in pitch;
  more: it comes late), `vibrato_hz` (0), `vibrato_semitones` (0), `pulse_hz` (0)
  and `pulse_depth` (0): cut into a trill or a buzz, `harmonics` (1), `rolloff`
  (0.5: strength of a harmonic against the one below), `fade_s` (0.01)
@treturn bclua.array y
*/
static int l_add_syllable(lua_State *L) {
    static const char *const names[] = {"start_s",   "seconds",    "level",
                                        "start_hz",  "end_hz",     "bend",
                                        "pulse_hz",  "vibrato_hz", "vibrato_semitones",
                                        "harmonics", "rolloff",    "pulse_depth",
                                        "fade_s",    NULL};
    int64_t n;
    double sample_rate;
    float *y = check_sound(L, &n, &sample_rate);
    bc_check_options(L, 3, names);
    bc_syllable s;
    s.start_s = number_in(L, 3, "start_s", 0, -1e6, 1e6);
    s.seconds = number_in(L, 3, "seconds", 0.2, 0, 1e4);
    s.level = number_in(L, 3, "level", 0.1, 0, 1e6);
    s.start_hz = number_in(L, 3, "start_hz", 2000, 1, 1e6);
    s.end_hz = number_in(L, 3, "end_hz", s.start_hz, 1, 1e6);
    s.bend = number_in(L, 3, "bend", 1, 0.01, 100);
    s.vibrato_hz = number_in(L, 3, "vibrato_hz", 0, 0, 1e6);
    s.vibrato_semitones = number_in(L, 3, "vibrato_semitones", 0, 0, 120);
    s.pulse_hz = number_in(L, 3, "pulse_hz", 0, 0, 1e6);
    s.pulse_depth = number_in(L, 3, "pulse_depth", 0, 0, 1);
    s.harmonics = (int)number_in(L, 3, "harmonics", 1, 1, 1000);
    s.rolloff = number_in(L, 3, "rolloff", 0.5, 0, 1);
    s.fade_s = number_in(L, 3, "fade_s", 0.01, 0, 1e4);
    if (bc_synth_syllable(y, n, sample_rate, &s) == BC_STOPPED)
        return luaL_error(L, "interrupted!");
    lua_settop(L, 1);
    return 1;
}

/***
Add background noise to a sound, in place.
@function add_noise
@tparam bclua.array y f32 (samples)
@tparam number sample_rate
@string kind "wind" (low, in gusts), "rain" (drops), "insects" (a high band)
@tparam generator generator
@tparam[opt] table options `level` (0.05: root mean square at its strongest, of
  rain the peak), `hz` (6500) and `chirp_hz` (20) of insects, `rate` of rain
  (drops a second, 20)
@treturn bclua.array y
*/
static int l_add_noise(lua_State *L) {
    static const char *const kinds[] = {"wind", "rain", "insects", NULL};
    static const char *const names[] = {"level", "hz", "chirp_hz", "rate", NULL};
    int64_t n;
    double sample_rate;
    float *y = check_sound(L, &n, &sample_rate);
    int kind = luaL_checkoption(L, 3, NULL, kinds);
    bc_random *r = check_generator(L, 4);
    bc_check_options(L, 5, names);
    double level = number_in(L, 5, "level", 0.05, 0, 1e6);
    double hz = number_in(L, 5, "hz", 6500, 0, sample_rate / 2);
    double chirp_hz = number_in(L, 5, "chirp_hz", 20, 0, 1e6);
    double rate = number_in(L, 5, "rate", 20, 0, 1e6);
    if (kind == 0) bc_synth_wind(y, n, sample_rate, level, r);
    if (kind == 1 && rate > 0) bc_synth_rain(y, n, sample_rate, level, rate, r);
    if (kind == 2) bc_synth_insects(y, n, sample_rate, level, hz, chirp_hz, r);
    lua_settop(L, 1);
    return 1;
}

/***
Samples in 16 bits, without saturation.
@function quantise
@tparam bclua.array y f32 (samples), finite
@treturn bclua.array i16 (samples); times the scale it is y to within half a step
@treturn number the scale: 1/32767, or max|y|/32767 where y is louder than 1
*/
static int l_quantise(lua_State *L) {
    const bc_array *y = bc_check_as(L, 1, BC_F32, 1);
    const float *samples = y->data;
    int64_t n = y->shape[0];
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(samples[i])) return bc_arg_error(L, 1, "sample %I is not finite", (lua_Integer)i);
    bc_array *out = bc_push_vector(L, BC_I16, n);
    lua_pushnumber(L, bc_tile_quantise(out->data, samples, n));
    return 2;
}

/*** The neighbours: names of the values of `neighbor` in `triplets`.
@field neighbor_names */
/*** The distant ones: names of the values of `distant` in `triplets`.
@field distant_names */
static void set_names(lua_State *L, const char *field, const char *first, const char *second) {
    lua_createtable(L, 2, 0);
    lua_pushstring(L, first);
    lua_rawseti(L, -2, 1);
    lua_pushstring(L, second);
    lua_rawseti(L, -2, 2);
    lua_setfield(L, -2, field);
}

BC_EXPORT int luaopen_bclua_sampling(lua_State *L);
BC_EXPORT int luaopen_bclua_sampling(lua_State *L) {
    static const luaL_Reg functions[] = {{"generator", l_generator},
                                         {"triplets", bc_sampling_triplets},
                                         {"call_background", bc_sampling_call_background},
                                         {"call_measures", bc_sampling_call_measures},
                                         {"call_features", bc_sampling_call_features},
                                         {"measure", bc_sampling_measure},
                                         {"cut", l_cut},
                                         {"crop", l_crop},
                                         {"quantise", l_quantise},
                                         {"add_syllable", l_add_syllable},
                                         {"add_noise", l_add_noise},
                                         {NULL, NULL}};
    static const luaL_Reg methods[] = {{"uniform", g_uniform}, {"normal", g_normal},
                                       {"integer", g_integer}, {"shuffle", g_shuffle},
                                       {NULL, NULL}};
    luaL_newmetatable(L, GENERATOR);
    lua_pushcfunction(L, g_tostring);
    lua_setfield(L, -2, "__tostring");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    set_names(L, "neighbor_names", "self", "group");
    set_names(L, "distant_names", "motif", "clip");
    return 1;
}
