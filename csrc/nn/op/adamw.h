/* adamw.h: the optimiser's step and the norm of a gradient. */
#ifndef NN_ADAMW_H
#define NN_ADAMW_H

#include <stddef.h>

typedef struct nn_adamw {
    double lr, beta1, beta2, eps, weight_decay;
    double scale; /* of the gradients, before anything else */
    long step;    /* 1 for the first */
} nn_adamw;

/* AdamW (Loshchilov & Hutter, 2019) as torch.optim.AdamW, on n weights with
 * gradients g and moments m, v. */
void nn_adamw_step_f32(float *w, float *m, float *v, const float *g, const nn_adamw *o, size_t n);
void nn_adamw_step_f64(double *w, double *m, double *v, const double *g, const nn_adamw *o,
                       size_t n);
double nn_sum_squares_f32(const float *x, size_t n);
double nn_sum_squares_f64(const double *x, size_t n);

#endif
