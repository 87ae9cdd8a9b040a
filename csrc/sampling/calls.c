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

/* This share of the mean power. */
static double share_of_power(double share, const float *mel, size_t bands, size_t frames) {
    double total = 0;
    for (size_t i = 0; i < bands * frames; i++) total += sane(mel[i]);
    return total > 0 ? share * total / ((double)bands * (double)frames) : 0;
}

/* The quantile of each band, but no less than `least`. */
static int usual_power(double *background, const float *mel, size_t bands, size_t frames,
                       double quantile, double least) {
    size_t place = frames > 0 ? (size_t)(quantile * (double)(frames - 1) + 0.5) : 0;
    float *scratch = malloc((frames > 0 ? frames : 1) * sizeof *scratch);
    if (scratch == NULL) return BC_NOMEM;
    for (size_t k = 0; k < bands; k++) {
        for (size_t t = 0; t < frames; t++) scratch[t] = sane(mel[k * frames + t]);
        background[k] = frames > 0 ? bc_select_kth(scratch, frames, place) : 0;
    }
    free(scratch);
    for (size_t k = 0; k < bands; k++)
        if (!(background[k] > least)) background[k] = least;
    return BC_OK;
}

int bc_call_background(double *background, const float *mel, size_t bands, size_t frames,
                       double quantile) {
    return usual_power(background, mel, bands, frames, quantile,
                       share_of_power(1e-6, mel, bands, frames));
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

/* One frame of bc_call_features, whose bands are `stride` apart; scratch has room for all. */
static void stand_out(float *out, const float *mel, size_t bands, size_t stride,
                      const double *background, double least, float *scratch) {
    for (size_t k = 0; k < bands; k++) {
        const double power = sane(mel[k * stride]);
        scratch[k] = least > 0 ? decibels((power > least ? power : least) / background[k]) : 0;
        out[k * stride] = scratch[k];
    }
    float shift = bc_select_kth(scratch, bands, bands / 2);
    double squares = 0;
    if (shift > 0) shift = 0;
    for (size_t k = 0; k < bands; k++) {
        float x = out[k * stride] - shift;
        x = x > 0 ? x : 0;
        out[k * stride] = x;
        squares += (double)x * x;
    }
    const double scale = squares > 0 ? 1 / sqrt(squares) : 0, even = 1 / sqrt((double)bands);
    for (size_t k = 0; k < bands; k++)
        out[k * stride] = (float)(squares > 0 ? out[k * stride] * scale : even);
}

int bc_call_features(float *out, const float *mel, size_t bands, size_t frames) {
    float *scratch = malloc(bands * sizeof *scratch);
    double *background = malloc(bands * sizeof *background);
    const double least = share_of_power(1e-9, mel, bands, frames);
    int rc = BC_NOMEM;
    if (scratch == NULL || background == NULL) goto out;
    rc = usual_power(background, mel, bands, frames, 0.5, least);
    for (size_t t = 0; rc == BC_OK && t < frames; t++)
        stand_out(out + t, mel + t, bands, frames, background, least, scratch);
out:
    free(scratch);
    free(background);
    return rc;
}
