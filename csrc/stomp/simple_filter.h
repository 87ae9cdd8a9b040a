/* simple_filter.h: the fast way through the cells. It computes for each cell a
 * value that is within s->error of the distance; what that leaves open, which
 * is next to nothing, bc_simple_update_neighbor settles by the distances themselves.
 *
 * c(t, u) = |a_t|^2 + |b_u|^2 - 2 a_t.b_u is computed in floats like a matrix product, in
 * tiles of TILE_ROWS x TILE_V vectors that stay in registers, and rounded to whole steps of
 * one grid. Sums and differences of such c's are exact in integers, so that along a diagonal
 * sum(t) = sum(t - 1) + c(t) - c(t - w) gathers no error, however long it is.
 *
 * The including file defines the vectors: see loops_avx512.c. */

enum { FILTER_V = SIMPLE_LANES / FL };

/* c of TILE_ROWS frames from t on, row number `row` of their strip, lanes from `lane` on, into
 * their ring rows. Row r of a strip needs the columns from r on: it is stored r further left. */
TARGET static __attribute__((noinline)) void filter_tile(const struct simple *s, int32_t *rows,
                                                         size_t t, size_t u, int row, int lane) {
    const size_t dims = s->dims;
    const float *a = s->a + t * dims, *b[TILE_V];
    F c[TILE_ROWS][TILE_V];
    u += (size_t)lane;
    UNROLL for (int v = 0; v < TILE_V; v++) {
        const size_t at = u + (size_t)(v * FL);
        b[v] = s->b + at / SIMPLE_STRIP * SIMPLE_STRIP * dims + at % SIMPLE_STRIP;
        UNROLL for (int r = 0; r < TILE_ROWS; r++) c[r][v] = F_SET1(0);
    }
    for (size_t d = 0; d < dims; d++) {
        F y[TILE_V];
        UNROLL for (int v = 0; v < TILE_V; v++) y[v] = F_LOAD(b[v] + SIMPLE_STRIP * d);
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {
            const F x = F_SET1(a[(size_t)r * dims + d]);
            UNROLL for (int v = 0; v < TILE_V; v++) c[r][v] = F_FMA(x, y[v], c[r][v]);
        }
    }
    UNROLL for (int v = 0; v < TILE_V; v++) {
        const F norm = F_LOAD(s->b_norm + u + (size_t)(v * FL));
        UNROLL for (int r = 0; r < TILE_ROWS; r++) {
            c[r][v] = F_ADD(c[r][v], F_ADD(F_SET1(s->a_norm[t + (size_t)r]), norm));
            I_STOREU(rows + r * SIMPLE_PITCH + lane + v * FL - row - r, F_ROUND(c[r][v]));
        }
    }
}

/* Lanes of row i that may be nearer than what is known. */
static void filter_row(struct simple *s, const int32_t *value, size_t i, ptrdiff_t j) {
    ptrdiff_t from = j < 0 ? -j : 0, to = (ptrdiff_t)s->y_windows - j;
    if (to > SIMPLE_LANES) to = SIMPLE_LANES;
    for (ptrdiff_t l = from; l < to; l++)
        if (value[l] <= s->right.bound[i])
            bc_simple_update_neighbor(s, &s->right, false, i, (size_t)(j + l), value[l]);
}

