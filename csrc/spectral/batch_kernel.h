/* batch_kernel.h: the butterflies, included by batch.c once per precision with
 * REAL, LANES and NAME() defined.
 *
 * Decimation in frequency, radix 8 with one pass of radix 2 or 4 at the end
 * (van Loan, Computational Frameworks for the FFT, 1992, section 1.9). */

#define LANE_LOOP EACH_LANE(l, LANES)

/* One pass over blocks of 8q points: y[r] of (j, j+q, ..., j+7q) times w^(rj)
 * goes to j + rq, which leaves eight blocks of q points. */
static inline __attribute__((always_inline)) void NAME(radix8)(REAL *restrict z, size_t q,
                                                               const REAL *restrict w) {
    const REAL h = (REAL)0.70710678118654752440;
    const size_t s = q * 2 * LANES;
    for (size_t j = 0; j < q; j++, w += 14) {
        REAL *restrict a = z + j * 2 * LANES;
        LANE_LOOP {
            REAL *restrict b = a + l;
            REAL x0r = b[0], x0i = b[LANES], x4r = b[4 * s], x4i = b[4 * s + LANES];
            REAL x1r = b[s], x1i = b[s + LANES], x5r = b[5 * s], x5i = b[5 * s + LANES];
            REAL x2r = b[2 * s], x2i = b[2 * s + LANES], x6r = b[6 * s], x6i = b[6 * s + LANES];
            REAL x3r = b[3 * s], x3i = b[3 * s + LANES], x7r = b[7 * s], x7i = b[7 * s + LANES];

            REAL a0r = x0r + x4r, a0i = x0i + x4i, a4r = x0r - x4r, a4i = x0i - x4i;
            REAL a1r = x1r + x5r, a1i = x1i + x5i, a5r = x1r - x5r, a5i = x1i - x5i;
            REAL a2r = x2r + x6r, a2i = x2i + x6i, a6r = x2r - x6r, a6i = x2i - x6i;
            REAL a3r = x3r + x7r, a3i = x3i + x7i, a7r = x3r - x7r, a7i = x3i - x7i;

            REAL b0r = a0r + a2r, b0i = a0i + a2i, b2r = a0r - a2r, b2i = a0i - a2i;
            REAL b1r = a1r + a3r, b1i = a1i + a3i, b3r = a1r - a3r, b3i = a1i - a3i;
            /* a5 e^(-i pi/4), a7 e^(-3i pi/4) */
            REAL d1r = h * (a5r + a5i), d1i = h * (a5i - a5r);
            REAL d3r = h * (a7i - a7r), d3i = -h * (a7r + a7i);
            REAL c0r = a4r + a6i, c0i = a4i - a6r, c2r = a4r - a6i, c2i = a4i + a6r;
            REAL c1r = d1r + d3r, c1i = d1i + d3i, c3r = d1r - d3r, c3i = d1i - d3i;

            REAL y1r = c0r + c1r, y1i = c0i + c1i, y5r = c0r - c1r, y5i = c0i - c1i;
            REAL y3r = c2r + c3i, y3i = c2i - c3r, y7r = c2r - c3i, y7i = c2i + c3r;
            REAL y4r = b0r - b1r, y4i = b0i - b1i;
            REAL y2r = b2r + b3i, y2i = b2i - b3r, y6r = b2r - b3i, y6i = b2i + b3r;

            b[0] = b0r + b1r, b[LANES] = b0i + b1i;
            b[s] = y1r * w[0] - y1i * w[1], b[s + LANES] = y1r * w[1] + y1i * w[0];
            b[2 * s] = y2r * w[2] - y2i * w[3], b[2 * s + LANES] = y2r * w[3] + y2i * w[2];
            b[3 * s] = y3r * w[4] - y3i * w[5], b[3 * s + LANES] = y3r * w[5] + y3i * w[4];
            b[4 * s] = y4r * w[6] - y4i * w[7], b[4 * s + LANES] = y4r * w[7] + y4i * w[6];
            b[5 * s] = y5r * w[8] - y5i * w[9], b[5 * s + LANES] = y5r * w[9] + y5i * w[8];
            b[6 * s] = y6r * w[10] - y6i * w[11], b[6 * s + LANES] = y6r * w[11] + y6i * w[10];
            b[7 * s] = y7r * w[12] - y7i * w[13], b[7 * s + LANES] = y7r * w[13] + y7i * w[12];
        }
    }
}

