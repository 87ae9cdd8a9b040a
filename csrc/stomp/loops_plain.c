/* loops_plain.c: the hot loops for any processor, in vectors of two,
 * which the compiler maps to what there is (SSE2, NEON). */
#include <math.h>
#include <string.h>

#include "simple_vectors.h"
#include "znorm_vectors.h"

typedef double pair __attribute__((vector_size(16)));
typedef int64_t pair_mask __attribute__((vector_size(16)));

static inline pair pair_load(const double *p) {
    pair v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void pair_store(double *p, pair v) { memcpy(p, &v, sizeof v); }

static inline pair pair_min(pair x, pair y) {
    return (pair){x[0] < y[0] ? x[0] : y[0], x[1] < y[1] ? x[1] : y[1]};
}

#define SWEEP bc_sweep_plain
#define FILTER bc_filter_plain
#define ZNORM_GRID bc_znorm_grid_plain
#define ZNORM_SWEEP bc_znorm_sweep_plain
#define TARGET
#define V pair
#define VL 2
#define TILE_ROWS 2
#define TILE_V 4
#define M pair_mask
#define LOAD(p) pair_load(p)
#define LOADU(p) pair_load(p)
#define STORE(p, v) pair_store(p, v)
#define STOREU(p, v) pair_store(p, v)
#define SET1(x) ((pair){(x), (x)})
#define ADD(x, y) ((x) + (y))
#define SUB(x, y) ((x) - (y))
#define MUL(x, y) ((x) * (y))
#define MIN(x, y) pair_min(x, y)
#define FMA(x, y, z) ((x) * (y) + (z)) /* rounds twice: the filter may */
#define LESS(x, y) ((x) < (y))
#define NOT_MORE(x, y) ((x) <= (y))
#define OR(x, y) ((x) | (y))
#define AND(x, y) ((x) & (y))
#define MORE(x, y) ((x) > (y))
#define AND_MORE(m, x, y) ((m) & ((x) > (y)))
#define AND_BELOW(m, x, y) ((m) & ~((x) >= (y))) /* NaN is below */
#define ALL_OF_IT ((pair_mask){-1, -1})
#define ALL(m) (((m)[0] & (m)[1]) != 0)
#define ANY(m) (((m)[0] | (m)[1]) != 0)
#define KEEP(p, m, v) \
    for (int lane_ = 0; lane_ < 2; lane_++) \
        if ((m)[lane_]) (p)[lane_] = (v)[lane_]
#define KEEP_INT(p, m, i) \
    for (int lane_ = 0; lane_ < 2; lane_++) \
        if ((m)[lane_]) (p)[lane_] = (i)
#include "loops_sum.h"
#include "simple_filter.h"
#include "simple_sweep.h"
#include "znorm_sweep.h"
