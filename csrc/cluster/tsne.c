/* tsne.c: rows as points of a plane (t-SNE). */
#include "tsne.h"

#include <math.h>
#include <stdlib.h>

#include "../support/cpu.h"
#include "../support/error.h"

#define STEPS 750
#define EARLY 250
#define EXAGGERATION 12
#define LANES 16
#define BLOCK 64   /* rows that are one piece of a step */
#define FAR 1e18f  /* where the points that fill up the last lanes are: they repel nothing */
#define START 1e-4 /* deviation of where the points start */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

/* The rows that attract each row: of row i the places first[i]..first[i + 1] - 1. */
typedef struct {
    size_t *first, *row;
    double *weight;
} affinities;

typedef struct {
    const affinities *p;
    size_t n, room;         /* room: n filled up to whole lanes */
    const double *place;    /* (n, 2) */
    float *x, *y;           /* (room) the same */
    double *repulsion, *z;  /* (n, 2), (n): sums over all points */
    double *speed, *gain;   /* (n, 2) */
    double exaggeration;
    double *pull; /* (n, 2) */
} job;

/* ---- Affinities ---- */

/* exp(-beta (square - least)) of each neighbour, to a sum of 1; returns their entropy. */
static double spread(double *weight, const double *distance, size_t k, double beta) {
    double least = distance[0] * distance[0], sum = 0, entropy = 0;
    for (size_t i = 0; i < k; i++) {
        weight[i] = exp(-beta * (distance[i] * distance[i] - least));
        sum += weight[i];
    }
    for (size_t i = 0; i < k; i++) {
        weight[i] /= sum;
        if (weight[i] > 0) entropy -= weight[i] * log(weight[i]);
    }
    return entropy;
}

/* The weights whose entropy is that of `perplexity` equal ones, as near as halving comes to it. */
static void find_weights(double *weight, const double *distance, size_t k, double perplexity) {
    double wanted = log(perplexity), low = 0, high = INFINITY;
    double last = distance[k - 1], beta = last > 0 ? 1 / (last * last) : 1;
    for (int i = 0; i < 100; i++) {
        double entropy = spread(weight, distance, k, beta);
        if (fabs(entropy - wanted) < 1e-5) break;
        if (entropy > wanted) {
            low = beta;
            beta = isinf(high) ? beta * 2 : (low + high) / 2;
        } else {
            high = beta;
            beta = (low + high) / 2;
        }
        if (!(beta < 1e300)) break;
    }
}

/* Both directions of each pair of neighbours, each with half its weight by n. */
static int symmetrise(affinities *p, const tsne_neighbors *near, const double *weight) {
    size_t n = near->n, k = near->k;
    p->first = calloc(n + 2, sizeof *p->first);
    p->row = malloc(2 * n * k * sizeof *p->row);
    p->weight = malloc(2 * n * k * sizeof *p->weight);
    if (p->first == NULL || p->row == NULL || p->weight == NULL) return BC_NOMEM;
    for (size_t e = 0; e < n * k; e++) {
        p->first[e / k + 2]++;
        p->first[(size_t)near->index[e] + 2]++;
    }
    for (size_t i = 0; i < n; i++) p->first[i + 2] += p->first[i + 1];
    for (size_t e = 0; e < n * k; e++) {
        size_t a = e / k, b = (size_t)near->index[e], at = p->first[a + 1]++, to = p->first[b + 1]++;
        p->row[at] = b;
        p->row[to] = a;
        p->weight[at] = p->weight[to] = weight[e] / (2 * (double)n);
    }
    return BC_OK;
}

static int find_affinities(affinities *p, const tsne_neighbors *near, double perplexity) {
    double *weight = malloc(near->n * near->k * sizeof *weight);
    if (weight == NULL) return BC_NOMEM;
    for (size_t i = 0; i < near->n; i++)
        find_weights(weight + i * near->k, near->distance + i * near->k, near->k, perplexity);
    int rc = symmetrise(p, near, weight);
    free(weight);
    return rc;
}

/* ---- Forces ---- */

/* Of a point to all (room): the sums of q, q q dx and q q dy, where q = 1 / (1 + distance^2). */
BC_EACH_CPU(static, repel, (double *sum, const float *x, const float *y, size_t room, size_t i),
            (sum, x, y, room, i)) {
    lanes z = {0}, sx = {0}, sy = {0};
    float px = x[i], py = y[i];
    for (size_t j = 0; j < room; j += LANES) {
        lanes dx = px - *(const lanes *)(x + j), dy = py - *(const lanes *)(y + j);
        lanes q = 1 / (1 + dx * dx + dy * dy);
        z += q;
        sx += q * q * dx;
        sy += q * q * dy;
    }
    sum[0] = sum[1] = sum[2] = 0;
    for (int l = 0; l < LANES; l++) {
        sum[0] += (double)z[l];
        sum[1] += (double)sx[l];
        sum[2] += (double)sy[l];
    }
}

