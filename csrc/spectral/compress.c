/* compress.c: decibels and per-channel energy normalisation. */
#include "compress.h"

#include <math.h>
#include <stdlib.h>

decibel_options decibel_defaults(void) {
    return (decibel_options){1, 1e-10, 80};
}

pcen_options pcen_defaults(void) {
    return (pcen_options){22050, 512, 0.4, 0.98, 2, 0.5, 1e-6};
}

void power_to_db(float *out, const float *in, size_t n, const decibel_options *o) {
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        if (in[i] > largest && isfinite(in[i])) largest = in[i];
    largest = fmax(largest, o->floor);
    double zero = 10 * log10(o->reference > 0 ? fmax(o->reference, o->floor) : largest);
    double lowest = 10 * log10(largest) - zero - o->range;
    for (size_t i = 0; i < n; i++) {
        double db = 10 * log10(fmax(in[i], o->floor)) - zero; /* fmax: NaN loses */
        out[i] = (float)fmax(db, lowest);
    }
}

static double compressed(double energy, double past, const pcen_options *o) {
    double smooth = exp(-o->gain * (log(o->eps) + log1p(past / o->eps)));
    if (o->power == 0) return log1p(energy * smooth);
    if (o->bias == 0) return exp(o->power * (log(energy) + log(smooth)));
    return pow(o->bias, o->power) * expm1(o->power * log1p(energy * smooth / o->bias));
}

void pcen(float *out, double *state, const float *in, size_t bands, size_t frames,
          const pcen_options *o) {
    /* b solves b^2 + (1 - b) / T - 2 = 0 with T the time constant in frames. */
    double t = o->time_constant * o->sample_rate / o->hop;
    double b = (sqrt(1 + 4 * t * t) - 1) / (2 * t * t);
    for (size_t m = 0; m < bands; m++) {
        double past = state[m];
        for (size_t i = m * frames; i < (m + 1) * frames; i++) {
            past = (1 - b) * past + b * in[i];
            out[i] = (float)compressed(in[i], past, o);
        }
        state[m] = past;
    }
}

int cosine_transform(float *out, const float *in, size_t count, size_t bands, size_t frames) {
    const double n = (double)bands;
    double *sum = malloc((frames > 0 ? frames : 1) * sizeof *sum);
    if (sum == NULL) return BC_NOMEM;
    for (size_t c = 0; c < count; c++) {
        const double scale = sqrt((c == 0 ? 1 : 2) / n);
        for (size_t t = 0; t < frames; t++) sum[t] = 0;
        for (size_t b = 0; b < bands; b++) {
            const double w = scale * cos(M_PI * (double)c * (2 * (double)b + 1) / (2 * n));
            for (size_t t = 0; t < frames; t++) sum[t] += w * (double)in[b * frames + t];
        }
        for (size_t t = 0; t < frames; t++) out[c * frames + t] = (float)sum[t];
    }
    free(sum);
    return BC_OK;
}
