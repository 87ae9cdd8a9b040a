/* tuning_histogram.c: an exact median by counting bits. */
#include "tuning_histogram.h"

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

struct tuning_histogram {
    peak *kept;
    size_t count, room;
    size_t total;       /* peaks that were added */
    row *upper;         /* (HALF) counts; NULL: all peaks are kept */
    uint32_t low, high; /* upper halves of those that are kept: low..high-1 */
    uint32_t middle[2]; /* upper halves of the two middle ones */
    size_t rank[2];     /* of the middle ones among those with their upper half */
    row *lower[2];      /* counts of those by their lower half */
    bool again;         /* this is the second pass */
};

int tuning_histogram_new(tuning_histogram **out) {
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return BC_NOMEM;
    (*out)->high = HALF;
    return BC_OK;
}

void tuning_histogram_free(tuning_histogram *h) {
    if (h == NULL) return;
    free(h->kept);
    free(h->upper);
    free(h->lower[0]);
    free(h->lower[1]);
    free(h);
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

static int count_upper(tuning_histogram *h) {
    h->upper = calloc(HALF, sizeof *h->upper);
    if (h->upper == NULL) return BC_NOMEM;
    for (size_t i = 0; i < h->count; i++)
        h->upper[key_of(h->kept[i].strength) >> 16][step_of(h->kept[i].hz)]++;
    return BC_OK;
}

/* Keep but those around the median so far: as many as half the room holds. */
static void narrow(tuning_histogram *h) {
    size_t rank = h->total / 2, held;
    uint32_t low = find(&rank, (const row *)h->upper), high = low + 1;
    if (low < h->low || low >= h->high || sum_of(h->upper[low]) > ROOM / 2) {
        h->count = h->low = h->high = 0; /* the second pass will see them */
        return;
    }
    held = sum_of(h->upper[low]);
    while (low > h->low || high < h->high) {
        size_t below = low > h->low ? sum_of(h->upper[low - 1]) : 0;
        size_t above = high < h->high ? sum_of(h->upper[high]) : 0;
        if (held + below + above > ROOM / 2) break;
        held += below + above;
        if (low > h->low) low--;
        if (high < h->high) high++;
    }
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++) {
        uint32_t upper = key_of(h->kept[i].strength) >> 16;
        if (upper >= low && upper < high) h->kept[count++] = h->kept[i];
    }
    h->count = count;
    h->low = low;
    h->high = high;
}

static int make_room(tuning_histogram *h) {
    if (h->room < ROOM) {
        size_t room = h->room > 0 ? 2 * h->room : 4096;
        peak *kept = realloc(h->kept, room * sizeof *kept);
        if (kept == NULL) return BC_NOMEM;
        h->kept = kept;
        h->room = room;
        return BC_OK;
    }
    int rc = h->upper == NULL ? count_upper(h) : BC_OK;
    if (rc == BC_OK) narrow(h);
    return rc;
}

static void add_lower(tuning_histogram *h, float strength, float hz) {
    uint32_t key = key_of(strength);
    for (int i = 0; i < 2; i++)
        if (key >> 16 == h->middle[i] && h->lower[i] != NULL)
            h->lower[i][key & (HALF - 1)][step_of(hz)]++;
}

int tuning_histogram_add(tuning_histogram *h, float strength, float hz) {
    if (h->again) {
        add_lower(h, strength, hz);
        return BC_OK;
    }
    if (h->count == h->room) {
        int rc = make_room(h);
        if (rc != BC_OK) return rc;
    }
    h->total++;
    uint32_t upper = key_of(strength) >> 16;
    if (h->upper != NULL) h->upper[upper][step_of(hz)]++;
    if (upper >= h->low && upper < h->high) h->kept[h->count++] = (peak){strength, hz};
    return BC_OK;
}

static float largest(const float *x, size_t n) {
    float most = x[0];
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

/* The histogram, if all peaks were kept. */
static int count_kept(size_t *count, const tuning_histogram *h) {
    const size_t n = h->count;
    float *x = malloc(n * sizeof *x);
    if (x == NULL) return BC_NOMEM;
    for (size_t i = 0; i < n; i++) x[i] = h->kept[i].strength;
    float least = bc_select_kth(x, n, n / 2);
    if (n % 2 == 0) least = (largest(x, n / 2) + least) / 2; /* x[0..n/2-1] are below */
    free(x);
    for (size_t i = 0; i < n; i++)
        if (h->kept[i].strength >= least) count[step_of(h->kept[i].hz)]++;
    return BC_OK;
}

/* Where the two middle peaks are (one and the same if their number is odd), and
 * tables for their lower halves: filled, if they were kept. */
static int find_middle(tuning_histogram *h) {
    for (int i = 0; i < 2; i++) {
        h->rank[i] = (h->total - 1 + (size_t)i) / 2;
        h->middle[i] = find(&h->rank[i], (const row *)h->upper);
        if (i == 1 && h->middle[1] == h->middle[0]) continue;
        h->lower[i] = calloc(HALF, sizeof *h->lower[i]);
        if (h->lower[i] == NULL) return BC_NOMEM;
    }
    h->again = h->middle[0] < h->low || h->middle[1] >= h->high;
    for (size_t i = 0; !h->again && i < h->count; i++)
        add_lower(h, h->kept[i].strength, h->kept[i].hz);
    free(h->kept);
    h->kept = NULL;
    return BC_OK;
}

/* The histogram, by the tables. */
static void count_tables(size_t *count, tuning_histogram *h) {
    const row *lower[2] = {(const row *)h->lower[0],
                           (const row *)(h->lower[1] != NULL ? h->lower[1] : h->lower[0])};
    uint32_t key[2];
    for (int i = 0; i < 2; i++) key[i] = h->middle[i] << 16 | find(&h->rank[i], lower[i]);
    /* no peak is between the two: all from one of them on count */
    float first = of_key(key[0]), least = (first + of_key(key[1])) / 2;
    int from = least <= first || h->total % 2 == 1 ? 0 : 1;
    for (uint32_t l = key[from] & (HALF - 1); l < HALF; l++)
        for (int s = 0; s < STEPS; s++) count[s] += lower[from][l][s];
    for (uint32_t u = h->middle[from] + 1; u < HALF; u++)
        for (int s = 0; s < STEPS; s++) count[s] += h->upper[u][s];
}

int tuning_histogram_count(double *tuning, bool *again, tuning_histogram *h) {
    size_t count[STEPS] = {0};
    int rc = BC_OK, best = 0;
    *tuning = NAN;
    *again = false;
    if (h->total == 0) return BC_OK;
    if (h->upper == NULL) {
        rc = count_kept(count, h);
    } else {
        bool second = h->again;
        if (!second) rc = find_middle(h);
        *again = rc == BC_OK && !second && h->again;
        if (rc == BC_OK && !*again) count_tables(count, h);
    }
    for (int i = 1; i < STEPS; i++)
        if (count[i] > count[best]) best = i;
    *tuning = edge_of(best);
    return rc;
}
