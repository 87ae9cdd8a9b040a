/* simple_sweep.h: the steady way through the cells. For each frame t it
 * computes the squared distances c(t, t + d) of single frames, and from them
 * the window sums by doubling. The including file defines the vectors: see
 * loops_avx512.c. */

/* Lanes of row i are as near as what is known, or nearer: rare, so not in
 * vectors. Blocks come from the right: on a tie the later block has the lower
 * indices, and in a block the first lane. */
static void sweep_row(struct simple *s, const double *sum, size_t i, ptrdiff_t j) {
    ptrdiff_t from = j < 0 ? -j : 0, to = (ptrdiff_t)s->y_windows - j;
    if (to > DOUBLING_LANES) to = DOUBLING_LANES;
    if (s->nearest != NULL) {
        const ptrdiff_t lag = j - (ptrdiff_t)i;
        for (ptrdiff_t l = from; l < to; l++)
            if (sum[l] <= s->right.value[i] && (lag + l > s->zone || lag + l < -s->zone))
                bc_simple_set_neighbor(s, i, (size_t)(j + l), sum[l]);
        return;
    }
    double best = s->right.value[i];
    int64_t at = -1;
    for (ptrdiff_t l = from; l < to; l++)
        if (sum[l] < best || (sum[l] == best && at < 0)) best = sum[l], at = j + l;
    if (at >= 0) s->right.value[i] = best, s->right.index[i] = at;
}

TARGET static void sweep_part(struct simple *s, ptrdiff_t first, size_t begin, size_t end) {
    const size_t w = s->window, dims = s->dims;

    for (size_t t = begin; t < end + w - 1; t++) {
        V sum[SUM_V];
        UNROLL for (int v = 0; v < SUM_V; v++) sum[v] = SET1(0.0);
        const double *a = s->frames + t * dims;
        const double *b = s->columns + ((ptrdiff_t)t + first + s->margin);
        for (size_t d = 0; d < dims; d++, b += s->stride) {
            const V x = SET1(a[d]);
            UNROLL for (int v = 0; v < SUM_V; v++) {
                const V e = SUB(x, LOADU(b + v * VL));
                sum[v] = ADD(sum[v], MUL(e, e));
            }
        }

        window_sums(&s->sums, sum);
        if (t + 1 < begin + w) continue;

        const size_t i = t + 1 - w;
        const ptrdiff_t j = (ptrdiff_t)i + first;
        const V known = SET1(s->right.value[i]);
        M any = NOT_MORE(sum[0], known);
        UNROLL for (int v = 1; v < SUM_V; v++) any = OR(any, NOT_MORE(sum[v], known));
        if (ANY(any)) {
            double lanes[DOUBLING_LANES] __attribute__((aligned(64)));
            UNROLL for (int v = 0; v < SUM_V; v++) STORE(lanes + v * VL, sum[v]);
            sweep_row(s, lanes, i, j);
        }
        if (s->left.value == NULL) continue;
        double *left = s->left.value + j;
        M closer[SUM_V];
        any = closer[0] = LESS(sum[0], LOADU(left));
        UNROLL for (int v = 1; v < SUM_V; v++) {
            closer[v] = LESS(sum[v], LOADU(left + v * VL));
            any = OR(any, closer[v]);
        }
        if (!ANY(any)) continue;
        UNROLL for (int v = 0; v < SUM_V; v++) {
            KEEP(left + v * VL, closer[v], sum[v]);
            KEEP_INT(s->left.index + j + v * VL, closer[v], (int64_t)i);
        }
    }
}

TARGET void SWEEP(struct simple *s, ptrdiff_t first, size_t begin, size_t end) {
    for (ptrdiff_t part = SIMPLE_LANES - DOUBLING_LANES; part >= 0; part -= DOUBLING_LANES)
        sweep_part(s, first + part, begin, end);
}
