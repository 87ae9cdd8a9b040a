/* triplets.c: draw triplets by group, species and recording. */
#include "triplets.h"

#include <stdlib.h>

#include "../support/interrupt.h"
#include "../support/random.h"

typedef struct entry {
    int64_t group, species;
    size_t recording;
} entry;

/* Recordings in order of group and species. Species s has
 * order[first[s]] .. order[first[s+1]-1]; group g has the species
 * begins[g] .. begins[g+1]-1. */
typedef struct strata {
    entry *order;
    size_t *first, *begins;
    size_t *species_at, *group_at, *rank; /* of each recording: where it is in those */
    size_t groups, species;
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
}

static int strata_new(strata *s, const bc_recordings *r) {
    size_t n = r->n;
    *s = (strata){0};
    s->order = malloc((n + 1) * sizeof *s->order);
    s->first = malloc((n + 1) * sizeof *s->first);
    s->begins = malloc((n + 1) * sizeof *s->begins);
    s->species_at = malloc((n + 1) * sizeof *s->species_at);
    s->group_at = malloc((n + 1) * sizeof *s->group_at);
    s->rank = malloc((n + 1) * sizeof *s->rank);
    if (!s->order || !s->first || !s->begins || !s->species_at || !s->group_at || !s->rank) {
        strata_free(s);
        return BC_NOMEM;
    }
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
    return BC_OK;
}

static size_t draw_in_group(const strata *s, size_t g, bc_random *rng) {
    size_t k = s->begins[g] + bc_random_below(rng, s->begins[g + 1] - s->begins[g]);
    size_t i = s->first[k] + bc_random_below(rng, s->first[k + 1] - s->first[k]);
    return s->order[i].recording;
}

/* A recording of the group of a other than a, or a itself if there is none. */
static size_t draw_neighbor(const strata *s, size_t a, bc_random *rng) {
    size_t g = s->group_at[a], own = s->species_at[a];
    size_t from = s->begins[g], species = s->begins[g + 1] - from;
    int alone = s->first[own + 1] - s->first[own] == 1; /* then its species is out */
    if (species == 1 && alone) return a;
    size_t k = from + bc_random_below(rng, species - (size_t)alone);
    if (alone && k >= own) k++;
    size_t count = s->first[k + 1] - s->first[k] - (k == own);
    size_t i = s->first[k] + bc_random_below(rng, count);
    if (k == own && i >= s->rank[a]) i++;
    return s->order[i].recording;
}

static size_t draw_distant(const strata *s, size_t a, bc_random *rng) {
    size_t g = bc_random_below(rng, s->groups - 1);
    if (g >= s->group_at[a]) g++;
    return draw_in_group(s, g, rng);
}

static double motif(const bc_recordings *r, size_t i, int second) {
    double m0 = r->motif_0_s[i], m1 = r->motif_1_s[i];
    if (!(m0 >= 0) || !(m1 >= 0)) return -1; /* NaN too */
    return second ? m1 : m0;
}

static double clip(const bc_recordings *r, size_t i, bc_random *rng) {
    double u = bc_random_uniform(rng), room = r->duration_s[i] - r->window_s;
    return room >= 0 ? r->window_s / 2 + u * room : -1;
}

int bc_triplets_draw(const bc_triplets *out, const bc_recordings *r, size_t first,
                     size_t samples, uint64_t seed, bc_error *e) {
    strata s;
    int rc = strata_new(&s, r);
    if (rc != BC_OK) return rc;
    if (s.groups < 2) {
        rc = bc_fail(e, "triplets need two groups or more, got %zu (of %zu recordings)",
                     s.groups, r->n);
        goto out;
    }
    for (size_t i = 0; i < samples; i++) {
        if (i % 65536 == 0 && bc_interrupted()) {
            rc = BC_STOPPED;
            goto out;
        }
        bc_random rng;
        bc_random_seed(&rng, seed, first + i);
        size_t a = draw_in_group(&s, bc_random_below(&rng, s.groups), &rng), b = a;
        uint64_t coins = bc_random_u64(&rng);
        if (coins >> 63) b = draw_neighbor(&s, a, &rng);
        size_t c = draw_distant(&s, a, &rng);
        int is_clip = coins >> 62 & 1;
        out->a[i] = (int64_t)a + 1;
        out->b[i] = (int64_t)b + 1;
        out->c[i] = (int64_t)c + 1;
        out->a_loc[i] = motif(r, a, 0);
        out->b_loc[i] = motif(r, b, b == a);
        out->c_loc[i] = is_clip ? clip(r, c, &rng) : motif(r, c, 0);
        out->neighbor[i] = b == a ? BC_NEIGHBOR_SELF : BC_NEIGHBOR_GROUP;
        out->distant[i] = is_clip ? BC_DISTANT_CLIP : BC_DISTANT_MOTIF;
    }
out:
    strata_free(&s);
    return rc;
}
