/* front_passes.c: trainable front ends: spectra by FFT or by dense Fourier
 * kernels, and a trained filter bank. */
#include <cblas.h>
#include <string.h>

#include "../../spectral/mel.h"
#include "front.h"
#include "passes.h"

#define ROWS 16  /* of a filter bank's gradient in one item */
#define BINS 128 /* of the Fourier kernels' gradients in one item */

/* The sample at a position that may lie outside: mirrored, edge not repeated. */
static size_t mirrored(ptrdiff_t at, size_t n) {
    ptrdiff_t last = (ptrdiff_t)n - 1;
    while (at < 0 || at > last) at = at < 0 ? -at : 2 * last - at;
    return (size_t)at;
}

#define NN_TWICE "front_passes.inc"
#include "twice.h"
