/* merge.c: one list of nearest neighbours out of two. */
#include "merge.h"

#include <stdbool.h>

#include "nearest.h"

static bool has(const int64_t *index, size_t k, int64_t j) {
    for (size_t m = 0; m < k; m++)
        if (index[m] == j) return true;
    return false;
}

void bc_merge_nearest(double *to_distance, int64_t *to_index, const double *distance,
                      const int64_t *index, size_t n, size_t k) {
    struct nearest to = {to_distance, to_index, k};
    for (size_t i = 0; i < n; i++)
        for (size_t m = 0; m < k; m++) {
            const int64_t j = index[i * k + m];
            if (j >= 0 && !has(to_index + i * k, k, j))
                bc_nearest_put(&to, i, distance[i * k + m], j);
        }
}
