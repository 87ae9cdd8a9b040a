/* lua_spectral.c: the module bclua.spectral. */
/***
Spectrograms, as librosa computes them.

Samples are one-dimensional arrays of any dtype (converted to f32, not
scaled). Results are f32 and have frequency first, (bins, frames); frame t is
centred on sample t*hop unless `pad` is "none". No samples give no frames;
a NaN or infinite sample makes the frames that it is in NaN.

`stft`, `spectrogram`, `mel` and `log_mel` also take a source that is read block
by block, as `bclua.cens` describes it; the result is that of the whole, to the
bit. With the option `each` it is not kept but handed over part by part, so
that memory is bounded whatever the length: `each(part, first)` gets (bins, some
frames) and the number of the first of these frames, from 0; that of `stft`
gets (re, im, first). `pcen` goes on from its `state`, and so does `power_to_db`
of parts with a `ref` that is a number and without `top_db`. Only what looks at
the largest value, `ref` "max" and `top_db`, needs the whole.
@module bclua.spectral
*/
#include <math.h>
#include <string.h>

#include "../array/lua_array.h"
#include "../support/lua_support.h"
#include "compress.h"
#include "fft.h"
#include "lua_source.h"
#include "mel.h"
#include "stft.h"

#define WORK "bclua.spectral.work"

static const char *const pads[] = {"constant", "reflect", "none", NULL};

/* An integer option in low..high. */
static size_t size_option(lua_State *L, int arg, const char *name, lua_Integer fallback,
                          lua_Integer low, lua_Integer high) {
    lua_Integer n = bc_opt_integer(L, arg, name, fallback);
    if (n < low || n > high)
        bc_arg_error(L, arg, "option '%s' must be %I..%I, got %I", name, low, high, n);
    return (size_t)n;
}

static double number_option(lua_State *L, int arg, const char *name, double fallback,
                            bool (*good)(double), const char *expected) {
    double x = bc_opt_number(L, arg, name, fallback);
    if (!good(x)) bc_arg_error(L, arg, "option '%s' must be %s, got %f", name, expected, x);
    return x;
}

static bool is_positive(double x) {
    return x > 0 && isfinite(x);
}

static bool is_not_negative(double x) {
    return x >= 0 && isfinite(x);
}

static bool is_range(double x) {
    return x >= 0; /* infinity, too */
}

static lua_Integer n_fft_option(lua_State *L, int arg, lua_Integer least) {
    return (lua_Integer)size_option(L, arg, "n_fft", 2048, least, 1 << 26);
}

static enum stft_window window_option(lua_State *L, int arg) {
    static const char *const windows[] = {"hann", "hamming", "blackman", "ones", NULL};
    return (enum stft_window)bc_opt_choice(L, arg, "window", STFT_HANN, windows);
}

static stft_options stft_table(lua_State *L, int arg) {
    lua_Integer n_fft = n_fft_option(L, arg, 1);
    stft_options o = {.n_fft = (size_t)n_fft};
    o.hop = size_option(L, arg, "hop", n_fft < 4 ? 1 : n_fft / 4, 1, INT32_MAX);
    o.win_length = size_option(L, arg, "win_length", n_fft, 1, n_fft);
    o.window = window_option(L, arg);
    o.pad = (enum mel_pad)bc_opt_choice(L, arg, "pad", MEL_PAD_CONSTANT, pads);
    return o;
}

/* What a call holds on to: one of the streams. */
typedef struct work {
    mel_plan *plan;
    mel_stream *mel;
    stft_stream *stft;
    size_t rows;
    double power; /* of the magnitudes; 0: complex numbers, two arrays */
    const decibel_options *decibels;
} work;

static int l_free_work(lua_State *L) {
    work *w = luaL_checkudata(L, 1, WORK);
    mel_stream_free(w->mel);
    stft_stream_free(w->stft);
    mel_plan_free(w->plan);
    *w = (work){0};
    return 0;
}

