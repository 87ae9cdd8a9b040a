/* mel.h: kinds of layers with a plan of the mel spectrogram. */
#ifndef NN_MEL_H
#define NN_MEL_H

#include "real.h"

void nn_mel_release(nn_layer *l);

#endif
