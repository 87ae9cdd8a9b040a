/* match.c: which tiles belong to which triplets. */
#include "match.h"

static bool is_before(const bc_windows *w, int64_t i, int32_t source, double loc_s) {
    return w->source[i] < source || (w->source[i] == source && w->loc_s[i] < loc_s);
}

/* The first window of a source at a location, -1: none. */
static int64_t find(const bc_windows *w, int32_t source, double loc_s) {
    int64_t low = 0, high = w->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (is_before(w, middle, source, loc_s))
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->n && w->source[low] == source && w->loc_s[low] == loc_s ? low : -1;
}

int64_t bc_match(int32_t *const window[BC_ROLES], int32_t *place, const bc_windows *windows,
                 const bc_places *triplets) {
    int64_t n = 0;
    for (int64_t i = 0; i < triplets->n; i++) {
        int role = 0;
        for (; role < BC_ROLES; role++) {
            int64_t k = find(windows, triplets->source[role][i], triplets->loc_s[role][i]);
            if (k < 0) break;
            window[role][n] = (int32_t)k;
        }
        if (role == BC_ROLES) place[n++] = (int32_t)i;
    }
    return n;
}
