/* simple_filter.h: the fast way through the cells. It computes for each cell a
 * value that is within s->error of the distance; what that leaves open, which
 * is next to nothing, bc_simple_update_neighbor settles by the distances themselves.
 *
 * c(t, u) = |a_t|^2 + |b_u|^2 - 2 a_t.b_u is computed like a matrix product, in
 * tiles of TILE_ROWS x TILE_V vectors that stay in registers. It is added to
 * a bias so large that every step rounds to one fixed grid; sums and
 * differences of such c's are then exact, so that along a diagonal
 * sum(t) = sum(t - 1) + c(t) - c(t - w) gathers no error, however long it is.
 *
 * The including file defines the vectors: see loops_avx512.c. */

enum { FILTER_V = SIMPLE_LANES / VL };

/* c of TILE_ROWS frames from t on, lanes from `lane` on, into their ring rows.
 * Row r needs the columns from t + r + first on: it is stored r further left. */
TARGET static __attribute__((noinline)) void filter_tile(const struct simple *s, double *rows,
                                                         size_t t, ptrdiff_t first, int lane) {
    const size_t dims = s->dims;
    const size_t u = (size_t)((ptrdiff_t)t + first + s->margin) + (size_t)lane;
    const double *a = s->a + t * dims, *b[TILE_V];
    V c[TILE_ROWS][TILE_V];
    UNROLL for (int v = 0; v < TILE_V; v++) {
        const size_t at = u + (size_t)(v * VL);
        b[v] = s->b + at / 8 * 8 * dims + at % 8;
        const V norm = LOAD(s->b_norm + at);
        UNROLL for (int r = 0; r < TILE_ROWS; r++)
            c[r][v] = ADD(SET1(s->a_norm[t + (size_t)r]), norm);
    }
    for (size_t d = 0; d < dims; d++) {
        V y[TILE_V];
        UNROLL for (int v = 0; v < TILE_V; v++) y[v] = LOAD(b[v] + 8 * d);
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {
            const V x = SET1(a[(size_t)r * dims + d]);
            UNROLL for (int v = 0; v < TILE_V; v++) c[r][v] = FMA(x, y[v], c[r][v]);
        }
    }
    UNROLL for (int r = 0; r < TILE_ROWS; r++)
        UNROLL for (int v = 0; v < TILE_V; v++)
            STOREU(rows + r * SIMPLE_PITCH + lane + v * VL - r, c[r][v]);
}

/* Lanes of row i that may be nearer than what is known. */
static void filter_row(struct simple *s, const double *value, size_t i, ptrdiff_t j) {
    ptrdiff_t from = j < 0 ? -j : 0, to = (ptrdiff_t)s->y_windows - j;
    if (to > SIMPLE_LANES) to = SIMPLE_LANES;
    for (ptrdiff_t l = from; l < to; l++)
        if (value[l] <= s->right.value[i]) /* INFINITY in the zone */
            bc_simple_update_neighbor(s, &s->right, false, i, (size_t)(j + l), value[l]);
}

/* The same for the left side; behind y's end the known value is -INFINITY. */
static void filter_column(struct simple *s, const double *value, size_t i, ptrdiff_t j) {
    for (ptrdiff_t l = 0; l < SIMPLE_LANES; l++)
        if (value[l] <= s->left.value[j + l])
            bc_simple_update_neighbor(s, &s->left, true, (size_t)(j + l), i, value[l]);
}

/* The last row of a block, and one more, for a window length that is linked to
 * the one that has `end`. */
static size_t filter_end(const struct simple *s, ptrdiff_t first, size_t end) {
    const ptrdiff_t own = (ptrdiff_t)s->y_windows - first;
    if (own > (ptrdiff_t)s->x_windows) return end < s->x_windows ? end : s->x_windows;
    return own < (ptrdiff_t)end ? (size_t)(own < 0 ? 0 : own) : end;
}

