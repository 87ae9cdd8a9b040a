/* front.h: the kinds of layers before the first convolution. */
#ifndef NN_FRONT_H
#define NN_FRONT_H

#include "../graph/graph.h"

/* Slots of nn_layer.option. */
enum { SPECTRUM_FFT, SPECTRUM_HOP };
enum { FOURIER_FFT, FOURIER_HOP };
enum { BANK_RATE, BANK_BANDS, BANK_FMIN, BANK_FMAX };

extern const nn_kind nn_kind_spectrum, nn_kind_fourier, nn_kind_filterbank;

#endif
