/* compress.c: loudness scales of a mel spectrogram. */
#include <math.h>

#include "kernels.h"

#define NN_TWICE "compress.inc"
#include "twice.h"
