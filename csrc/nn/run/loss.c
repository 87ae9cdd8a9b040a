/* loss.c: losses over the embeddings of a batch of triplets. In double: the
 * work is small beside the network's. */
#include "loss.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../../support/dot.h"
#include "../../support/error.h"

typedef struct work {
    nn_loss_info *info;
    double *de;
    const double *e;
    const nn_loss_options *o;
    size_t b, z;
    double *norm; /* (3B) */
    double *row;  /* (3B) */
} work;

static const double *at(const work *w, size_t i) {
    return w->e + i * w->z;
}

static double distance(const work *w, size_t a, size_t b) {
    double sum = 0;
    for (size_t i = 0; i < w->z; i++) {
        double d = at(w, a)[i] - at(w, b)[i];
        sum += d * d;
    }
    return sqrt(sum);
}

/* The gradient of f |a-b| to both. */
static void add_distance_gradient(const work *w, size_t a, size_t b, double norm, double f) {
    if (norm == 0) return;
    for (size_t i = 0; i < w->z; i++) {
        double g = f * (at(w, a)[i] - at(w, b)[i]) / norm;
        w->de[a * w->z + i] += g;
        w->de[b * w->z + i] -= g;
    }
}

static double cosine(const work *w, size_t a, size_t b) {
    double norms = w->norm[a] * w->norm[b];
    return norms == 0 ? 0 : bc_dot(at(w, a), at(w, b), w->z) / norms;
}

/* The gradient of f cos(a, b) to both. */
static void add_cosine_gradient(const work *w, size_t a, size_t b, double cos, double f) {
    double na = w->norm[a], nb = w->norm[b];
    if (na == 0 || nb == 0) return;
    for (size_t i = 0; i < w->z; i++) {
        double x = at(w, a)[i] / na, y = at(w, b)[i] / nb;
        w->de[a * w->z + i] += f * (y - cos * x) / na;
        w->de[b * w->z + i] += f * (x - cos * y) / nb;
    }
}

/* --- what is known of every batch ------------------------------------------------- */

static double spread(const work *w) {
    double sum = 0;
    size_t n = 3 * w->b;
    for (size_t i = 0; i < w->z; i++) {
        double mean = 0;
        for (size_t k = 0; k < n; k++) mean += at(w, k)[i];
        mean /= (double)n;
        for (size_t k = 0; k < n; k++) {
            double d = at(w, k)[i] - mean;
            sum += d * d;
        }
    }
    return sqrt(sum / (double)n);
}

/* |sum of unit vectors|^2 = n + the sum over all pairs of different ones. */
static double mean_cosine(const work *w) {
    size_t n = 3 * w->b, units = 0;
    double all = 0;
    for (size_t k = 0; k < n; k++) units += w->norm[k] != 0;
    for (size_t i = 0; i < w->z; i++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++)
            if (w->norm[k] != 0) sum += at(w, k)[i] / w->norm[k];
        all += sum * sum;
    }
    return (all - (double)units) / ((double)n * (double)(n - 1));
}

static void add_norms(const work *w) {
    double each = w->o->l2 / (double)w->b;
    for (size_t k = 0; k < 3 * w->b; k++) {
        w->info->loss += each * w->norm[k];
        if (w->norm[k] == 0) continue;
        for (size_t i = 0; i < w->z; i++) w->de[k * w->z + i] += each * at(w, k)[i] / w->norm[k];
    }
}

/* --- losses of one distant embedding per triplet -------------------------------------- */

/* The k-th of the embeddings that may be mined for triplet i; the first 2B are
 * looked at, less its own neighbour. */
static size_t mine(const work *w, size_t i, double near) {
    size_t b = w->b, nearest = 2 * b + i, beyond = nearest, farthest = nearest;
    double least = HUGE_VAL, least_beyond = HUGE_VAL, most = -1;
    for (size_t k = b; k < 3 * b; k++) {
        if (k == b + i) continue;
        double d = distance(w, i, k);
        if (d < least) least = d, nearest = k;
        if (d > near && d < least_beyond) least_beyond = d, beyond = k;
        if (d > most) most = d, farthest = k;
    }
    if (w->o->kind == NN_BATCH_HARD) return nearest;
    return least_beyond < HUGE_VAL ? beyond : farthest;
}

static void triplet_of_distances(const work *w, size_t i) {
    size_t n = w->b + i, d = 2 * w->b + i;
    double near = distance(w, i, n), far = distance(w, i, d), each = 1 / (double)w->b;
    w->info->neighbor += near * each;
    w->info->distant += far * each;
    if (w->o->kind != NN_TRIPLET) {
        d = mine(w, i, near);
        far = distance(w, i, d);
    }
    double hinge = near - far + w->o->margin;
    w->info->loss += hinge <= 0 ? 0 : hinge * each; /* NaN goes on */
    if (!(hinge > 0)) return;
    w->info->active += each;
    add_distance_gradient(w, i, n, near, each);
    add_distance_gradient(w, i, d, far, -each);
}

static void triplet_of_cosines(const work *w, size_t i) {
    size_t n = w->b + i, d = 2 * w->b + i;
    double near = cosine(w, i, n), far = cosine(w, i, d), each = 1 / (double)w->b;
    double hinge = far - near + w->o->margin;
    w->info->neighbor += (1 - near) * each;
    w->info->distant += (1 - far) * each;
    w->info->loss += hinge <= 0 ? 0 : hinge * each;
    if (!(hinge > 0)) return;
    w->info->active += each;
    add_cosine_gradient(w, i, n, near, -each);
    add_cosine_gradient(w, i, d, far, each);
}

/* --- contrastive losses ------------------------------------------------------------------- */