/* Freed with the call's return. */
static work *push_work(lua_State *L) {
    return bc_push_closing(L, sizeof(work), WORK, l_free_work);
}

static size_t ready(const work *w) {
    return w->mel != NULL ? mel_stream_ready(w->mel) : stft_stream_ready(w->stft);
}

/* Push the frames that are complete; returns how many arrays. */
static int push_ready(lua_State *L, work *w) {
    const int64_t rows = (int64_t)w->rows, frames = (int64_t)ready(w);
    const bool is_complex = w->mel == NULL && w->power == 0;
    bc_array *out = bc_push_matrix(L, BC_F32, rows, frames);
    bc_array *im = is_complex ? bc_push_matrix(L, BC_F32, rows, frames) : NULL;
    if (w->mel != NULL)
        mel_stream_take(out->data, w->mel);
    else
        stft_stream_take(out->data, im != NULL ? im->data : NULL, w->stft);
    if (w->decibels != NULL)
        power_to_db(out->data, out->data, (size_t)bc_array_count(out), w->decibels);
    return is_complex ? 2 : 1;
}

/* A stream whose frames may go to the function `each` of the options at 2. */
typedef struct listener {
    lua_State *L;
    work *w;
    bool each;
    size_t at_once;     /* frames */
    lua_Integer frames; /* that it got */
} listener;

static void tell(listener *l) {
    lua_State *L = l->L;
    lua_Integer count = (lua_Integer)ready(l->w);
    if (count == 0) return;
    bc_push_option(L, 2, "each");
    int arrays = push_ready(L, l->w);
    lua_pushinteger(L, l->frames);
    lua_call(L, arrays + 1, 0);
    l->frames += count;
}

static int take(void *context, const float *samples, size_t n) {
    enum { AT_ONCE = 1 << 16 }; /* a large block may complete many frames */
    listener *l = context;
    int rc = BC_OK;
    while (rc == BC_OK && n > 0) {
        size_t part = n < AT_ONCE ? n : AT_ONCE;
        rc = l->w->mel != NULL ? mel_stream_push(l->w->mel, samples, part)
                               : stft_stream_push(l->w->stft, samples, part);
        if (rc == BC_OK && l->each && ready(l->w) >= l->at_once) tell(l);
        samples += part;
        n -= part;
    }
    return rc;
}

/* Is there a source at 1? Also judges the option `each`. */
static bool check_source(lua_State *L) {
    bool is_source = bc_is_source(L, 1);
    int type = bc_push_option(L, 2, "each");
    if (type != LUA_TNIL && (type != LUA_TFUNCTION || !is_source))
        bc_arg_error(L, 2, "option 'each' must be a function, and is for samples from a source");
    lua_pop(L, 1);
    return is_source;
}

/* Return what comes of the source at 1 through the stream of w: the frames, or how
 * many of them `each` got. */
static int return_stream(lua_State *L, work *w, double sample_rate) {
    enum { FLOATS = 1 << 18 }; /* to hand over at once */
    listener l = {.L = L, .w = w, .each = bc_has_option(L, 2, "each")};
    l.at_once = w->rows < FLOATS / 256 ? 256 : FLOATS / w->rows + 1;
    bc_source s = bc_check_source(L, 1, 2, sample_rate, true);
    bc_error e;
    int rc = bc_source_read(L, &s, false, take, &l, &e);
    if (rc == BC_OK) rc = w->mel != NULL ? mel_stream_finish(w->mel) : stft_stream_finish(w->stft);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    if (!l.each) return push_ready(L, w);
    tell(&l);
    lua_pushinteger(L, l.frames);
    return 1;
}