static void attract(double *pull, const affinities *p, const double *place, size_t i) {
    double x = 0, y = 0;
    for (size_t e = p->first[i]; e < p->first[i + 1]; e++) {
        const double *other = place + 2 * p->row[e];
        double dx = place[2 * i] - other[0], dy = place[2 * i + 1] - other[1];
        double pq = p->weight[e] / (1 + dx * dx + dy * dy);
        x += pq * dx;
        y += pq * dy;
    }
    pull[0] = x;
    pull[1] = y;
}

static void find_forces(void *context, size_t item, int worker) {
    (void)worker;
    job *j = context;
    size_t last = (item + 1) * BLOCK < j->n ? (item + 1) * BLOCK : j->n;
    for (size_t i = item * BLOCK; i < last; i++) {
        double sum[3];
        repel(sum, j->x, j->y, j->room, i);
        j->z[i] = sum[0] - 1; /* itself */
        j->repulsion[2 * i] = sum[1];
        j->repulsion[2 * i + 1] = sum[2];
        attract(j->pull + 2 * i, j->p, j->place, i);
    }
}

/* ---- Steps ---- */

/* Gains and momentum as in van der Maaten's own program. */
static void move(double *place, job *j, double rate, double momentum) {
    double z = 0;
    for (size_t i = 0; i < j->n; i++) z += j->z[i];
    for (size_t c = 0; c < 2 * j->n; c++) {
        double away = z > 0 ? j->repulsion[c] / z : 0;
        double gradient = 4 * (j->exaggeration * j->pull[c] - away);
        int same = gradient * j->speed[c] > 0; /* it runs uphill */
        j->gain[c] = fmax(same ? j->gain[c] * 0.8 : j->gain[c] + 0.2, 0.01);
        j->speed[c] = momentum * j->speed[c] - rate * j->gain[c] * gradient;
        place[c] += j->speed[c];
    }
}

/* The mean of all points to 0; and, with `deviation`, the first coordinate to that deviation. */
static void centre(double *place, size_t n, double deviation) {
    double mean[2] = {0, 0}, square = 0;
    for (size_t c = 0; c < 2 * n; c++) mean[c % 2] += place[c] / (double)n;
    for (size_t c = 0; c < 2 * n; c++) place[c] -= mean[c % 2];
    for (size_t i = 0; i < n; i++) square += place[2 * i] * place[2 * i] / (double)n;
    if (deviation > 0 && square > 0)
        for (size_t c = 0; c < 2 * n; c++) place[c] *= deviation / sqrt(square);
}

static int descend(double *place, job *j, bc_pool *pool, bc_tick *tick, void *context) {
    double rate = fmax((double)j->n / EXAGGERATION / 4, 50);
    centre(place, j->n, START);
    for (size_t i = 0; i < j->room; i++) j->x[i] = j->y[i] = FAR;
    for (size_t c = 0; c < 2 * j->n; c++) j->speed[c] = 0, j->gain[c] = 1;
    for (size_t s = 0; s < STEPS; s++) {
        if (tick != NULL && tick(context, s, STEPS)) return BC_STOPPED;
        for (size_t i = 0; i < j->n; i++)
            j->x[i] = (float)place[2 * i], j->y[i] = (float)place[2 * i + 1];
        j->exaggeration = s < EARLY ? EXAGGERATION : 1;
        bc_pool_run(pool, find_forces, j, (j->n + BLOCK - 1) / BLOCK);
        move(place, j, rate, s < EARLY ? 0.5 : 0.8);
        centre(place, j->n, 0);
    }
    return BC_OK;
}

int tsne(double *place, const tsne_neighbors *near, double perplexity, bc_pool *pool,
         bc_tick *tick, void *context) {
    size_t n = near->n, room = (n + LANES - 1) / LANES * LANES;
    affinities p = {0};
    double *d = malloc((9 * n + 1) * sizeof *d);
    float *f = malloc((2 * room + 1) * sizeof *f);
    int rc = d == NULL || f == NULL ? BC_NOMEM : find_affinities(&p, near, perplexity);
    if (rc == BC_OK) {
        job j = {.p = &p, .n = n, .room = room, .place = place, .x = f, .y = f + room,
                 .repulsion = d, .z = d + 2 * n, .speed = d + 3 * n, .gain = d + 5 * n,
                 .pull = d + 7 * n};
        rc = descend(place, &j, pool, tick, context);
    }
    free(p.first);
    free(p.row);
    free(p.weight);
    free(d);
    free(f);
    return rc;
}
