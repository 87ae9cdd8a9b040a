/* calls.c: energy and spectral contrast against a recording's background. */
#include "calls.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/select.h"

static float sane(float x) { return x > 0 && isfinite(x) ? x : 0; }

static void sort(float *x, size_t n) { /* few, and nearly the same order each time */
    for (size_t i = 1; i < n; i++) {
        float v = x[i];
        size_t j = i;
        for (; j > 0 && x[j - 1] > v; j--) x[j] = x[j - 1];
        x[j] = v;
    }
}

static double mean(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

static float decibels(double ratio) { return (float)(10 * log10(ratio > 1e-3 ? ratio : 1e-3)); }

/* 1 / background of each band; 0 for all if there is no power at all. */
static void set_scales(double *scale, float *scratch, const float *mel, size_t bands,
                       size_t frames, double quantile) {
    double total = 0;
    size_t place = (size_t)(quantile * (double)(frames - 1) + 0.5);
    for (size_t k = 0; k < bands; k++) {
        for (size_t t = 0; t < frames; t++) {
            scratch[t] = sane(mel[k * frames + t]);
            total += scratch[t];
        }
        scale[k] = bc_select_kth(scratch, frames, place);
    }
    double least = 1e-6 * total / ((double)bands * (double)frames);
    for (size_t k = 0; k < bands; k++)
        scale[k] = total > 0 ? 1 / (scale[k] > least ? scale[k] : least) : 0;
}

int bc_call_measures(float *energy, float *contrast, const float *mel, size_t bands,
                     size_t frames, double quantile) {
    if (frames == 0) return BC_OK;
    int rc = BC_NOMEM;
    size_t fifth = bands / 5 > 0 ? bands / 5 : 1;
    double *scale = malloc(bands * sizeof *scale);
    float *scratch = malloc((frames > bands ? frames : bands) * sizeof *scratch);
    if (scale == NULL || scratch == NULL) goto out;
    set_scales(scale, scratch, mel, bands, frames, quantile);
    for (size_t t = 0; t < frames; t++) {
        for (size_t k = 0; k < bands; k++)
            scratch[k] = (float)(sane(mel[k * frames + t]) * scale[k]);
        sort(scratch, bands);
        double weak = mean(scratch, fifth), strong = mean(scratch + bands - fifth, fifth);
        energy[t] = decibels(mean(scratch, bands));
        contrast[t] = decibels(strong) - decibels(weak);
    }
    rc = BC_OK;
out:
    free(scale);
    free(scratch);
    return rc;
}
