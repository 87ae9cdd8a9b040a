/* loss.h: losses over the embeddings of a batch of triplets. */
#ifndef NN_LOSS_H
#define NN_LOSS_H

#include <stddef.h>
#include <stdint.h>

/* p, n, d: embeddings of anchor, neighbour and distant one.
 *
 * NN_TRIPLET          relu(|p-n| - |p-d| + margin)
 * NN_TRIPLET_COSINE   the same with 1 - cos for the distance
 * NN_SEMI_HARD        as NN_TRIPLET, but d is mined: of the distant ones of the whole
 *                     batch and the other triplets' neighbours the nearest that is farther
 *                     away than n; if none is, the farthest (Schroff et al., 2015)
 * NN_BATCH_HARD       as before, the nearest of them (Hermans et al., 2017)
 * NN_NT_XENT          p and n are two views of one thing: for each of the 2B views,
 *                     -log softmax of cos/temperature to the other view, among all other
 *                     views and all distant ones (Chen et al., 2020); those of its own
 *                     group are left out
 * NN_SUPCON           for each of the 3B embeddings that has any positives, the mean over
 *                     these of -log softmax of cos/temperature among all others. Positives:
 *                     of p and n each other, and all of the same group (Khosla et al.,
 *                     2020, L_out)
 *
 * NN_CROSS_ENTROPY    the z values are scores of the groups 0 to z-1: for each of the 3B
 *                     embeddings that has a group, -log softmax of its own group's, with
 *                     NN_SMOOTHING of the target spread over all z (Szegedy et al., 2016)
 *
 * The loss is the mean of that, plus mean(l2 (|p| + |n| + |d|)). The gradient of a
 * norm is 0 at 0, and so is the cosine with a vector of norm 0. */
enum nn_loss_kind { NN_TRIPLET, NN_TRIPLET_COSINE, NN_SEMI_HARD, NN_BATCH_HARD, NN_NT_XENT, NN_SUPCON,
                    NN_CROSS_ENTROPY };

#define NN_SMOOTHING 0.1

typedef struct nn_loss_options {
    enum nn_loss_kind kind;
    double margin, l2, temperature;
    const int32_t *group; /* (3B) of the last three; < 0: of none; NULL: nobody has one;
                           * NN_CROSS_ENTROPY: below z, and never NULL */
} nn_loss_options;

/* What the loss saw; means over the batch. */
typedef struct nn_loss_info {
    double loss;
    double neighbor; /* mean distance p to n; 1 - cos for losses that see directions */
    double distant;  /* mean distance p to d, the triplet's own d */
    double active;   /* share of triplets that give a gradient; NT-Xent and SupCon: of
                      * embeddings whose nearest is no positive, cross-entropy: of those
                      * whose own group has not the highest score */
    double spread;   /* root mean square distance of the embeddings from their mean */
    double cosine;   /* mean cosine of two different embeddings: 1 when all is one line */
} nn_loss_info;

/* e (3B, z): anchors, neighbours, distant ones; de, its gradient, is overwritten.
 * NaN in gives a loss of NaN. BC_OK or BC_NOMEM. */
int nn_loss(nn_loss_info *info, double *de, const double *e, const nn_loss_options *o, size_t b,
            size_t z);

#endif