static inline __attribute__((always_inline)) void NAME(radix4)(REAL *restrict z, size_t q,
                                                               const REAL *restrict w) {
    const size_t s = q * 2 * LANES;
    for (size_t j = 0; j < q; j++, w += 6) {
        REAL *restrict a = z + j * 2 * LANES;
        LANE_LOOP {
            REAL *restrict b = a + l;
            REAL x0r = b[0], x0i = b[LANES], x2r = b[2 * s], x2i = b[2 * s + LANES];
            REAL x1r = b[s], x1i = b[s + LANES], x3r = b[3 * s], x3i = b[3 * s + LANES];
            REAL b0r = x0r + x2r, b0i = x0i + x2i, b2r = x0r - x2r, b2i = x0i - x2i;
            REAL b1r = x1r + x3r, b1i = x1i + x3i, b3r = x1r - x3r, b3i = x1i - x3i;
            REAL y1r = b2r + b3i, y1i = b2i - b3r, y3r = b2r - b3i, y3i = b2i + b3r;
            REAL y2r = b0r - b1r, y2i = b0i - b1i;
            b[0] = b0r + b1r, b[LANES] = b0i + b1i;
            b[s] = y1r * w[0] - y1i * w[1], b[s + LANES] = y1r * w[1] + y1i * w[0];
            b[2 * s] = y2r * w[2] - y2i * w[3], b[2 * s + LANES] = y2r * w[3] + y2i * w[2];
            b[3 * s] = y3r * w[4] - y3i * w[5], b[3 * s + LANES] = y3r * w[5] + y3i * w[4];
        }
    }
}

static inline __attribute__((always_inline)) void NAME(radix2)(REAL *restrict z) {
    const size_t s = 2 * LANES;
    LANE_LOOP {
        REAL *restrict b = z + l;
        REAL x0r = b[0], x0i = b[LANES], x1r = b[s], x1i = b[s + LANES];
        b[0] = x0r + x1r, b[LANES] = x0i + x1i;
        b[s] = x0r - x1r, b[s + LANES] = x0i - x1i;
    }
}

static inline __attribute__((always_inline)) void NAME(pass)(REAL *z, int i, size_t span,
                                                             const batch_plan *p) {
    const REAL *w = p->NAME(twiddles) + p->twiddle[i];
    const size_t block = p->block[i], q = block / (size_t)p->radix[i];
    for (REAL *end = z + span * 2 * LANES; z < end; z += block * 2 * LANES) {
        if (p->radix[i] == 8)
            NAME(radix8)(z, q, w);
        else if (p->radix[i] == 4)
            NAME(radix4)(z, q, w);
        else
            NAME(radix2)(z);
    }
}

/* The first passes sweep over all points; as soon as a block fits the
 * first-level cache, the rest is done block by block. */
BC_EACH_CPU(extern, NAME(batch_fft), (REAL * z, const batch_plan *p), (z, p)) {
    const size_t fits = 32768 / (2 * LANES * sizeof(REAL));
    int i = 0;
    while (i < p->passes && p->block[i] > fits) NAME(pass)(z, i++, p->points, p);
    if (i == p->passes) return;
    for (size_t at = 0, block = p->block[i]; at < p->points; at += block)
        for (int j = i; j < p->passes; j++) NAME(pass)(z + at * 2 * LANES, j, block, p);
}

/* With E and O the transforms of the even and odd samples,
 * X[k] = E[k] + t O[k], t = e^(-i pi k / points), and out of Z = E + iO
 * 2E[k] = Z[k] + conj Z[-k], 2iO[k] = Z[k] - conj Z[-k]. */
BC_EACH_CPU(extern, NAME(batch_real),
            (REAL *restrict out, const REAL *restrict z, size_t first, size_t last,
             const batch_plan *p),
            (out, z, first, last, p)) {
    const size_t mask = p->points - 1;
    for (size_t k = first; k < last; k++, out += 2 * LANES) {
        const REAL *a = z + p->position[k & mask] * (size_t)(2 * LANES);
        const REAL *b = z + p->position[(p->points - k) & mask] * (size_t)(2 * LANES);
        const REAL tr = p->NAME(unpack)[2 * k], ti = p->NAME(unpack)[2 * k + 1];
        LANE_LOOP {
            REAL er = a[l] + b[l], ei = a[LANES + l] - b[LANES + l];
            REAL or = a[LANES + l] + b[LANES + l], oi = b[l] - a[l];
            out[l] = (REAL)0.5 * (er + (tr * or -ti * oi));
            out[LANES + l] = (REAL)0.5 * (ei + (tr * oi + ti * or));
        }
    }
}

#undef LANE_LOOP
