/* triplets.c: draw triplets by group, species and recording. */
#include "triplets.h"

#include <math.h>
#include <stdlib.h>

#include "../support/interrupt.h"
#include "../support/random.h"

enum { TRIES = 64 }; /* at a distant window without a place of the anchor's group */

typedef struct entry {
    int64_t group, species;
    size_t recording;
} entry;

typedef struct gap {
    double from, to;
} gap;

/* Recordings in order of group and species. Species s has
 * order[first[s]] .. order[first[s+1]-1]; group g has the species
 * begins[g] .. begins[g+1]-1. Weights are summed up: species s has those of
 * species_sum[s] .. species_sum[s+1], and so have groups; as anchors groups
 * have others than as distant ones. */
typedef struct strata {
    entry *order;
    size_t *first, *begins;
    size_t *species_at, *group_at, *rank; /* of each recording: where it is in those */
    double *species_sum, *group_sum, *anchor_sum;
    size_t groups, species;
    bc_shares shares;
    gap *gaps; /* scratch: as many as a recording has silences, and two */
    entry *sources; /* by recording (as their group) and group (as their species), or NULL */
} strata;

static int compare(const void *p, const void *q) {
    const entry *a = p, *b = q;
    if (a->group != b->group) return a->group < b->group ? -1 : 1;
    if (a->species != b->species) return a->species < b->species ? -1 : 1;
    return a->recording < b->recording ? -1 : a->recording > b->recording;
}

static void strata_free(strata *s) {
    free(s->order);
    free(s->first);
    free(s->begins);
    free(s->species_at);
    free(s->group_at);
    free(s->rank);
    free(s->species_sum);
    free(s->group_sum);
    free(s->anchor_sum);
    free(s->sources);
    free(s->gaps);
}

static int allocate(strata *s, size_t n) {
    *s = (strata){0};
    s->order = malloc((n + 1) * sizeof *s->order);
    s->first = malloc((n + 1) * sizeof *s->first);
    s->begins = malloc((n + 1) * sizeof *s->begins);
    s->species_at = malloc((n + 1) * sizeof *s->species_at);
    s->group_at = malloc((n + 1) * sizeof *s->group_at);
    s->rank = malloc((n + 1) * sizeof *s->rank);
    s->species_sum = malloc((n + 1) * sizeof *s->species_sum);
    s->group_sum = malloc((n + 1) * sizeof *s->group_sum);
    s->anchor_sum = malloc((n + 1) * sizeof *s->anchor_sum);
    return s->order && s->first && s->begins && s->species_at && s->group_at && s->rank &&
                   s->species_sum && s->group_sum && s->anchor_sum
               ? BC_OK : BC_NOMEM;
}

static double weight(bc_shares shares, size_t n) {
    if (n == 0) return 0;
    if (shares == BC_SHARES_EQUAL) return 1;
    return shares == BC_SHARES_NATURAL ? (double)n : sqrt((double)n);
}

static size_t species_size(const strata *s, size_t k) { return s->first[k + 1] - s->first[k]; }

static size_t group_size(const strata *s, size_t g) {
    return s->first[s->begins[g + 1]] - s->first[s->begins[g]];
}

/* Has a group no pair of places? */
static int is_lonely(const strata *s, const bc_recordings *r, size_t g) {
    int64_t n = 0;
    for (size_t k = s->first[s->begins[g]]; k < s->first[s->begins[g + 1]]; k++) {
        size_t i = s->order[k].recording;
        n += r->places_end[i] - (i > 0 ? r->places_end[i - 1] : 0);
    }
    return n < 2;
}

static void sum_weights(strata *s, const bc_recordings *r, int exclude_own) {
    s->species_sum[0] = s->group_sum[0] = s->anchor_sum[0] = 0;
    for (size_t k = 0; k < s->species; k++)
        s->species_sum[k + 1] = s->species_sum[k] + weight(s->shares, species_size(s, k));
    for (size_t g = 0; g < s->groups; g++) {
        size_t n = group_size(s, g);
        double w = weight(s->shares, n);
        s->group_sum[g + 1] = s->group_sum[g] + w;
        int none = (exclude_own && n < 2) || (s->sources != NULL && is_lonely(s, r, g));
        s->anchor_sum[g + 1] = s->anchor_sum[g] + (none ? 0 : w);
    }
}

