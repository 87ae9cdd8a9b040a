/* ranking.c: precision, recall and the areas under their curves, and samples of them. */
#include "ranking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/error.h"
#include "../support/random.h"

#define ROUND 64 /* samples between two looks at the clock */

typedef struct {
    double score;
    size_t row;
} entry;

static int by_score(const void *a, const void *b) {
    const entry *p = a, *q = b;
    if (p->score != q->score) return p->score > q->score ? -1 : 1;
    return p->row < q->row ? -1 : p->row > q->row;
}

int ranking_order(size_t *order, const double *score, size_t n) {
    entry *list = malloc((n + 1) * sizeof *list);
    if (list == NULL) return BC_NOMEM;
    for (size_t i = 0; i < n; i++) list[i] = (entry){score[i], i};
    qsort(list, n, sizeof *list, by_score);
    for (size_t i = 0; i < n; i++) order[i] = list[i].row;
    free(list);
    return BC_OK;
}

void ranking_measure(ranking *r, const size_t *order, const double *score, const int64_t *truth,
                     const double *weight, size_t n, double threshold) {
    double of_class = 0, others = 0, area = 0, pairs = 0, found = NAN, called = NAN;
    for (size_t i = 0; i < n;) {
        double own = 0, other = 0, at = score[order[i]];
        if (at < threshold && isnan(called)) found = of_class, called = of_class + others;
        for (; i < n && score[order[i]] == at; i++) {
            double w = weight == NULL ? 1 : weight[order[i]];
            if (truth[order[i]]) own += w;
            else other += w;
        }
        pairs += other * (of_class + own / 2);
        of_class += own;
        others += other;
        if (own > 0) area += own * of_class / (of_class + others);
    }
    if (isnan(called)) found = of_class, called = of_class + others;
    r->precision = found / called;
    r->recall = found / of_class;
    r->average_precision = area / of_class;
    r->roc_auc = pairs / (of_class * others);
}

typedef struct {
    ranking *out;
    const double *score;
    const int64_t *truth, *group;
    size_t groups, n, first;
    const size_t *order;
    double threshold, *drawn, *weight; /* (threads, groups), (threads, n) */
    uint64_t seed;
} job;

static void sample(void *context, size_t item, int worker) {
    const job *j = context;
    size_t t = j->first + item;
    double *drawn = j->drawn + (size_t)worker * j->groups;
    double *weight = j->weight + (size_t)worker * j->n;
    bc_random random;
    bc_random_seed(&random, j->seed, t);
    memset(drawn, 0, j->groups * sizeof *drawn);
    for (size_t g = 0; g < j->groups; g++) drawn[bc_random_below(&random, j->groups)]++;
    for (size_t i = 0; i < j->n; i++) weight[i] = drawn[j->group[i]];
    ranking_measure(&j->out[t], j->order, j->score, j->truth, weight, j->n, j->threshold);
}

int ranking_bootstrap(ranking *out, size_t times, const double *score, const int64_t *truth,
                      const int64_t *group, size_t groups, size_t n, double threshold,
                      uint64_t seed, bc_pool *pool, bc_tick *tick, void *context) {
    size_t threads = (size_t)bc_pool_threads(pool);
    size_t *order = malloc((n + 1) * sizeof *order);
    double *drawn = malloc((threads * groups + 1) * sizeof *drawn);
    double *weight = malloc((threads * n + 1) * sizeof *weight);
    int rc = BC_NOMEM;
    if (order != NULL && drawn != NULL && weight != NULL) rc = ranking_order(order, score, n);
    job j = {out, score, truth, group, groups, n, 0, order, threshold, drawn, weight, seed};
    for (; rc == BC_OK && j.first < times; j.first += ROUND) {
        if (tick != NULL && tick(context, j.first, times))
            rc = BC_STOPPED;
        else
            bc_pool_run(pool, sample, &j, times - j.first < ROUND ? times - j.first : ROUND);
    }
    free(order);
    free(drawn);
    free(weight);
    return rc;
}