/* The transform of what is at 1 with the options at 2; power 0: complex. */
static int return_stft(lua_State *L, double power) {
    const stft_options o = stft_table(L, 2);
    const size_t bins = o.n_fft / 2 + 1;
    if (check_source(L)) {
        work *w = push_work(L);
        w->rows = bins;
        w->power = power;
        int rc = stft_stream_new(&w->stft, power, &o);
        return rc == BC_OK ? return_stream(L, w, 0) : bc_failure(L, rc, NULL);
    }
    const bc_array *y = bc_check_as(L, 1, BC_F32, 1);
    const size_t n = (size_t)y->shape[0];
    const int64_t frames = (int64_t)stft_frames(&o, n);
    bc_array *re = bc_push_matrix(L, BC_F32, (int64_t)bins, frames);
    bc_array *im = power == 0 ? bc_push_matrix(L, BC_F32, (int64_t)bins, frames) : NULL;
    int rc = power == 0 ? stft_complex(re->data, im->data, y->data, n, &o)
                        : stft_magnitude(re->data, power, y->data, n, &o);
    if (rc != BC_OK) return bc_failure(L, rc, NULL);
    return power == 0 ? 2 : 1;
}

#define STFT_NAMES "n_fft", "hop", "window", "win_length", "pad", "each"

/*** Short-time Fourier transform.
@function stft
@tparam array|reader|function y samples, 1-D, or a source of them
@tparam[opt] table options `n_fft` (2048), `hop` (n_fft // 4), `window` ("hann",
"hamming" or "blackman", periodic; "ones"), `win_length` (n_fft: of the window, with zeros around
it), `pad` ("constant", "reflect" or "none"); with a source, `each`
@treturn array real part, f32 (n_fft // 2 + 1, frames); with `each`, the number of
frames and no more
@treturn array imaginary part, the same shape
@return[2] nil if a source fails
@treturn[2] string message
@usage local re, im = spectral.stft(y, {n_fft = 1024}) */
static int l_stft(lua_State *L) {
    static const char *const names[] = {STFT_NAMES, NULL};
    lua_settop(L, 2);
    bc_check_options(L, 2, names);
    return return_stft(L, 0);
}

/*** Magnitudes of the short-time Fourier transform, to a power.
@function spectrogram
@tparam array|reader|function y samples, 1-D, or a source of them
@tparam[opt] table options those of `stft`, and `power` (2)
@treturn array f32 (n_fft // 2 + 1, frames); with `each`, the number of frames
@return[2] nil if a source fails
@treturn[2] string message */
static int l_spectrogram(lua_State *L) {
    static const char *const names[] = {STFT_NAMES, "power", NULL};
    lua_settop(L, 2);
    bc_check_options(L, 2, names);
    return return_stft(L, number_option(L, 2, "power", 2, is_positive, "positive"));
}

#define MEL_NAMES \
    "sample_rate", "n_fft", "hop", "window", "win_length", "n_mels", "fmin", "fmax", "htk", "norm", "pad"

static mel_options mel_table(lua_State *L, int arg) {
    static const char *const norms[] = {"slaney", "none", NULL};
    mel_options o = mel_defaults();
    if (!bc_has_option(L, arg, "sample_rate"))
        bc_arg_error(L, arg, "option 'sample_rate' (Hz) is missing");
    o.sample_rate = number_option(L, arg, "sample_rate", 0, is_positive, "positive");
    lua_Integer n_fft = n_fft_option(L, arg, 2);
    o.n_fft = (size_t)n_fft;
    o.hop = size_option(L, arg, "hop", n_fft < 4 ? 1 : n_fft / 4, 1, INT32_MAX);
    o.win_length = size_option(L, arg, "win_length", n_fft, 1, n_fft);
    o.window = window_option(L, arg);
    o.n_mels = size_option(L, arg, "n_mels", 128, 1, 65536);
    o.fmin = number_option(L, arg, "fmin", 0, is_not_negative, "0 or more");
    o.fmax = number_option(L, arg, "fmax", o.sample_rate / 2, is_positive, "positive");
    o.htk = bc_opt_boolean(L, arg, "htk", false);
    o.norm = (enum mel_norm)bc_opt_choice(L, arg, "norm", MEL_UNIT_AREA, norms);
    o.pad = (enum mel_pad)bc_opt_choice(L, arg, "pad", MEL_PAD_CONSTANT, pads);
    return o;
}

