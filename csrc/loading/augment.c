/* augment.c: changes to a crop, drawn at random. */
#include "augment.h"

#include <math.h>

static double between(double low, double high, double u) {
    return low + (high - low) * u;
}

void bc_effects_draw(bc_draw *d, const bc_effects *x, bc_random *r) {
    double u[7];
    for (int i = 0; i < 7; i++) u[i] = bc_random_uniform(r);
    d->place = u[0];
    d->pitch = x->pitch > 0 ? between(-x->pitch, x->pitch, u[1]) : NAN;
    d->mix_db = x->mix ? between(x->mix_db[0], x->mix_db[1], u[2]) : NAN;
    d->mix_file = u[3];
    d->mix_place = u[4];
    d->noise_db = x->noise ? between(x->noise_db[0], x->noise_db[1], u[5]) : NAN;
    d->gain_db = x->gain_db > 0 ? between(-x->gain_db, x->gain_db, u[6]) : NAN;
}

/* Mean of the squares of y (n); of none 0. Sums over 8 lanes, in their order: they vectorise,
 * and stay the same. */
static double power_of(const float *y, int64_t n) {
    double lane[8] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int l = 0; l < 8; l++) lane[l] += (double)y[i + l] * y[i + l];
    for (; i < n; i++) sum += (double)y[i] * y[i];
    for (int l = 0; l < 8; l++) sum += lane[l];
    return n > 0 ? sum / (double)n : 0;
}

void bc_mix(float *y, const float *other, int64_t n, double ratio_db) {
    double a = power_of(y, n), b = power_of(other, n);
    if (!(a > 0 && b > 0)) return;
    float factor = (float)sqrt(a / b * pow(10, -ratio_db / 10));
    for (int64_t i = 0; i < n; i++) y[i] += factor * other[i];
}

void bc_add_noise(float *y, int64_t n, double ratio_db, bc_random *r) {
    double deviation = sqrt(power_of(y, n) * pow(10, -ratio_db / 10));
    if (!(deviation > 0)) return;
    for (int64_t i = 0; i < n; i++) y[i] += (float)(deviation * bc_random_normal(r));
}

void bc_gain(float *y, int64_t n, double gain_db) {
    float factor = (float)pow(10, gain_db / 20);
    for (int64_t i = 0; i < n; i++) y[i] *= factor;
}
