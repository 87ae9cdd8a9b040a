/* tree.c: the tree of clusters that single linkage leaves, condensed, and what is chosen of it. */
#include "tree.h"

#include <math.h>
#include <stdlib.h>

#include "../support/error.h"

#define DENSEST 1e150 /* of rows that are equal */
#define NONE ((size_t)-1)

/* Places first..last-1. The largest step within (step of `first` is not in it) is at `top`. */
typedef struct {
    size_t first, last, top, cluster;
} run;

typedef struct {
    const double *step;
    size_t n, least;
    size_t *left, *right; /* (n) of each step the largest on either side, up to a larger one */
    run *open, *part;     /* runs to come apart, and what one of them came apart into */
    size_t opened;
} work;

/* Link places to a binary tree with the largest step on top, of equal ones the first (Vuillemin,
 * 1980). Place 0 is no step. stack: room for n. */
static size_t link_steps(work *w, size_t *stack) {
    size_t depth = 0;
    for (size_t i = 1; i < w->n; i++) {
        size_t below = NONE;
        while (depth > 0 && w->step[stack[depth - 1]] < w->step[i]) below = stack[--depth];
        w->left[i] = below;
        w->right[i] = NONE;
        if (depth > 0) w->right[stack[depth - 1]] = i;
        stack[depth++] = i;
    }
    return depth > 0 ? stack[0] : NONE;
}

/* Take apart a run at all steps as large as its largest; returns into how many parts. */
static size_t come_apart(work *w, run whole) {
    double largest = w->step[whole.top];
    size_t parts = 0, waiting = w->opened;
    w->open[waiting++] = whole;
    while (waiting > w->opened) {
        run r = w->open[--waiting];
        if (r.top == NONE || w->step[r.top] < largest) {
            w->part[parts++] = r;
            continue;
        }
        w->open[waiting++] = (run){r.top, r.last, w->right[r.top], r.cluster};
        w->open[waiting++] = (run){r.first, r.top, w->left[r.top], r.cluster};
    }
    return parts;
}

static void leave(tree *t, run part, double density) {
    tree_cluster *from = &t->cluster[part.cluster];
    from->stability += (double)(part.last - part.first) * (density - from->birth);
    from->death = fmax(from->death, density);
}

static size_t add_cluster(tree *t, run part, double birth) {
    t->cluster[t->count] = (tree_cluster){.first = part.first, .size = part.last - part.first,
                                          .parent = part.cluster, .birth = birth, .death = birth};
    return t->count++;
}

static void split(tree *t, work *w, run whole) {
    double density = fmin(1 / sqrt(w->step[whole.top]), DENSEST);
    size_t parts = come_apart(w, whole), large = 0;
    for (size_t i = 0; i < parts; i++) large += w->part[i].last - w->part[i].first >= w->least;
    for (size_t i = 0; i < parts; i++) {
        run part = w->part[i];
        int is_large = part.last - part.first >= w->least;
        if (!is_large || large > 1) leave(t, part, density);
        for (size_t p = part.first; !is_large && p < part.last; p++)
            t->home[p] = part.cluster, t->density[p] = density;
        if (is_large && large > 1) part.cluster = add_cluster(t, part, density);
        if (is_large) w->open[w->opened++] = part;
    }
}

int tree_condense(tree *t, const double *step, size_t n, size_t least) {
    size_t most = n / least * 2 + 2; /* clusters: at most n / least end without children */
    *t = (tree){malloc(most * sizeof *t->cluster), 0, calloc(n + 1, sizeof *t->home),
                calloc(n + 1, sizeof *t->density)};
    work w = {step, n, least, malloc((n + 1) * sizeof *w.left), malloc((n + 1) * sizeof *w.right),
              malloc((2 * n + 2) * sizeof *w.open), malloc((n + 1) * sizeof *w.part), 0};
    size_t *stack = malloc((n + 1) * sizeof *stack);
    int rc = BC_NOMEM;
    if (t->cluster == NULL || t->home == NULL || t->density == NULL || w.left == NULL ||
        w.right == NULL || w.open == NULL || w.part == NULL || stack == NULL)
        goto out;
    run all = {0, n, link_steps(&w, stack), 0};
    add_cluster(t, all, 0);
    if (all.top != NONE) w.open[w.opened++] = all;
    while (w.opened > 0) split(t, &w, w.open[--w.opened]);
    rc = BC_OK;
out:
    free(w.left);
    free(w.right);
    free(w.open);
    free(w.part);
    free(stack);
    return rc;
}

void tree_free(tree *t) {
    free(t->cluster);
    free(t->home);
    free(t->density);
}

/* Children come behind their parents: backwards, each knows the best sum below it when its turn
 * comes. */
void tree_choose(tree *t) {
    for (size_t i = t->count; i-- > 1;) {
        tree_cluster *c = &t->cluster[i];
        c->is_chosen = c->stability >= c->below;
        t->cluster[c->parent].below += fmax(c->stability, c->below);
    }
    for (size_t i = 1; i < t->count; i++) {
        tree_cluster *c = &t->cluster[i];
        if (t->cluster[c->parent].is_within) c->is_chosen = 0;
        c->is_within = c->is_chosen || t->cluster[c->parent].is_within;
    }
}