/* The silences of a recording: pairs of start and end. */
static size_t silences(const bc_recordings *r, size_t i, const double **at) {
    if (r->silent_s == NULL) return 0;
    int64_t first = i > 0 ? r->silent_end[i - 1] : 0;
    *at = r->silent_s + first;
    return (size_t)(r->silent_end[i] - first) / 2;
}

static int allocate_gaps(strata *s, const bc_recordings *r) {
    size_t most = 0, n;
    const double *at;
    for (size_t i = 0; i < r->n; i++)
        if ((n = silences(r, i, &at)) > most) most = n;
    s->gaps = malloc((most + 2) * sizeof *s->gaps);
    return s->gaps != NULL ? BC_OK : BC_NOMEM;
}

static int index_sources(strata *s, const bc_recordings *r) {
    if (r->source == NULL || r->places_s == NULL) return BC_OK;
    s->sources = malloc((r->n + 1) * sizeof *s->sources);
    if (s->sources == NULL) return BC_NOMEM;
    for (size_t i = 0; i < r->n; i++)
        s->sources[i] = (entry){r->source[i], (int64_t)s->group_at[i], i};
    qsort(s->sources, r->n, sizeof *s->sources, compare);
    return BC_OK;
}

static int strata_new(strata *s, const bc_recordings *r, const bc_triplet_options *o) {
    size_t n = r->n;
    int rc = allocate(s, n);
    if (rc == BC_OK) rc = allocate_gaps(s, r);
    if (rc != BC_OK) return rc;
    s->shares = o->shares;
    for (size_t i = 0; i < n; i++) s->order[i] = (entry){r->group[i], r->species[i], i};
    qsort(s->order, n, sizeof *s->order, compare);
    for (size_t i = 0; i < n; i++) {
        const entry *x = &s->order[i], *before = i > 0 ? x - 1 : NULL;
        int new_group = before == NULL || before->group != x->group;
        if (new_group) s->begins[s->groups++] = s->species;
        if (new_group || before->species != x->species) s->first[s->species++] = i;
        s->group_at[x->recording] = s->groups - 1;
        s->species_at[x->recording] = s->species - 1;
        s->rank[x->recording] = i;
    }
    s->begins[s->groups] = s->species;
    s->first[s->species] = n;
    rc = index_sources(s, r);
    if (rc == BC_OK) sum_weights(s, r, o->exclude_own);
    return rc;
}

/* The class k of from..to-1 with sum[k] <= x < sum[k+1]; classes without
 * weight are never it, whatever rounding does to x. */
