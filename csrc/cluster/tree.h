/* tree.h: the tree of clusters that single linkage leaves, condensed, and what is chosen of it. */
#ifndef BC_TREE_H
#define BC_TREE_H

#include <stddef.h>
#include <stdint.h>

/* A run of places in the order of reach_order. Densities are 1 / distance. */
typedef struct {
    size_t first, size, parent; /* a parent comes before its children; that of the root is 0 */
    double birth, death;        /* where it comes off its parent, and where the last of it leaves */
    double stability;           /* the sum over its rows from birth to where they leave */
    double below;               /* the greatest sum of stabilities of clusters below it */
    int is_chosen, is_within;   /* is_within: chosen itself, or one above it is */
} tree_cluster;

typedef struct {
    tree_cluster *cluster; /* (count) */
    size_t count;
    size_t *home;    /* (n) the cluster that the row at a place leaves last, */
    double *density; /* (n) and where */
} tree;

/* The condensed tree: components of fewer than `least` rows are no clusters, their rows leave the
 * one that they were in. step (n): squared distances. BC_OK or BC_NOMEM; free with tree_free in
 * any case. */
int tree_condense(tree *t, const double *step, size_t n, size_t least);
void tree_free(tree *t);

/* Choose clusters, no two of one branch, whose sum of stabilities is greatest; of equal sums the
 * larger clusters; never the root. */
void tree_choose(tree *t);

#endif