static bool same_group(const work *w, size_t i, size_t k) {
    const int32_t *group = w->o->group;
    return group != NULL && group[i] >= 0 && group[i] == group[k];
}

/* The other view of one of the first 2B; of a distant one itself. */
static size_t other_view(const work *w, size_t i) {
    return i < w->b ? i + w->b : i < 2 * w->b ? i - w->b : i;
}

static bool is_positive(const work *w, size_t i, size_t k) {
    if (k == i) return false;
    return k == other_view(w, i) || (w->o->kind == NN_SUPCON && same_group(w, i, k));
}

/* Is k among those that i is compared with? */
static bool is_seen(const work *w, size_t i, size_t k) {
    return k != i && (is_positive(w, i, k) || !same_group(w, i, k));
}

static size_t count_positives(const work *w, size_t i) {
    size_t n = 0;
    for (size_t k = 0; k < 3 * w->b; k++) n += is_positive(w, i, k);
    return n;
}

/* The largest cosine of row i, and of those to its positives. */
static void find_tops(const work *w, size_t i, double *top, double *nearest) {
    *top = *nearest = -HUGE_VAL;
    for (size_t k = 0; k < 3 * w->b; k++) {
        w->row[k] = cosine(w, i, k);
        if (!is_seen(w, i, k)) continue;
        if (!(w->row[k] <= *top)) *top = w->row[k];
        if (is_positive(w, i, k) && !(w->row[k] <= *nearest)) *nearest = w->row[k];
    }
}

/* Embedding i, of `each` weight, against all others. */
static void contrast(const work *w, size_t i, size_t positives, double each) {
    size_t all = 3 * w->b;
    double top, nearest, sum = 0, toward = 0, t = w->o->temperature;
    find_tops(w, i, &top, &nearest);
    for (size_t k = 0; k < all; k++) {
        if (is_seen(w, i, k)) sum += exp((w->row[k] - top) / t);
        if (is_positive(w, i, k)) toward += (w->row[k] - top) / t;
    }
    w->info->loss += each * (log(sum) - toward / (double)positives);
    w->info->active += nearest < top ? each : 0;
    for (size_t k = 0; k < all; k++) {
        if (!is_seen(w, i, k)) continue;
        double wanted = is_positive(w, i, k) ? 1 / (double)positives : 0;
        double share = exp((w->row[k] - top) / t) / sum - wanted;
        add_cosine_gradient(w, i, k, w->row[k], each * share / t);
    }
}

static void contrastive(const work *w) {
    size_t rows = 0;
    for (size_t i = 0; i < 3 * w->b; i++) rows += count_positives(w, i) > 0;
    for (size_t i = 0; i < 3 * w->b; i++) {
        size_t positives = count_positives(w, i);
        if (positives > 0) contrast(w, i, positives, 1 / (double)rows);
    }
}

/* --- scores of groups ----------------------------------------------------------------------- */

/* Scores x of an embedding of a group, of `each` weight; their gradient into dx. */
static void classify(const work *w, const double *x, double *dx, size_t own, double each) {
    double top = -HUGE_VAL, sum = 0;
    for (size_t k = 0; k < w->z; k++)
        if (!(x[k] <= top)) top = x[k];
    for (size_t k = 0; k < w->z; k++) sum += exp(x[k] - top);
    for (size_t k = 0; k < w->z; k++) {
        double wanted = NN_SMOOTHING / (double)w->z + (k == own ? 1 - NN_SMOOTHING : 0);
        w->info->loss += each * wanted * (log(sum) - (x[k] - top));
        dx[k] += each * (exp(x[k] - top) / sum - wanted);
    }
    w->info->active += x[own] < top ? each : 0;
}

static void cross_entropy(const work *w) {
    const int32_t *group = w->o->group;
    size_t rows = 0;
    for (size_t i = 0; i < 3 * w->b; i++) rows += group[i] >= 0;
    for (size_t i = 0; i < 3 * w->b; i++)
        if (group[i] >= 0)
            classify(w, at(w, i), w->de + i * w->z, (size_t)group[i], 1 / (double)rows);
}

/* --- all of them ------------------------------------------------------------------------------ */

/* How far apart triplets are, for losses that see directions. */
static void measure_cosines(const work *w) {
    double each = 1 / (double)w->b;
    for (size_t i = 0; i < w->b; i++) {
        w->info->neighbor += each * (1 - cosine(w, i, w->b + i));
        w->info->distant += each * (1 - cosine(w, i, 2 * w->b + i));
    }
}

static void triplets(const work *w) {
    for (size_t i = 0; i < w->b; i++)
        w->o->kind == NN_TRIPLET_COSINE ? triplet_of_cosines(w, i) : triplet_of_distances(w, i);
}

int nn_loss(nn_loss_info *info, double *de, const double *e, const nn_loss_options *o, size_t b,
            size_t z) {
    double *scratch = malloc(6 * b * sizeof *scratch);
    if (scratch == NULL) return BC_NOMEM;
    work w = {info, de, e, o, b, z, scratch, scratch + 3 * b};
    for (size_t k = 0; k < 3 * b; k++) w.norm[k] = sqrt(bc_dot(at(&w, k), at(&w, k), z));
    *info = (nn_loss_info){.spread = spread(&w), .cosine = mean_cosine(&w)};
    memset(de, 0, 3 * b * z * sizeof *de);
    switch (o->kind) {
    case NN_NT_XENT:
    case NN_SUPCON: contrastive(&w), measure_cosines(&w); break;
    case NN_CROSS_ENTROPY: cross_entropy(&w), measure_cosines(&w); break;
    default: triplets(&w);
    }
    add_norms(&w);
    free(scratch);
    return BC_OK;
}
