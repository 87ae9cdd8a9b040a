/* graph.h: a network as a list of layers, with the shapes and the tensors that
 * follow from it. Knows nothing of memory or threads. */
#ifndef NN_GRAPH_H
#define NN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../support/error.h"
#include "conv_shape.h"
#include "storage.h"

#define NN_NAME 64      /* bytes of a layer's name, the final 0 included */
#define NN_MAXOPTION 12 /* numbers that describe one layer */
#define NN_NONE SIZE_MAX

/* What passes compute in, and how values lie between them. In the 16-bit ones
 * passes compute in float: weights, their gradients, batch statistics, the
 * front end's values, the embedding and the loss stay in f32; the other
 * layers' values and gradients of values are stored in 16 bits. */
enum nn_precision { NN_F32, NN_F64, NN_BF16, NN_F16 };
static inline bool nn_is_double(enum nn_precision p) {
    return p == NN_F64;
}
static inline size_t nn_real_size(enum nn_precision p) {
    return p == NN_F64 ? 8 : 4;
}

/* The values of one sample. Audio is (1, 1, samples). */
typedef struct nn_shape {
    size_t c, h, w;
} nn_shape;

size_t nn_volume(nn_shape s);

/* A named tensor of the network: trained, or kept by batch norm. */
enum nn_role { NN_TRAINED, NN_RUNNING, NN_COUNTER };
typedef struct nn_tensor {
    char name[NN_NAME + 24];
    enum nn_role role;
    int ndim;
    int64_t shape[4];
    size_t count;
    size_t offset;   /* in elements, in the memory of its role; on 64 bytes */
    double bound;    /* starts uniform in +-bound ... */
    double value;    /* ... or, when bound is 0, at this */
    int layer, slot; /* whose it is */
} nn_tensor;

typedef struct nn_layer nn_layer;
typedef struct nn_graph nn_graph;
typedef struct nn_run nn_run;

/* What a layer of a kind can be told, in Lua's words. A pair is two numbers,
 * or one for both, and fills two slots. */
enum nn_option_type { NN_SIZE, NN_NUMBER, NN_SWITCH, NN_PAIR, NN_CHOICE };
typedef struct nn_option {
    const char *name;
    enum nn_option_type type;
    double fallback; /* NAN: must be given; NN_CHOICE: position in the list */
    double least;
    const char *const *choices; /* ends with NULL */
} nn_option;

/* What the planner must know of a kind. */
enum {
    NN_KEEPS_INPUT = 1,   /* backward reads the input */
    NN_KEEPS_OUTPUT = 2,  /* backward reads the output */
    NN_IN_PLACE = 4,      /* forward may write over its (first) input */
    NN_GRAD_IN_PLACE = 8, /* backward may write over the output's gradient */
    NN_WIDE = 16,         /* its values stay in f32 where others have 16 bits */
    NN_NARROW = 32,       /* its passes read and write 16 bits (nn_run's in_as, out_as); for
                           * other kinds the executor widens and narrows whole tensors */
    NN_IS_CHEAP = 64,     /* may run again rather than keep its output for backward */
    NN_IS_RELU = 128,     /* is max(x, 0), ... */
    NN_TAKES_RELU = 256,  /* ... and this one does it in its own passes (nn_run's relu) */
    NN_IS_SUM = 512,      /* is in[0] + in[1], ... */
    NN_TAKES_SUM = 1024,  /* ... and this one adds in[1] in its own passes */
    NN_IS_FIRST = 2048,   /* its backward pass gives gradients of its weights only */
    NN_TAKES_PARTS = 4096 /* reads the network's input where the caller has it (nn_run's part) */
};

typedef void nn_pass(const nn_run *r);

/* One kind of layer. A new one is a file in op/ and an entry in the table of kinds.c. Sizes
 * are in bytes; n: samples. */
typedef struct nn_kind {
    const char *name;
    int inputs;
    unsigned flags;
    const nn_option *options; /* ends with a NULL name */
    /* Sets l->shape and adds the tensors; BC_FAIL says what does not fit. */
    int (*build)(nn_graph *g, nn_layer *l, bc_error *e);
    /* The first values of a tensor, instead of its bound and value; may be NULL. */
    void (*start)(const nn_layer *l, int slot, double *to);
    void (*release)(nn_layer *l); /* what build made beyond that; may be NULL */
    /* Kept from forward to backward beside inputs and outputs; may be NULL. */
    size_t (*saved)(const nn_layer *l, size_t n, size_t groups, enum nn_precision p);
    /* Memory of one pass for all workers together; may be NULL. */
    size_t (*temporary)(const nn_layer *l, size_t n, enum nn_precision p, bool backward);
    /* One worker's scratch, for either pass; may be NULL. */
    size_t (*scratch)(const nn_layer *l, size_t n, enum nn_precision p);
    /* Instead of the flag NN_NARROW, where it depends on the layer; may be NULL. */
    bool (*narrow)(const nn_layer *l, size_t n);
    double (*multiply_adds)(const nn_layer *l); /* per sample; may be NULL */
    nn_pass *forward[2], *backward[2];          /* in float, in double; backward may be NULL */
} nn_kind;

struct nn_layer {
    const nn_kind *kind;
    char name[NN_NAME];
    int input[2]; /* positions of the layers it reads */
    nn_shape in;  /* shape of the first of them */
    nn_shape shape;
    double option[NN_MAXOPTION];
    nn_conv window; /* convolution, linear and pooling layers; n is 0 */
    int tensor[5];  /* positions in the graph; -1: none. Order fixed by the kind */
    bool trained;   /* it, or something before it, has trained tensors */
    void *own;      /* the kind's */
};

/* Slots of nn_layer.tensor. */
enum { NN_WEIGHT, NN_BIAS, NN_RUNNING_MEAN, NN_RUNNING_VAR, NN_TRACKED };

struct nn_graph {
    nn_layer *layer; /* [0] is the input */
    size_t layers, room;
    nn_tensor *tensor;
    size_t tensors, tensor_room;
    size_t elements[3]; /* memory of each role */
};

/* A convolution, linear or pooling layer as the kernels take it, for n samples. */
nn_conv nn_layer_conv(const nn_layer *l, size_t n);

int nn_graph_new(nn_graph **g, nn_shape input, bc_error *e);
void nn_graph_free(nn_graph *g); /* NULL is fine */

/* Append a layer. input: positions of the layers it reads (kind->inputs of
 * them). option: all options in the order of kind->options, pairs as two. */
int nn_graph_add(nn_graph *g, const nn_kind *kind, const char *name, const double *option,
                 const int *input, bc_error *e);
int nn_graph_find(const nn_graph *g, const char *name); /* position; -1: no such layer */

/* For the kinds' build. The tensor is called <layer>.<suffix>. */
int nn_graph_tensor(nn_graph *g, nn_layer *l, int slot, const char *suffix, enum nn_role role,
                    int ndim, const int64_t *shape, double bound, double value, bc_error *e);

/* kinds.c */
extern const nn_kind nn_kind_input;
const nn_kind *nn_kind_find(const char *name); /* NULL: unknown */
const nn_kind *nn_kind_at(size_t i);           /* NULL behind the last */

#endif
