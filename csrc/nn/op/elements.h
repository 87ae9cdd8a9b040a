/* elements.h: element by element, in float or double. In all loops the output is either another
 * array or the very same one, never one shifted against it. NaN in gives NaN out. */
#ifndef NN_ELEMENTS_H
#define NN_ELEMENTS_H

#include "real.h"

void NN(nn_relu_forward)(real *y, const real *x, size_t n); /* y may be x */
void NN(nn_relu_backward)(real *dx, const real *dy, const real *y, bool add, size_t n);
void NN(nn_add_forward)(real *y, const real *a, const real *b, size_t n); /* y may be a or b */
void NN(nn_add_to)(real *y, const real *x, size_t n);                     /* y += x */

#endif