/* One strip of c's, which begins at row `now` of the ring, for one window length. */
TARGET static __attribute__((noinline)) void filter_strip(struct simple *s, const double *ring,
                                                          size_t ring_rows, size_t now,
                                                          size_t strip, ptrdiff_t first,
                                                          size_t begin, size_t end) {
    const size_t w = s->window;
    const V slack = SET1(4 * s->error), margin = SET1(2 * s->error);
    double lanes[SIMPLE_LANES] __attribute__((aligned(64)));
    size_t old = s->old;
    V sum[FILTER_V];
    UNROLL for (int v = 0; v < FILTER_V; v++) sum[v] = LOAD(s->lanes + v * VL);
    for (size_t t = strip; t < strip + SIMPLE_STRIP; t++) {
        const double *c = ring + now * SIMPLE_PITCH + SIMPLE_SPILL;
        const double *gone = ring + old * SIMPLE_PITCH + SIMPLE_SPILL;
        if (++now == ring_rows) now = 0;
        if (++old == ring_rows) old = 0;
        UNROLL for (int v = 0; v < FILTER_V; v++)
            sum[v] = ADD(sum[v], SUB(LOAD(c + v * VL), LOAD(gone + v * VL)));
        if (t + 1 < begin + w || t + 1 >= end + w) continue;

        const size_t i = t + 1 - w;
        const ptrdiff_t j = (ptrdiff_t)i + first;
        V least = sum[0];
        UNROLL for (int v = 1; v < FILTER_V; v++) least = MIN(least, sum[v]);
        if (ANY(NOT_MORE(least, SET1(s->right.value[i])))) {
            UNROLL for (int v = 0; v < FILTER_V; v++) STORE(lanes + v * VL, sum[v]);
            filter_row(s, lanes, i, j);
        }
        if (s->left.value == NULL) continue;
        double *left = s->left.value + j;
        M further = MORE(sum[0], LOADU(left));
        UNROLL for (int v = 1; v < FILTER_V; v++)
            further = AND_MORE(further, sum[v], LOADU(left + v * VL));
        if (ALL(further)) continue;
        M ambiguous = LESS(slack, slack);
        UNROLL for (int v = 0; v < FILTER_V; v++) {
            const V l = LOADU(left + v * VL);
            ambiguous = OR(ambiguous, AND(NOT_MORE(sum[v], l), NOT_MORE(SUB(l, slack), sum[v])));
        }
        if (ANY(ambiguous)) {
            UNROLL for (int v = 0; v < FILTER_V; v++) STORE(lanes + v * VL, sum[v]);
            filter_column(s, lanes, i, j);
            continue;
        }
        UNROLL for (int v = 0; v < FILTER_V; v++) {
            const M closer = NOT_MORE(sum[v], LOADU(left + v * VL));
            KEEP(left + v * VL, closer, ADD(sum[v], margin));
            KEEP_INT(s->left.index + j + v * VL, closer, (int64_t)i);
        }
    }
    UNROLL for (int v = 0; v < FILTER_V; v++) STORE(s->lanes + v * VL, sum[v]);
    s->old = old;
}

TARGET void FILTER(struct simple *s, ptrdiff_t first, size_t begin, size_t end) {
    size_t now = 0, frames = 0; /* the row for the next c; where the last window ends */
    begin = begin / 8 * 8; /* so that t + first + margin is a multiple of 8 too */

    /* Frames before the first count as c = 0, which with the bias is: */
    for (size_t k = 0; k < s->ring_rows * SIMPLE_PITCH; k++) s->ring[k] = s->bias;

    for (struct simple *p = s; p != NULL; p = p->next) {
        /* INFINITY stays: what is to be left out is never near */
        for (ptrdiff_t l = 0; l < SIMPLE_LANES; l++)
            p->lanes[l] = first + l <= p->zone && first + l >= -p->zone ? INFINITY : 0.0;
        p->old = s->ring_rows - p->window;
        const size_t own = filter_end(p, first, end) + p->window - 1;
        if (!p->resting && own > frames) frames = own;
    }
    for (size_t strip = begin; strip < frames; strip += SIMPLE_STRIP) {
        double *rows = s->ring + now * SIMPLE_PITCH + SIMPLE_SPILL;
        for (int r = 0; r < SIMPLE_STRIP; r += TILE_ROWS)
            for (int lane = 0; lane < SIMPLE_LANES + TILE_ROWS - 1; lane += TILE_V * VL)
                filter_tile(s, rows + r * SIMPLE_PITCH, strip + (size_t)r, first, lane);
        for (struct simple *p = s; p != NULL; p = p->next) {
            const size_t own = filter_end(p, first, end);
            if (!p->resting && strip < own + p->window - 1)
                filter_strip(p, s->ring, s->ring_rows, now, strip, first, begin, own);
        }
        now += SIMPLE_STRIP; /* ring_rows is a multiple of it */
        if (now == s->ring_rows) now = 0;
    }
}
