/* inspect.h: what the passes of a network write, looked at one by one: where a
 * value first stops being finite, and what would leave the range of f16. */
#ifndef NN_INSPECT_H
#define NN_INSPECT_H

#include "network.h"

/* One thing that a pass wrote. */
typedef struct nn_seen {
    size_t layer; /* whose value, or the gradient of whose value; or of whose weights */
    enum { NN_SEEN_VALUE, NN_SEEN_GRADIENT, NN_SEEN_WEIGHTS } what;
    size_t bad;   /* sample of the first NaN or infinity (0 for weights); NN_NONE: all finite */
    size_t first; /* number of the first sample seen with it */
    size_t count; /* elements */
    size_t over;  /* of them beyond 65504, f16's largest; infinities too */
    size_t under; /* not 0, but below 2^-25, which f16 rounds to 0 */
    double most;  /* the largest finite magnitude */
} nn_seen;

typedef struct nn_inspector {
    nn_seen *seen; /* in the order of the passes */
    size_t count, room;
    bool failed; /* there was no memory for more */
} nn_inspector;

/* From now on all passes of net note in i what they write; NULL: no more. */
void nn_network_inspect(nn_network *net, nn_inspector *i);

#endif
