/* votes.c: an exact median by counting bits. */
#include "votes.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../support/select.h"

enum {
    STEPS = 100,  /* of the histogram, over one bin of 36 an octave */
    HALF = 65536, /* values of half the bits of a strength */
    ROOM = 1 << 21,
};

typedef uint32_t row[STEPS];

typedef struct peak {
    float strength, hz;
} peak;

struct votes {
    peak *kept;
    size_t count, room;
    size_t total;           /* peaks that were added */
    row *upper;             /* (HALF) counts; NULL: all peaks are kept */
    uint32_t low, high;     /* upper halves of those that are kept: low..high-1 */
    uint32_t middle[2];     /* upper halves of the two middle ones */
    size_t rank[2];         /* of the middle ones among those with their upper half */
    row *lower[2];          /* counts of those by their lower half */
    bool again;             /* this is the second pass */
};

int votes_new(votes **out) {
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return BC_NOMEM;
    (*out)->high = HALF;
    return BC_OK;
}

void votes_free(votes *v) {
    if (v == NULL) return;
    free(v->kept);
    free(v->upper);
    free(v->lower[0]);
    free(v->lower[1]);
    free(v);
}

/* Left edge of a step, as numpy.linspace(-0.5, 0.5, 101) has it. */
static double edge_of(int step) {
    return step < STEPS ? step * 0.01 - 0.5 : 0.5;
}

/* The step that a frequency's deviation from its nearest bin falls in. */
static int step_of(float hz) {
    float bins = 36 * log2f(hz / 27.5f);
    float off = bins - floorf(bins);
    if (off >= 0.5f) off -= 1;
    int step = (int)((off + 0.5) * STEPS);
    if (step > STEPS - 1) step = STEPS - 1;
    while (step > 0 && off < edge_of(step)) step--;
    while (step < STEPS - 1 && off >= edge_of(step + 1)) step++;
    return step;
}

/* Bits in the same order as the numbers, and back. */
static uint32_t key_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ (bits >> 31 ? UINT32_MAX : (uint32_t)1 << 31);
}

