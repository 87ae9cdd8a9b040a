/* loops_sum.h: sums by doubling (doubling.h), in vectors. The including file
 * defines them: see loops_avx512.c. */

enum { SUM_V = DOUBLING_LANES / VL };

/* sum: the values of one time in, the sums of the last w out. */
TARGET __attribute__((always_inline)) static inline void window_sums(struct doubling *s, V *sum) {
    if (s->c_rows > 0) {
        double *c = s->c + s->c_at * DOUBLING_LANES;
        UNROLL for (int v = 0; v < SUM_V; v++) STORE(c + v * VL, sum[v]);
    }
    for (int k = 0; k < s->levels; k++) {
        struct doubling_level *level = &s->level[k];
        double *old = level->ring + level->at * DOUBLING_LANES;
        if (++level->at == level->lag) level->at = 0;
        UNROLL for (int v = 0; v < SUM_V; v++) {
            const V more = ADD(sum[v], LOAD(old + v * VL));
            STORE(old + v * VL, sum[v]);
            sum[v] = more;
        }
        if (level->odd) {
            const size_t wrap = s->c_at >= level->odd ? 0 : s->c_rows;
            const double *c = s->c + (s->c_at + wrap - level->odd) * DOUBLING_LANES;
            UNROLL for (int v = 0; v < SUM_V; v++) sum[v] = ADD(sum[v], LOAD(c + v * VL));
        }
    }
    if (++s->c_at >= s->c_rows) s->c_at = 0;
}
