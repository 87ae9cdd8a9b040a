/* calls.c: energy and spectral contrast against a recording's background. */
#include "calls.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

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

int bc_call_background(double *background, const float *mel, size_t bands, size_t frames,
                       double quantile) {
    double total = 0;
    size_t place = frames > 0 ? (size_t)(quantile * (double)(frames - 1) + 0.5) : 0;
    float *scratch = malloc((frames > 0 ? frames : 1) * sizeof *scratch);
    if (scratch == NULL) return BC_NOMEM;
    for (size_t k = 0; k < bands; k++) {
        for (size_t t = 0; t < frames; t++) {
            scratch[t] = sane(mel[k * frames + t]);
            total += scratch[t];
        }
        background[k] = frames > 0 ? bc_select_kth(scratch, frames, place) : 0;
    }
    free(scratch);
    double least = total > 0 ? 1e-6 * total / ((double)bands * (double)frames) : 0;
    for (size_t k = 0; k < bands; k++)
        if (!(background[k] > least)) background[k] = least;
    return BC_OK;
}

int bc_call_measures(float *energy, float *contrast, const float *mel, size_t bands,
                     size_t frames, const double *background) {
    size_t fifth = bands / 5 > 0 ? bands / 5 : 1;
    double *scale = malloc(bands * sizeof *scale);
    float *ratio = malloc(bands * sizeof *ratio);
    bool ok = scale != NULL && ratio != NULL;
    for (size_t k = 0; ok && k < bands; k++) scale[k] = background[k] > 0 ? 1 / background[k] : 0;
    for (size_t t = 0; ok && t < frames; t++) {
        for (size_t k = 0; k < bands; k++)
            ratio[k] = (float)(sane(mel[k * frames + t]) * scale[k]);
        sort(ratio, bands);
        double weak = mean(ratio, fifth), strong = mean(ratio + bands - fifth, fifth);
        energy[t] = decibels(mean(ratio, bands));
        contrast[t] = decibels(strong) - decibels(weak);
    }
    free(scale);
    free(ratio);
    return ok ? BC_OK : BC_NOMEM;
}
