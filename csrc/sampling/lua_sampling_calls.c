/* lua_sampling_calls.c: bclua.sampling.call_measures. */
#include "../array/lua_array.h"
#include "calls.h"
#include "lua_sampling.h"

/***
How much the frames of a recording look like a call rather than like its own
background: energy, the mean over bands of power over the band's background (a
quantile of the band over all frames), and spectral contrast: decibels between
the strongest fifth of the bands and the weakest, over background each.
After Lasseck (BirdCLEF 2013), Sprengel et al. (BirdCLEF 2016) and, for the
contrast, Jiang et al. (ICME 2002). Silence gives -30 and 0.
@function call_measures
@tparam bclua.array mel (bands, frames): a power spectrogram, from `spectral.mel`
@tparam[opt] table options `quantile` (0.2)
@treturn bclua.array energy f32 (frames), decibels
@treturn bclua.array contrast f32 (frames), decibels
*/
int bc_sampling_call_measures(lua_State *L) {
    static const char *const names[] = {"quantile", NULL};
    lua_settop(L, 2);
    bc_check_options(L, 2, names);
    double quantile = bc_opt_number(L, 2, "quantile", 0.2);
    if (!(quantile >= 0 && quantile <= 1))
        bc_arg_error(L, 2, "option 'quantile' must be 0 to 1, got %f", quantile);
    const bc_array *mel = bc_check_as(L, 1, BC_F32, 2);
    int64_t bands = mel->shape[0], frames = mel->shape[1];
    if (bands < 1) bc_arg_error(L, 1, "no bands");
    bc_array *energy = bc_push_vector(L, BC_F32, frames);
    bc_array *contrast = bc_push_vector(L, BC_F32, frames);
    int rc = bc_call_measures(energy->data, contrast->data, mel->data, (size_t)bands,
                              (size_t)frames, quantile);
    return rc == BC_OK ? 2 : bc_failure(L, rc, NULL);
}
