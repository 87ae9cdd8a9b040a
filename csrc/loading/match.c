/* match.c: which tiles belong to which triplets. */
#include "match.h"

#include <stdlib.h>

/* first[s]: the first window whose source is s or more. */
static int64_t *index_sources(const bc_windows *w, int64_t sources) {
    int64_t *first = malloc(((size_t)sources + 1) * sizeof *first), at = 0;
    for (int64_t s = 0; first != NULL && s <= sources; s++) {
        while (at < w->n && w->source[at] < s) at++;
        first[s] = at;
    }
    return first;
}

/* The first window of low..high-1 at loc, -1: none. */
static int64_t find(const double *loc_s, int64_t low, int64_t high, double loc) {
    int64_t end = high;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (loc_s[middle] < loc)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && loc_s[low] == loc ? low : -1;
}

int bc_match(int32_t *const window[BC_ROLES], int32_t *place, int64_t *found,
             const bc_windows *windows, int64_t sources, const bc_places *triplets) {
    int64_t *first = index_sources(windows, sources), n = 0;
    if (first == NULL) return BC_NOMEM;
    for (int64_t i = 0; i < triplets->n; i++) {
        int64_t id[BC_ROLES];
        int role = 0;
        for (; role < BC_ROLES; role++) {
            int32_t s = triplets->source[role][i];
            if (s < 0 || s >= sources) break;
            id[role] = find(windows->loc_s, first[s], first[s + 1], triplets->loc_s[role][i]);
            if (id[role] < 0) break;
        }
        if (role < BC_ROLES) continue;
        for (role = 0; role < BC_ROLES; role++) window[role][n] = (int32_t)id[role];
        place[n++] = (int32_t)i;
    }
    free(first);
    *found = n;
    return BC_OK;
}
