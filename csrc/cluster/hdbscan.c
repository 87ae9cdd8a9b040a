/* hdbscan.c: clusters by density (HDBSCAN). */
#include "hdbscan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/error.h"
#include "reach.h"
#include "rows.h"
#include "tree.h"

/* A cluster of the tree that was chosen, and what it is ranked by. */
typedef struct {
    size_t cluster, size, row;
} chosen;

static int by_size(const void *a, const void *b) {
    const chosen *p = a, *q = b;
    if (p->size != q->size) return p->size > q->size ? -1 : 1;
    return p->row < q->row ? -1 : p->row > q->row;
}

static size_t first_row(const size_t *order, const tree_cluster *c) {
    size_t row = order[c->first];
    for (size_t p = c->first; p < c->first + c->size; p++)
        if (order[p] < row) row = order[p];
    return row;
}

/* The chosen clusters, by rank; list has room for all. */
static size_t rank_chosen(chosen *list, const tree *t, const size_t *order) {
    size_t count = 0;
    for (size_t i = 1; i < t->count; i++)
        if (t->cluster[i].is_chosen)
            list[count++] = (chosen){i, t->cluster[i].size, first_row(order, &t->cluster[i])};
    qsort(list, count, sizeof *list, by_size);
    return count;
}

static int name_rows(int64_t *label, double *probability, double *stability, size_t *clusters,
                     const tree *t, const size_t *order) {
    chosen *list = malloc((t->count + 1) * sizeof *list);
    if (list == NULL) return BC_NOMEM;
    *clusters = rank_chosen(list, t, order);
    for (size_t k = 0; k < *clusters; k++) {
        const tree_cluster *c = &t->cluster[list[k].cluster];
        stability[k] = c->stability;
        for (size_t p = c->first; p < c->first + c->size; p++) {
            label[order[p]] = (int64_t)k + 1;
            probability[order[p]] = fmin(t->density[p] / c->death, 1);
        }
    }
    free(list);
    return BC_OK;
}

/* The steps of single linkage by mutual reachability. */
static int link_rows(size_t *order, double *step, const hdbscan_rows *r, bc_pool *pool,
                     bc_tick *tick, void *context) {
    rows_packed rows;
    size_t m = r->least < r->n ? r->least : r->n;
    double *core = malloc((r->n + 1) * sizeof *core);
    int rc = rows_pack(&rows, r->x, r->n, r->d);
    if (core == NULL) rc = BC_NOMEM;
    if (rc == BC_OK) rc = reach_core(core, &rows, m, pool, tick, context);
    if (rc == BC_OK) rc = reach_order(order, step, core, &rows, pool, tick, context);
    rows_free(&rows);
    free(core);
    return rc;
}

int hdbscan(int64_t *label, double *probability, double *stability, size_t *clusters,
            const hdbscan_rows *rows, bc_pool *pool, bc_tick *tick, void *context) {
    size_t n = rows->n, *order = malloc((n + 1) * sizeof *order);
    double *step = malloc((n + 1) * sizeof *step);
    tree t = {0};
    int rc = BC_NOMEM;
    memset(label, 0, n * sizeof *label);
    memset(probability, 0, n * sizeof *probability);
    *clusters = 0;
    if (order == NULL || step == NULL) goto out;
    rc = n > 0 ? link_rows(order, step, rows, pool, tick, context) : BC_OK;
    if (rc != BC_OK) goto out;
    rc = tree_condense(&t, step, n, rows->least);
    if (rc != BC_OK) goto out;
    tree_choose(&t);
    rc = name_rows(label, probability, stability, clusters, &t, order);
out:
    tree_free(&t);
    free(order);
    free(step);
    return rc;
}
