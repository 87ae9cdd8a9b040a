/* znorm_sweep.h: the loops of znorm.c. For each cell they compute the upper
 * bound of the correlation; the few cells that could be better than what is
 * known go to bc_znorm_update_neighbor. The including file defines the vectors: see
 * loops_avx512.c. */

static void znorm_lanes(struct znorm *z, const double *upper, size_t i, ptrdiff_t j) {
    ptrdiff_t from = j < 0 ? -j : 0, to = (ptrdiff_t)z->b.windows - j;
    if (to > DOUBLING_LANES) to = DOUBLING_LANES;
    for (ptrdiff_t l = from; l < to; l++) {
        const size_t u = (size_t)(j + l);
        const ptrdiff_t lag = j + l - (ptrdiff_t)i;
        if (lag <= z->zone && lag >= -z->zone) continue;
        const double correlation = upper[l] - z->a.e[i] * z->b.e[u];
        if (upper[l] >= z->right.value[i])
            bc_znorm_update_neighbor(z, &z->right, false, i, u, correlation);
        if (z->left.value != NULL && upper[l] >= z->left.value[u])
            bc_znorm_update_neighbor(z, &z->left, true, u, i, correlation);
    }
}

/* Row i's sums of products -> upper bounds of the correlation -> offers. */
TARGET __attribute__((always_inline)) static inline void znorm_row(struct znorm *z, const V *sum,
                                                                   size_t i, ptrdiff_t first) {
    const ptrdiff_t j = (ptrdiff_t)i + first;
    const V p = SET1(z->a.p[i]), s = SET1(z->a.s[i]), e = SET1(z->a.e[i]);
    const double *pj = z->b.p + j, *sj = z->b.s + j, *ej = z->b.e + j;
    const V right = SET1(z->right.value[i]);
    const double *left = z->left.value == NULL ? NULL : z->left.value + j;
    V upper[SUM_V];
    M worse = ALL_OF_IT;
    UNROLL for (int v = 0; v < SUM_V; v++) {
        const V bound = SUB(MUL(e, LOADU(ej + v * VL)), MUL(s, LOADU(sj + v * VL)));
        upper[v] = FMA(MUL(sum[v], LOADU(pj + v * VL)), p, bound);
        worse = AND_BELOW(worse, upper[v], right);
    }
    if (left != NULL)
        UNROLL for (int v = 0; v < SUM_V; v++)
            worse = AND_BELOW(worse, upper[v], LOADU(left + v * VL));
    if (ALL(worse)) return;
    double lanes[DOUBLING_LANES] __attribute__((aligned(64)));
    UNROLL for (int v = 0; v < SUM_V; v++) STORE(lanes + v * VL, upper[v]);
    znorm_lanes(z, lanes, i, j);
}

/* The fast way: products are rounded to one grid (see simple_filter.h), so
 * that adding the new and taking away the old gathers no error. The old ones
 * are computed again: that is cheaper than to keep them. */
TARGET void ZNORM_GRID(struct znorm *z, ptrdiff_t first, size_t begin, size_t end) {
    const size_t m = z->window;
    const V bias = SET1(z->bias);
    V sum[SUM_V];
    UNROLL for (int v = 0; v < SUM_V; v++) sum[v] = SET1(0.0);
    for (size_t t = begin; t < end + m - 1; t++) {
        const V x = SET1(z->a.x[t]);
        const double *y = z->b.x + ((ptrdiff_t)t + first);
        if (t < begin + m) {
            UNROLL for (int v = 0; v < SUM_V; v++)
                sum[v] = ADD(sum[v], SUB(FMA(x, LOADU(y + v * VL), bias), bias));
        } else {
            const V x_old = SET1(z->a.x[t - m]);
            const double *y_old = y - m;
            UNROLL for (int v = 0; v < SUM_V; v++)
                sum[v] = ADD(sum[v], SUB(FMA(x, LOADU(y + v * VL), bias),
                                         FMA(x_old, LOADU(y_old + v * VL), bias)));
        }
        if (t + 1 >= begin + m) znorm_row(z, sum, t + 1 - m, first);
    }
}

/* The steady way: each sum from its own window. */
TARGET void ZNORM_SWEEP(struct znorm *z, ptrdiff_t first, size_t begin, size_t end) {
    const size_t m = z->window;
    for (size_t t = begin; t < end + m - 1; t++) {
        V sum[SUM_V];
        const V x = SET1(z->a.x[t]);
        const double *y = z->b.x + ((ptrdiff_t)t + first);
        UNROLL for (int v = 0; v < SUM_V; v++) sum[v] = MUL(x, LOADU(y + v * VL));
        window_sums(&z->sums, sum);
        if (t + 1 >= begin + m) znorm_row(z, sum, t + 1 - m, first);
    }
}
