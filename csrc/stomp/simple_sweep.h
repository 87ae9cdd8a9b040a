/* simple_sweep.h: the steady way through the cells. For each frame t it
 * computes the squared distances c(t, t + d) of single frames, and from them
 * the window sums by doubling: with T_m(t) the sum of the last m of the c's,
 *
 *   T_2m(t)   = T_m(t) + T_m(t - m)
 *   T_2m+1(t) = T_2m(t) + c(t - 2m)
 *
 * so that the bits of w, from the second highest down, give
 * log2(w) + popcount(w) additions a cell, none of which ever subtracts. Each
 * sum has its own window's frames in it and nothing else: NaN, infinities and
 * huge values stay where they are.
 *
 * The including file defines the vectors: see simple_avx512.c. */

/* Lanes of row i are as near as what is known, or nearer: rare, so not in
 * vectors. Blocks come from the right: on a tie the later block has the lower
 * indices, and in a block the first lane. */
static void sweep_row(struct simple *s, const double *sum, size_t i, ptrdiff_t j) {
    ptrdiff_t from = j < 0 ? -j : 0, to = (ptrdiff_t)s->y_windows - j;
    if (to > SIMPLE_LANES) to = SIMPLE_LANES;
    double best = s->right.value[i];
    int64_t at = -1;
    for (ptrdiff_t l = from; l < to; l++)
        if (sum[l] < best || (sum[l] == best && at < 0)) best = sum[l], at = j + l;
    if (at >= 0) s->right.value[i] = best, s->right.index[i] = at;
}

enum { SWEEP_V = 32 / VL, SWEEP_LANES = SWEEP_V * VL }; /* half a block: registers */

TARGET static void sweep_half(struct simple *s, ptrdiff_t first, size_t begin, size_t end) {
    const size_t w = s->window, dims = s->dims;

    for (size_t t = begin; t < end + w - 1; t++) {
        V sum[SWEEP_V];
        UNROLL for (int v = 0; v < SWEEP_V; v++) sum[v] = SET1(0.0);
        const double *a = s->a + t * dims;
        const double *b = s->b + ((ptrdiff_t)t + first + s->margin);
        for (size_t d = 0; d < dims; d++, b += s->stride) {
            const V x = SET1(a[d]);
            UNROLL for (int v = 0; v < SWEEP_V; v++) {
                const V e = SUB(x, LOADU(b + v * VL));
                sum[v] = ADD(sum[v], MUL(e, e));
            }
        }

        if (s->c_rows > 0) {
            double *c = s->c + s->c_at * SWEEP_LANES;
            UNROLL for (int v = 0; v < SWEEP_V; v++) STORE(c + v * VL, sum[v]);
        }
        for (int k = 0; k < s->levels; k++) {
            struct simple_level *level = &s->level[k];
            double *old = level->ring + level->at * SWEEP_LANES;
            if (++level->at == level->lag) level->at = 0;
            UNROLL for (int v = 0; v < SWEEP_V; v++) {
                const V more = ADD(sum[v], LOAD(old + v * VL));
                STORE(old + v * VL, sum[v]);
                sum[v] = more;
            }
            if (level->odd) {
                size_t at = s->c_at >= level->odd ? 0 : s->c_rows;
                const double *c = s->c + (s->c_at + at - level->odd) * SWEEP_LANES;
                UNROLL for (int v = 0; v < SWEEP_V; v++) sum[v] = ADD(sum[v], LOAD(c + v * VL));
            }
        }
        if (++s->c_at >= s->c_rows) s->c_at = 0;
        if (t + 1 < begin + w) continue;

        const size_t i = t + 1 - w;
        const ptrdiff_t j = (ptrdiff_t)i + first;
        const V known = SET1(s->right.value[i]);
        M any = NOT_MORE(sum[0], known);
        UNROLL for (int v = 1; v < SWEEP_V; v++) any = OR(any, NOT_MORE(sum[v], known));
        if (ANY(any)) {
            double lanes[SIMPLE_LANES] __attribute__((aligned(64)));
            UNROLL for (int v = 0; v < SWEEP_V; v++) STORE(lanes + v * VL, sum[v]);
            for (int l = SWEEP_LANES; l < SIMPLE_LANES; l++) lanes[l] = NAN;
            sweep_row(s, lanes, i, j);
        }
        if (s->left.value == NULL) continue;
        double *left = s->left.value + j;
        M closer[SWEEP_V];
        any = closer[0] = LESS(sum[0], LOADU(left));
        UNROLL for (int v = 1; v < SWEEP_V; v++) {
            closer[v] = LESS(sum[v], LOADU(left + v * VL));
            any = OR(any, closer[v]);
        }
        if (!ANY(any)) continue;
        UNROLL for (int v = 0; v < SWEEP_V; v++) {
            KEEP(left + v * VL, closer[v], sum[v]);
            KEEP_INT(s->left.index + j + v * VL, closer[v], (int64_t)i);
        }
    }
}

TARGET void SWEEP(struct simple *s, ptrdiff_t first, size_t begin, size_t end) {
    for (ptrdiff_t half = SIMPLE_LANES - SWEEP_LANES; half >= 0; half -= SWEEP_LANES)
        sweep_half(s, first + half, begin, end);
}