/* The same for the left side; behind y's end nothing is near. */
static void filter_column(struct simple *s, const int32_t *value, size_t i, ptrdiff_t j) {
    for (ptrdiff_t l = 0; l < SIMPLE_LANES; l++)
        if (value[l] <= s->left.bound[j + l])
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
TARGET static __attribute__((noinline)) void filter_strip(struct simple *s, const int32_t *ring,
                                                          size_t ring_rows, size_t now,
                                                          size_t strip, ptrdiff_t first,
                                                          size_t begin, size_t end) {
    const size_t w = s->window;
    const I certain = I_SET1(-4 * s->slack), margin = I_SET1(2 * s->slack);
    int32_t lanes[SIMPLE_LANES] __attribute__((aligned(64)));
    size_t old = s->old;
    I sum[FILTER_V];
    UNROLL for (int v = 0; v < FILTER_V; v++) sum[v] = I_LOAD(s->lanes + v * FL);
    for (size_t t = strip; t < strip + SIMPLE_STRIP; t++) {
        const int32_t *c = ring + now * SIMPLE_PITCH;
        const int32_t *gone = ring + old * SIMPLE_PITCH;
        if (++now == ring_rows) now = 0;
        if (++old == ring_rows) old = 0;
        UNROLL for (int v = 0; v < FILTER_V; v++)
            sum[v] = I_ADD(sum[v], I_SUB(I_LOAD(c + v * FL), I_LOAD(gone + v * FL)));
        if (t + 1 < begin + w || t + 1 >= end + w) continue;

        const size_t i = t + 1 - w;
        const ptrdiff_t j = (ptrdiff_t)i + first;
        I least = sum[0];
        UNROLL for (int v = 1; v < FILTER_V; v++) least = I_MIN(least, sum[v]);
        if (I_ANY(I_NOT_MORE(least, I_SET1(s->right.bound[i])))) {
            UNROLL for (int v = 0; v < FILTER_V; v++) I_STORE(lanes + v * FL, sum[v]);
            filter_row(s, lanes, i, j);
        }
        if (s->left.bound == NULL) continue;
        int32_t *left = s->left.bound + j;
        I apart = I_SUB(sum[0], I_LOADU(left));
        UNROLL for (int v = 1; v < FILTER_V; v++)
            apart = I_MIN(apart, I_SUB(sum[v], I_LOADU(left + v * FL)));
        if (!I_ANY(I_NOT_MORE(apart, I_SET1(0)))) continue;
        IM doubt = I_NOT_MORE(I_SET1(1), I_SET1(0));
        UNROLL for (int v = 0; v < FILTER_V; v++) {
            apart = I_SUB(sum[v], I_LOADU(left + v * FL));
            const IM near = I_NOT_MORE(apart, I_SET1(0));
            doubt = I_OR(doubt, I_AND(near, I_NOT_MORE(certain, apart)));
        }
        if (I_ANY(doubt)) {
            UNROLL for (int v = 0; v < FILTER_V; v++) I_STORE(lanes + v * FL, sum[v]);
            filter_column(s, lanes, i, j);
            continue;
        }
        UNROLL for (int v = 0; v < FILTER_V; v++) {
            const IM closer = I_NOT_MORE(sum[v], I_LOADU(left + v * FL));
            I_KEEP(left + v * FL, closer, I_ADD(sum[v], margin));
            I_KEEP_WIDE(s->left.index + j + v * FL, closer, (int64_t)i);
        }
    }
    UNROLL for (int v = 0; v < FILTER_V; v++) I_STORE(s->lanes + v * FL, sum[v]);
    s->old = old;
}

TARGET void FILTER(struct simple *s, ptrdiff_t first, size_t begin, size_t end) {
    int32_t *ring = s->ring + SIMPLE_SPILL;
    size_t now = 0, frames = 0; /* the row for the next c; where the last window ends */
    begin = begin / SIMPLE_STRIP * SIMPLE_STRIP; /* t + first + margin is a multiple, too */

    /* Frames before the first count as c = 0. */
    memset(ring, 0, s->ring_rows * SIMPLE_PITCH * sizeof *ring);

    for (struct simple *p = s; p != NULL; p = p->next) {
        for (ptrdiff_t l = 0; l < SIMPLE_LANES; l++)
            p->lanes[l] = first + l <= p->zone && first + l >= -p->zone ? SIMPLE_FAR : 0;
        p->old = s->ring_rows - p->window;
        const size_t own = filter_end(p, first, end) + p->window - 1;
        if (!p->resting && own > frames) frames = own;
    }
    for (size_t strip = begin; strip < frames; strip += SIMPLE_STRIP) {
        int32_t *rows = ring + now * SIMPLE_PITCH;
        const size_t u = (size_t)((ptrdiff_t)strip + first + s->margin);
        for (int r = 0; r < SIMPLE_STRIP; r += TILE_ROWS)
            for (int lane = 0; lane < SIMPLE_LANES + SIMPLE_SPILL; lane += TILE_V * FL)
                filter_tile(s, rows + r * SIMPLE_PITCH, strip + (size_t)r, u, r, lane);
        for (struct simple *p = s; p != NULL; p = p->next) {
            const size_t own = filter_end(p, first, end);
            if (!p->resting && strip < own + p->window - 1)
                filter_strip(p, ring, s->ring_rows, now, strip, first, begin, own);
        }
        now += SIMPLE_STRIP; /* ring_rows is a multiple of it */
        if (now == s->ring_rows) now = 0;
    }
}
