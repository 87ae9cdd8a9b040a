/* lua_sampling_calls.c: bclua.sampling.call_background, call_measures, call_features. */
#include "../array/lua_array.h"
#include "calls.h"
#include "lua_sampling.h"

static const bc_array *check_mel(lua_State *L, int arg) {
    const bc_array *mel = bc_check_as(L, arg, BC_F32, 2);
    if (mel->shape[0] < 1) bc_arg_error(L, arg, "no bands");
    return mel;
}

/* Push the background of mel with the options at 2. */
static const double *push_background(lua_State *L, const bc_array *mel, int *rc) {
    double quantile = bc_opt_number(L, 2, "quantile", 0.2);
    if (!(quantile >= 0 && quantile <= 1))
        bc_arg_error(L, 2, "option 'quantile' must be 0 to 1, got %f", quantile);
    bc_array *background = bc_push_vector(L, BC_F64, mel->shape[0]);
    *rc = bc_call_background(background->data, mel->data, (size_t)mel->shape[0],
                             (size_t)mel->shape[1], quantile);
    return background->data;
}

/***
The power that is usual in each band of a recording: a quantile over all frames, but no
less than 1e-6 of the mean power.
@function call_background
@tparam bclua.array mel (bands, frames): a power spectrogram, from `spectral.mel`
@tparam[opt] table options `quantile` (0.2)
@treturn bclua.array f64 (bands); zeros without any power
*/
int bc_sampling_call_background(lua_State *L) {
    static const char *const names[] = {"quantile", NULL};
    int rc;
    lua_settop(L, 2);
    bc_check_options(L, 2, names);
    push_background(L, check_mel(L, 1), &rc);
    return rc == BC_OK ? 1 : bc_failure(L, rc, NULL);
}

/***
How much the frames of a recording look like a call rather than like its own
background: energy, the mean over bands of power over the band's background,
and spectral contrast: decibels between
the strongest fifth of the bands and the weakest, over background each.
After Lasseck (BirdCLEF 2013), Sprengel et al. (BirdCLEF 2016) and, for the
contrast, Jiang et al. (ICME 2002). Silence gives -30 and 0.
@function call_measures
@tparam bclua.array mel (bands, frames): a power spectrogram, from `spectral.mel`
@tparam[opt] table options `quantile` (0.2) of all these frames, or `background`, from
`call_background`, of the recording that they are a part of
@treturn bclua.array energy f32 (frames), decibels
@treturn bclua.array contrast f32 (frames), decibels
*/
int bc_sampling_call_measures(lua_State *L) {
    static const char *const names[] = {"quantile", "background", NULL};
    int rc = BC_OK;
    lua_settop(L, 2);
    bc_check_options(L, 2, names);
    const bc_array *mel = check_mel(L, 1);
    const double *background;
    if (bc_push_option(L, 2, "background") == LUA_TNIL) {
        background = push_background(L, mel, &rc);
    } else {
        const bc_array *given = bc_check_as(L, lua_gettop(L), BC_F64, 1);
        if (given->shape[0] != mel->shape[0])
            bc_arg_error(L, 2, "option 'background': %I bands expected, got %I",
                         (lua_Integer)mel->shape[0], (lua_Integer)given->shape[0]);
        background = given->data;
    }
    bc_array *energy = bc_push_vector(L, BC_F32, mel->shape[1]);
    bc_array *contrast = bc_push_vector(L, BC_F32, mel->shape[1]);
    if (rc == BC_OK)
        rc = bc_call_measures(energy->data, contrast->data, mel->data, (size_t)mel->shape[0],
                              (size_t)mel->shape[1], background);
    return rc == BC_OK ? 2 : bc_failure(L, rc, NULL);
}

/***
What stands out in each frame, whatever its level: decibels over the band's median, less the
frame's median over bands where that is negative, none below 0, each frame brought to length 1. The
features `mel` of `extract`: frames of noise are each of their own shape, those of a call alike.
Power below 1e-9 of the mean counts as that much.
@function call_features
@tparam bclua.array mel (bands, frames): a power spectrogram, from `spectral.mel`
@treturn bclua.array f32 (bands, frames); frames without anything have all bands alike
*/
int bc_sampling_call_features(lua_State *L) {
    lua_settop(L, 1);
    const bc_array *mel = check_mel(L, 1);
    bc_array *out = bc_push_matrix(L, BC_F32, mel->shape[0], mel->shape[1]);
    int rc = bc_call_features(out->data, mel->data, (size_t)mel->shape[0], (size_t)mel->shape[1]);
    return rc == BC_OK ? 1 : bc_failure(L, rc, NULL);
}
