/* adamw.c: AdamW and the norm of a gradient. */
#include "adamw.h"

#include <math.h>

#include "../../support/cpu.h"
#include "real.h"

BC_EACH_CPU(extern, NN(nn_adamw_step),
            (real *w, real *m, real *v, const real *g, const nn_adamw *o, size_t n),
            (w, m, v, g, o, n)) {
    double correct1 = 1 - pow(o->beta1, (double)o->step),
           correct2 = 1 - pow(o->beta2, (double)o->step);
    real keep = (real)(1 - o->lr * o->weight_decay), rate = (real)(o->lr / correct1);
    real b1 = (real)o->beta1, b2 = (real)o->beta2, c1 = (real)(1 - o->beta1),
         c2 = (real)(1 - o->beta2);
    real root = (real)(1 / sqrt(correct2)), eps = (real)o->eps, scale = (real)o->scale;
    BC_INDEPENDENT
    for (size_t i = 0; i < n; i++) {
        real d = scale * g[i];
        m[i] = b1 * m[i] + c1 * d;
        v[i] = b2 * v[i] + c2 * d * d;
        w[i] = w[i] * keep - rate * m[i] / ((real)sqrt(v[i]) * root + eps);
    }
}

double NN(nn_sum_squares)(const real *x, size_t n) {
    double lane[16] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) lane[j] += (double)x[i + j] * (double)x[i + j];
    for (; i < n; i++) lane[0] += (double)x[i] * (double)x[i];
    for (int j = 0; j < 16; j++) sum += lane[j];
    return sum;
}