static float of_key(uint32_t key) {
    uint32_t bits = key ^ (key >> 31 ? (uint32_t)1 << 31 : UINT32_MAX);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static size_t sum_of(const row r) {
    size_t sum = 0;
    for (int i = 0; i < STEPS; i++) sum += r[i];
    return sum;
}

/* The row that peak number `rank` of them, from 0, is in; its number in there. */
static uint32_t find(size_t *rank, const row *rows) {
    uint32_t i = 0;
    for (; i + 1 < HALF; i++) {
        size_t n = sum_of(rows[i]);
        if (*rank < n) break;
        *rank -= n;
    }
    return i;
}

static int count_upper(votes *v) {
    v->upper = calloc(HALF, sizeof *v->upper);
    if (v->upper == NULL) return BC_NOMEM;
    for (size_t i = 0; i < v->count; i++)
        v->upper[key_of(v->kept[i].strength) >> 16][step_of(v->kept[i].hz)]++;
    return BC_OK;
}

/* Keep but those around the median so far: as many as half the room holds. */
static void narrow(votes *v) {
    size_t rank = v->total / 2, held;
    uint32_t low = find(&rank, (const row *)v->upper), high = low + 1;
    if (low < v->low || low >= v->high || sum_of(v->upper[low]) > ROOM / 2) {
        v->count = v->low = v->high = 0; /* the second pass will see them */
        return;
    }
    held = sum_of(v->upper[low]);
    while (low > v->low || high < v->high) {
        size_t below = low > v->low ? sum_of(v->upper[low - 1]) : 0;
        size_t above = high < v->high ? sum_of(v->upper[high]) : 0;
        if (held + below + above > ROOM / 2) break;
        held += below + above;
        if (low > v->low) low--;
        if (high < v->high) high++;
    }
    size_t count = 0;
    for (size_t i = 0; i < v->count; i++) {
        uint32_t upper = key_of(v->kept[i].strength) >> 16;
        if (upper >= low && upper < high) v->kept[count++] = v->kept[i];
    }
    v->count = count;
    v->low = low;
    v->high = high;
}

static int make_room(votes *v) {
    if (v->room < ROOM) {
        size_t room = v->room > 0 ? 2 * v->room : 4096;
        peak *kept = realloc(v->kept, room * sizeof *kept);
        if (kept == NULL) return BC_NOMEM;
        v->kept = kept;
        v->room = room;
        return BC_OK;
    }
    int rc = v->upper == NULL ? count_upper(v) : BC_OK;
    if (rc == BC_OK) narrow(v);
    return rc;
}

static void add_lower(votes *v, float strength, float hz) {
    uint32_t key = key_of(strength);
    for (int i = 0; i < 2; i++)
        if (key >> 16 == v->middle[i] && v->lower[i] != NULL)
            v->lower[i][key & (HALF - 1)][step_of(hz)]++;
}

int votes_add(votes *v, float strength, float hz) {
    if (v->again) {
        add_lower(v, strength, hz);
        return BC_OK;
    }
    if (v->count == v->room) {
        int rc = make_room(v);
        if (rc != BC_OK) return rc;
    }
    v->total++;
    uint32_t upper = key_of(strength) >> 16;
    if (v->upper != NULL) v->upper[upper][step_of(hz)]++;
    if (upper >= v->low && upper < v->high) v->kept[v->count++] = (peak){strength, hz};
    return BC_OK;
}

static float largest(const float *x, size_t n) {
    float most = x[0];
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

/* The votes, if all peaks were kept. */
static int count_kept(size_t *count, const votes *v) {
    const size_t n = v->count;
    float *x = malloc(n * sizeof *x);
    if (x == NULL) return BC_NOMEM;
    for (size_t i = 0; i < n; i++) x[i] = v->kept[i].strength;
    float least = bc_select_kth(x, n, n / 2);
    if (n % 2 == 0) least = (largest(x, n / 2) + least) / 2; /* x[0..n/2-1] are below */
    free(x);
    for (size_t i = 0; i < n; i++)
        if (v->kept[i].strength >= least) count[step_of(v->kept[i].hz)]++;
    return BC_OK;
}

/* Where the two middle peaks are (one and the same if their number is odd), and
 * tables for their lower halves: filled, if they were kept. */
static int find_middle(votes *v) {
    for (int i = 0; i < 2; i++) {
        v->rank[i] = (v->total - 1 + (size_t)i) / 2;
        v->middle[i] = find(&v->rank[i], (const row *)v->upper);
        if (i == 1 && v->middle[1] == v->middle[0]) continue;
        v->lower[i] = calloc(HALF, sizeof *v->lower[i]);
        if (v->lower[i] == NULL) return BC_NOMEM;
    }
    v->again = v->middle[0] < v->low || v->middle[1] >= v->high;
    for (size_t i = 0; !v->again && i < v->count; i++)
        add_lower(v, v->kept[i].strength, v->kept[i].hz);
    free(v->kept);
    v->kept = NULL;
    return BC_OK;
}

/* The votes, by the tables. */
static void count_tables(size_t *count, votes *v) {
    const row *lower[2] = {(const row *)v->lower[0],
                           (const row *)(v->lower[1] != NULL ? v->lower[1] : v->lower[0])};
    uint32_t key[2];
    for (int i = 0; i < 2; i++) key[i] = v->middle[i] << 16 | find(&v->rank[i], lower[i]);
    /* no peak is between the two: all from one of them on have a vote */
    float first = of_key(key[0]), least = (first + of_key(key[1])) / 2;
    int from = least <= first || v->total % 2 == 1 ? 0 : 1;
    for (uint32_t l = key[from] & (HALF - 1); l < HALF; l++)
        for (int s = 0; s < STEPS; s++) count[s] += lower[from][l][s];
    for (uint32_t u = v->middle[from] + 1; u < HALF; u++)
        for (int s = 0; s < STEPS; s++) count[s] += v->upper[u][s];
}

int votes_count(double *tuning, bool *again, votes *v) {
    size_t count[STEPS] = {0};
    int rc = BC_OK, best = 0;
    *tuning = 0;
    *again = false;
    if (v->total == 0) return BC_OK;
    if (v->upper == NULL) {
        rc = count_kept(count, v);
    } else {
        bool second = v->again;
        if (!second) rc = find_middle(v);
        *again = rc == BC_OK && !second && v->again;
        if (rc == BC_OK && !*again) count_tables(count, v);
    }
    for (int i = 1; i < STEPS; i++)
        if (count[i] > count[best]) best = i;
    *tuning = edge_of(best);
    return rc;
}