/* Push a plan for the options at arg; freed with the call's return. */
static work *push_plan(lua_State *L, int arg) {
    mel_options o = mel_table(L, arg);
    work *w = push_work(L);
    bc_error e;
    int rc = mel_plan_new(&w->plan, &o, &e);
    if (rc == BC_FAIL) bc_arg_error(L, arg, "option %s", e.text);
    if (rc != BC_OK) bc_failure(L, rc, NULL);
    const size_t empty = mel_empty(w->plan);
    if (empty > 0) {
        lua_pushfstring(L, "spectral: %I of %I mel bands are narrower than the spectrum and always 0: "
                           "a larger n_fft, or fewer n_mels", (lua_Integer)empty, (lua_Integer)o.n_mels);
        lua_warning(L, lua_tostring(L, -1), 0);
        lua_pop(L, 1);
    }
    return w;
}

/*** The matrix that turns a power spectrum into mel bands.
@function mel_filterbank
@tparam table options `sample_rate` (Hz, required), `n_fft` (2048), `n_mels` (128),
`fmin` (0), `fmax` (sample_rate / 2), `htk` (false: Slaney's scale), `norm`
("slaney": each triangle has area 1 over Hz; "none": peak 1). Bands without a bin are always 0,
and said in a warning (after `warn "@on"`)
@treturn array f32 (n_mels, n_fft // 2 + 1) */
static int l_mel_filterbank(lua_State *L) {
    static const char *const names[] = {MEL_NAMES, NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    bc_check_options(L, 1, names);
    const mel_plan *p = push_plan(L, 1)->plan;
    size_t bands = mel_bands(p), bins = mel_bins(p);
    bc_array *out = bc_push_matrix(L, BC_F32, (int64_t)bands, (int64_t)bins);
    memcpy(out->data, mel_matrix(p), bands * bins * sizeof(float));
    return 1;
}

/*** Frequencies that are evenly spaced in mel.
@function mel_frequencies
@tparam integer n how many
@tparam[opt=0] number fmin Hz, the first
@tparam number fmax Hz, the last
@tparam[opt=false] boolean htk
@treturn array f64 (n), Hz */
static int l_mel_frequencies(lua_State *L) {
    lua_Integer n = luaL_checkinteger(L, 1);
    double fmin = luaL_optnumber(L, 2, 0), fmax = luaL_checknumber(L, 3);
    bool htk = lua_toboolean(L, 4);
    luaL_argcheck(L, n >= 0, 1, "0 or more expected");
    luaL_argcheck(L, is_not_negative(fmin), 2, "0 or more expected");
    luaL_argcheck(L, isfinite(fmax) && fmax >= fmin, 3, "fmin or more expected");
    bc_array *out = bc_push_vector(L, BC_F64, n);
    mel_frequencies(out->data, (size_t)n, fmin, fmax, htk);
    return 1;
}

/* The mel spectrogram of what is at 1 with the options at 2. */
static int return_mel(lua_State *L, const decibel_options *decibels) {
    bool is_source = check_source(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    work *w = push_plan(L, 2);
    w->rows = mel_bands(w->plan);
    w->decibels = decibels;
    if (is_source) {
        int rc = mel_stream_new(&w->mel, w->plan);
        if (rc != BC_OK) return bc_failure(L, rc, NULL);
        return return_stream(L, w, bc_opt_number(L, 2, "sample_rate", 0));
    }
    const bc_array *y = bc_check_as(L, 1, BC_F32, 1);
    size_t n = (size_t)y->shape[0];
    bc_array *out =
        bc_push_matrix(L, BC_F32, (int64_t)w->rows, (int64_t)mel_frames(w->plan, n));
    int rc = mel_spectrogram(out->data, y->data, n, w->plan);
    if (rc == BC_OK && decibels != NULL)
        power_to_db(out->data, out->data, (size_t)bc_array_count(out), decibels);
    return rc == BC_OK ? 1 : bc_failure(L, rc, NULL);
}

/*** Power mel spectrogram.
@function mel
@tparam array|reader|function y samples, 1-D, or a source of them
@tparam table options those of `mel_filterbank` and `stft`; with a
source, `each`
@treturn array f32 (n_mels, frames); with `each`, the number of frames
@return[2] nil if a source fails
@treturn[2] string message
@usage local m = spectral.mel(y, {sample_rate = 32000, n_fft = 4096, pad = "reflect"}) */
static int l_mel(lua_State *L) {
    static const char *const names[] = {MEL_NAMES, "each", NULL};
    bc_check_options(L, 2, names);
    return return_mel(L, NULL);
}

#define DECIBEL_NAMES "ref", "amin", "top_db"

static decibel_options decibel_table(lua_State *L, int arg) {
    decibel_options o = decibel_defaults();
    int type = bc_push_option(L, arg, "ref");
    if (type == LUA_TSTRING && strcmp(lua_tostring(L, -1), "max") == 0)
        o.reference = 0;
    else if (type != LUA_TNIL && !(lua_isnumber(L, -1) && is_positive(lua_tonumber(L, -1))))
        bc_arg_error(L, arg, "option 'ref' must be a positive number or \"max\", got %s",
                     luaL_tolstring(L, -1, NULL));
    else if (type != LUA_TNIL)
        o.reference = lua_tonumber(L, -1);
    lua_pop(L, 1);
    o.floor = number_option(L, arg, "amin", o.floor, is_positive, "positive");
    o.range = number_option(L, arg, "top_db", o.range, is_range, "0 or more");
    return o;
}

/*** Decibels of a power spectrogram: 10 log10(s / ref).
@function power_to_db
@tparam array s any shape; negative values and NaN count as `amin`
@tparam[opt] table options `ref` (1; "max": the largest finite value), `amin` (1e-10),
`top_db` (80: nothing is further below the largest value; math.huge: no limit)
@treturn array f32, the same shape */
static int l_power_to_db(lua_State *L) {
    static const char *const names[] = {DECIBEL_NAMES, NULL};
    const bc_array *s = bc_check_as(L, 1, BC_F32, 0);
    bc_check_options(L, 2, names);
    decibel_options o = decibel_table(L, 2);
    bc_array *out = bc_push_array(L, BC_F32, s->ndim, s->shape);
    power_to_db(out->data, s->data, (size_t)bc_array_count(s), &o);
    return 1;
}

/*** Mel spectrogram in decibels.
@function log_mel
@tparam array|reader|function y samples, 1-D, or a source of them
@tparam table options those of `mel` and of `power_to_db`; `each` needs a `ref` that
is a number and `top_db` math.huge, since the largest value is not known before
the end
@treturn array f32 (n_mels, frames); with `each`, the number of frames
@return[2] nil if a source fails
@treturn[2] string message */
static int l_log_mel(lua_State *L) {
    static const char *const names[] = {MEL_NAMES, DECIBEL_NAMES, "each", NULL};
    bc_check_options(L, 2, names);
    decibel_options o = decibel_table(L, 2);
    if (bc_has_option(L, 2, "each") && (o.reference == 0 || isfinite(o.range)))
        bc_arg_error(L, 2, "option 'ref', a number, and 'top_db', math.huge, expected with 'each'");
    return return_mel(L, &o);
}

/*** Mel-frequency cepstral coefficients: the first of the orthonormal cosine transform (DCT-II) over
the bands of each frame, as librosa.feature.mfcc of `S`.
@function mfcc
@tparam array s (n_mels, frames), in decibels: from `log_mel`
@tparam[opt] table options `n_mfcc` (20, at most n_mels)
@treturn array f32 (n_mfcc, frames)
@usage local c = spectral.mfcc(spectral.log_mel(y, {sample_rate = 22050, hop = 512}), {n_mfcc = 13}) */
static int l_mfcc(lua_State *L) {
    static const char *const names[] = {"n_mfcc", NULL};
    const bc_array *s = bc_check_as(L, 1, BC_F32, 2);
    bc_check_options(L, 2, names);
    const int64_t bands = s->shape[0], frames = s->shape[1];
    luaL_argcheck(L, bands > 0, 1, "at least one band expected");
    const size_t count = size_option(L, 2, "n_mfcc", bands < 20 ? bands : 20, 1, bands);
    bc_array *out = bc_push_matrix(L, BC_F32, (int64_t)count, frames);
    const int rc = cosine_transform(out->data, s->data, count, (size_t)bands, (size_t)frames);
    return rc == BC_OK ? 1 : bc_failure(L, rc, NULL);
}

/* Push a copy of the option `state`, or that of a new signal. */
static bc_array *push_state(lua_State *L, int64_t bands) {
    bc_array *state = bc_push_vector(L, BC_F64, bands);
    if (bc_push_option(L, 2, "state") == LUA_TNIL) {
        for (int64_t i = 0; i < bands; i++) bc_array_put(state, i, 1);
    } else {
        const bc_array *given = bc_test_array(L, -1);
        if (given == NULL || given->ndim != 1 || given->shape[0] != bands)
            bc_arg_error(L, 2, "option 'state' must be an array of %I bands, got %s",
                         (lua_Integer)bands, luaL_tolstring(L, -1, NULL));
        bc_array_copy(state, given);
    }
    lua_pop(L, 1);
    return state;
}

/*** Per-channel energy normalisation of a (mel) spectrogram.
@function pcen
@tparam array s (bands, frames), not negative
@tparam[opt] table options `sample_rate` (22050), `hop` (512), `time_constant` (0.4 s),
`gain` (0.98), `bias` (2), `power` (0.5), `eps` (1e-6); `state`: the second result
for the frames before these, so that parts give what the whole gives, to the bit
@treturn array f32, the same shape
@treturn array f64 (bands), the state after the last frame */
static int l_pcen(lua_State *L) {
    static const char *const names[] = {"sample_rate", "hop",   "time_constant", "gain",
                                        "bias",        "power", "eps",           "state",
                                        NULL};
    const bc_array *s = bc_check_as(L, 1, BC_F32, 2);
    bc_check_options(L, 2, names);
    pcen_options o = pcen_defaults();
    o.sample_rate = number_option(L, 2, "sample_rate", o.sample_rate, is_positive, "positive");
    o.hop = number_option(L, 2, "hop", o.hop, is_positive, "positive");
    o.time_constant =
        number_option(L, 2, "time_constant", o.time_constant, is_positive, "positive");
    o.gain = number_option(L, 2, "gain", o.gain, is_not_negative, "0 or more");
    o.bias = number_option(L, 2, "bias", o.bias, is_not_negative, "0 or more");
    o.power = number_option(L, 2, "power", o.power, is_not_negative, "0 or more");
    o.eps = number_option(L, 2, "eps", o.eps, is_positive, "positive");
    bc_array *out = bc_push_array(L, BC_F32, 2, s->shape);
    bc_array *state = push_state(L, s->shape[0]);
    pcen(out->data, state->data, s->data, (size_t)s->shape[0], (size_t)s->shape[1], &o);
    return 2;
}

/*** The library underneath.
@function version
@treturn string */
static int l_version(lua_State *L) {
    lua_pushstring(L, fft_library());
    return 1;
}

BC_EXPORT int luaopen_bclua_spectral(lua_State *L);

BC_EXPORT int luaopen_bclua_spectral(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"version", l_version},
        {"stft", l_stft},
        {"spectrogram", l_spectrogram},
        {"mel_filterbank", l_mel_filterbank},
        {"mel_frequencies", l_mel_frequencies},
        {"mel", l_mel},
        {"log_mel", l_log_mel},
        {"power_to_db", l_power_to_db},
        {"mfcc", l_mfcc},
        {"pcen", l_pcen},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