static size_t class_at(const double *sum, size_t from, size_t to, double x) {
    size_t low = from, high = to;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (sum[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    while (low > from && sum[low + 1] == sum[low]) low--;
    while (low + 1 < to && sum[low + 1] == sum[low]) low++;
    return low;
}

static size_t draw_in_group(const strata *s, size_t g, bc_random *rng) {
    size_t from = s->begins[g], to = s->begins[g + 1];
    double low = s->species_sum[from], high = s->species_sum[to];
    size_t k = class_at(s->species_sum, from, to, low + bc_random_uniform(rng) * (high - low));
    return s->order[s->first[k] + bc_random_below(rng, species_size(s, k))].recording;
}

static size_t draw_anchor(const strata *s, bc_random *rng) {
    double x = bc_random_uniform(rng) * s->anchor_sum[s->groups];
    return draw_in_group(s, class_at(s->anchor_sum, 0, s->groups, x), rng);
}

/* A recording of the group of a other than a: there is one. Without a, its
 * species has the weight `mine` instead of its full one. */
static size_t draw_neighbor(const strata *s, size_t a, bc_random *rng) {
    size_t g = s->group_at[a], own = s->species_at[a], from = s->begins[g], to = s->begins[g + 1];
    const double *sum = s->species_sum;
    double mine = weight(s->shares, species_size(s, own) - 1), full = sum[own + 1] - sum[own];
    double before = sum[own] - sum[from], all = sum[to] - sum[from] - full + mine;
    double x = bc_random_uniform(rng) * all;
    size_t k = own;
    if (x < before)
        k = class_at(sum, from, own, sum[from] + x);
    else if (x >= before + mine && own + 1 < to)
        k = class_at(sum, own + 1, to, sum[from] + x + full - mine);
    else if (mine == 0) /* rounding took x beyond the last class */
        k = own > from ? own - 1 : own + 1;
    size_t i = s->first[k] + bc_random_below(rng, species_size(s, k) - (k == own));
    if (k == own && i >= s->rank[a]) i++;
    return s->order[i].recording;
}

static size_t draw_distant(const strata *s, size_t a, bc_random *rng) {
    size_t g = s->group_at[a], k;
    const double *sum = s->group_sum;
    double mine = sum[g + 1] - sum[g], x = bc_random_uniform(rng) * (sum[s->groups] - mine);
    if (g + 1 == s->groups || (g > 0 && x < sum[g]))
        k = class_at(sum, 0, g, x);
    else
        k = class_at(sum, g + 1, s->groups, x + mine);
    return draw_in_group(s, k, rng);
}

static double window(double centre) { return centre >= 0 ? centre : -1; /* NaN too */ }

/* A point drawn evenly from low..high, distance or more from both centres. */
static double point_apart(double low, double high, double p, double q, double distance, double u) {
    double from[3], to[3], total = 0;
    if (!(p >= 0)) p = q;
    if (!(q >= 0)) q = p;
    if (!(p >= 0) || !(distance > 0)) return low + u * (high - low);
    if (p > q) {
        double swap = p;
        p = q;
        q = swap;
    }
    from[0] = low, to[0] = fmin(high, p - distance);
    from[1] = fmax(low, p + distance), to[1] = fmin(high, q - distance);
    from[2] = fmax(low, q + distance), to[2] = high;
    for (int i = 0; i < 3; i++) total += fmax(0, to[i] - from[i]);
    if (!(total > 0)) return low + u * (high - low);
    double x = u * total;
    for (int i = 0; i < 2; i++) {
        double room = fmax(0, to[i] - from[i]);
        if (x < room) return from[i] + x;
        x -= room;
    }
    if (to[2] > from[2]) return fmin(to[2], from[2] + x);
    return to[1] > from[1] ? to[1] : to[0]; /* rounding */
}

static int compare_gaps(const void *p, const void *q) {
    double a = ((const gap *)p)->from, b = ((const gap *)q)->from;
    return (a > b) - (a < b);
}

/* What of low..high lies in none of n gaps, which are in order; or, with *left >= 0, the point
 * that has so much of that before it. */
static double outside(double low, double high, const gap *gaps, size_t n, double *left) {
    double sum = 0, at = low, room = 0;
    for (size_t k = 0; k <= n; k++) {
        double to = k < n ? fmin(high, gaps[k].from) : high;
        room = fmax(0, to - at);
        if (*left >= 0 && room > 0 && *left - sum <= room) return at + fmax(0, *left - sum);
        sum += room;
        if (k < n) at = fmax(at, gaps[k].to);
    }
    return sum;
}

static double point_outside(double low, double high, const gap *gaps, size_t n, double u) {
    double none = -1, total = outside(low, high, gaps, n, &none);
    if (!(total > 0)) return NAN;
    double left = u * total * (1 - 1e-12); /* rounding never takes it behind the last place */
    return outside(low, high, gaps, n, &left);
}

/* As point_apart, and in no silence longer than half a window; NAN: there is no such point. */
static double sounding_point(const bc_recordings *r, const bc_triplet_options *o, size_t i,
                             gap *gaps, double u) {
    const double *at = NULL, avoid[2] = {r->avoid_0_s[i], r->avoid_1_s[i]};
    double low = r->window_s / 2, high = low + (r->duration_s[i] - r->window_s);
    double d = o->clip_distance_s;
    size_t all = silences(r, i, &at), n = 0, silent;
    for (size_t k = 0; k < all; k++)
        if (at[2 * k + 1] - at[2 * k] > r->window_s / 2) gaps[n++] = (gap){at[2 * k], at[2 * k + 1]};
    if (n == 0) return point_apart(low, high, avoid[0], avoid[1], d, u);
    silent = n;
    for (int k = 0; k < 2 && d > 0; k++)
        if (avoid[k] >= 0) gaps[n++] = (gap){avoid[k] - d, avoid[k] + d};
    qsort(gaps, n, sizeof *gaps, compare_gaps);
    double x = point_outside(low, high, gaps, n, u);
    if (!isnan(x) || n == silent) return x;
    bc_triplet_options near = *o;
    near.clip_distance_s = 0;
    return sounding_point(r, &near, i, gaps, u);
}

/* -1: too short for one; NAN: silent wherever it fits. */
static double clip(const bc_recordings *r, const bc_triplet_options *o, size_t i, gap *gaps,
                   bc_random *rng) {
    bc_random own, *source = rng;
    if (r->duration_s[i] < r->window_s) return -1;
    if (o->clips > 0) { /* streams from the end: triplets have those from 0 */
        uint64_t k = bc_random_below(rng, (uint64_t)o->clips);
        bc_random_seed(&own, o->seed, UINT64_MAX - ((uint64_t)i * (uint64_t)o->clips + k));
        source = &own;
    }
    return sounding_point(r, o, i, gaps, bc_random_uniform(source));
}

/* 0..3: which of the four partitions. */
static int draw_partition(const double *mixture, bc_random *rng) {
    double sum = 0, total = mixture[0] + mixture[1] + mixture[2] + mixture[3];
    double x = bc_random_uniform(rng) * total;
    int last = 0;
    for (int k = 0; k < 4; k++) {
        if (mixture[k] > 0) last = k;
        sum += mixture[k];
        if (x < sum) return k;
    }
    return last;
}

static int too_near(const bc_recordings *r, const bc_triplet_options *o, size_t a) {
    double p = window(r->anchor_s[a]), q = window(r->self_s[a]);
    if (p == q) return 1; /* one window, or the whole recording twice */
    if (!(o->self_distance_s > 0)) return 0;
    return !(p >= 0 && q >= 0 && fabs(p - q) >= o->self_distance_s);
}

static size_t places(const bc_recordings *r, size_t i, const double **at) {
    int64_t first = i > 0 ? r->places_end[i - 1] : 0;
    *at = r->places_s + first;
    return (size_t)(r->places_end[i] - first);
}

static double draw_place(const bc_recordings *r, size_t i, bc_random *rng) {
    const double *at;
    size_t n = places(r, i, &at);
    return n > 0 ? window(at[bc_random_below(rng, n)]) : -1;
}

static int is_apart(double p, double q, double distance) {
    return p >= 0 && q >= 0 && p != q && fabs(p - q) >= distance;
}

/* A place of the recording far enough from that one; -1: it has none. */
static double draw_other_place(const bc_recordings *r, size_t i, double from, double distance,
                               bc_random *rng) {
    const double *at;
    size_t n = places(r, i, &at), apart = 0;
    for (size_t k = 0; k < n; k++) apart += (size_t)is_apart(from, at[k], distance);
    if (apart == 0) return -1;
    size_t left = bc_random_below(rng, apart);
    for (size_t k = 0;; k++)
        if (is_apart(from, at[k], distance) && left-- == 0) return at[k];
}

/* Is one of n numbers, which are in order, nearer to x than that? */
static int has_near(const double *at, size_t n, double x, double distance) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (at[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return (low < n && at[low] - x < distance) || (low > 0 && x - at[low - 1] < distance);
}

/* Has recording c a place of this group at a window, or anywhere if that is all of it? */
static int holds_group(const strata *s, const bc_recordings *r, size_t c, double loc, size_t g) {
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const entry *e = &s->sources[middle];
        if (e->group < r->source[c] || (e->group == r->source[c] && e->species < (int64_t)g))
            low = middle + 1;
        else
            high = middle;
    }
    for (const entry *e = s->sources + low;
         e < s->sources + r->n && e->group == r->source[c] && e->species == (int64_t)g; e++) {
        const double *at;
        size_t n = places(r, e->recording, &at);
        if (n > 0 && (!(loc >= 0) || has_near(at, n, loc, r->window_s))) return 1;
    }
    return 0;
}

/* The distant window for anchor a, a clip where one is wanted and there is room. */
static void draw_far(const bc_triplets *out, size_t i, const strata *s, const bc_recordings *r,
                     const bc_triplet_options *o, size_t a, int is_clip, bc_random *rng) {
    size_t c = 0;
    double loc = NAN;
    int got_clip = 0;
    for (int tries = 0; tries < TRIES; tries++) {
        c = draw_distant(s, a, rng);
        loc = is_clip ? clip(r, o, c, s->gaps, rng) : NAN;
        got_clip = !isnan(loc);
        if (!got_clip) loc = draw_place(r, c, rng);
        if (s->sources == NULL || !holds_group(s, r, c, loc, s->group_at[a])) break;
    }
    out->c[i] = (int32_t)c + 1;
    out->c_loc[i] = loc;
    out->distant[i] = got_clip ? BC_DISTANT_CLIP : BC_DISTANT_MOTIF;
}

/* As draw_one, with windows among the places of recordings. */
static void draw_places(const bc_triplets *out, size_t i, const strata *s, const bc_recordings *r,
                        const bc_triplet_options *o, const double *mixture, bc_random *rng) {
    size_t a = draw_anchor(s, rng), b = a;
    int partition = draw_partition(mixture, rng);
    int is_group = partition >= 2, is_clip = partition & 1;
    int alone = group_size(s, s->group_at[a]) < 2;
    double a_loc = draw_place(r, a, rng), b_loc = -1;
    if (!is_group || alone) b_loc = draw_other_place(r, a, a_loc, o->self_distance_s, rng);
    if (!(b_loc >= 0) && !alone) {
        b = draw_neighbor(s, a, rng);
        b_loc = draw_place(r, b, rng);
    }
    if (!(b_loc >= 0) && alone) b_loc = draw_other_place(r, a, a_loc, 0, rng);
    if (!(b_loc >= 0) && alone) b_loc = a_loc; /* its only one */
    out->a[i] = (int32_t)a + 1;
    out->b[i] = (int32_t)b + 1;
    out->a_loc[i] = a_loc;
    out->b_loc[i] = b_loc;
    out->neighbor[i] = b == a ? BC_NEIGHBOR_SELF : BC_NEIGHBOR_GROUP;
    draw_far(out, i, s, r, o, a, is_clip, rng);
}

static void draw_one(const bc_triplets *out, size_t i, const strata *s, const bc_recordings *r,
                     const bc_triplet_options *o, const double *mixture, bc_random *rng) {
    size_t a = draw_anchor(s, rng), b = a;
    int partition = draw_partition(mixture, rng);
    int is_group = partition >= 2, is_clip = partition & 1;
    if ((is_group || too_near(r, o, a)) && group_size(s, s->group_at[a]) > 1)
        b = draw_neighbor(s, a, rng);
    size_t c = draw_distant(s, a, rng);
    out->a[i] = (int32_t)a + 1;
    out->b[i] = (int32_t)b + 1;
    out->c[i] = (int32_t)c + 1;
    out->a_loc[i] = window(r->anchor_s[a]);
    out->b_loc[i] = window(b == a ? r->self_s[a] : r->neighbor_s[b]);
    out->c_loc[i] = is_clip ? clip(r, o, c, s->gaps, rng) : NAN;
    is_clip = !isnan(out->c_loc[i]);
    if (!is_clip) out->c_loc[i] = window(r->distant_s[c]);
    out->neighbor[i] = b == a ? BC_NEIGHBOR_SELF : BC_NEIGHBOR_GROUP;
    out->distant[i] = is_clip ? BC_DISTANT_CLIP : BC_DISTANT_MOTIF;
}

int bc_triplets_draw(const bc_triplets *out, const bc_recordings *r,
                     const bc_triplet_options *o, size_t first, size_t samples, bc_error *e) {
    strata s;
    double mixture[4];
    int rc = strata_new(&s, r, o);
    if (rc != BC_OK) goto out;
    if (s.groups < 2) {
        rc = bc_fail(e, "triplets need two groups or more, got %zu (of %zu recordings)",
                     s.groups, r->n);
        goto out;
    }
    if (!(s.anchor_sum[s.groups] > 0)) {
        rc = bc_fail(e, "no group has two %s, so none has a neighbour other than itself",
                     s.sources != NULL && !o->exclude_own ? "places" : "recordings");
        goto out;
    }
    for (int k = 0; k < 4; k++) mixture[k] = o->exclude_own && k < 2 ? 0 : o->mixture[k];
    for (size_t i = 0; i < samples; i++) {
        if (i % 65536 == 0 && bc_interrupted()) {
            rc = BC_STOPPED;
            goto out;
        }
        bc_random rng;
        bc_random_seed(&rng, o->seed, first + i);
        if (r->places_s != NULL)
            draw_places(out, i, &s, r, o, mixture, &rng);
        else
            draw_one(out, i, &s, r, o, mixture, &rng);
    }
out:
    strata_free(&s);
    return rc;
}
