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

typedef float four __attribute__((vector_size(16)));
typedef int32_t four_ints __attribute__((vector_size(16)));

static inline four four_load(const float *p) {
    four v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline four_ints ints_load(const int32_t *p) {
    four_ints v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void ints_store(int32_t *p, four_ints v) { memcpy(p, &v, sizeof v); }

static inline four_ints ints_min(four_ints x, four_ints y) {
    const four_ints less = x < y;
    return (less & x) | (~less & y);
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
#define FMA(x, y, z) ((x) * (y) + (z)) /* rounds twice: znorm's bounds may */
#define LESS(x, y) ((x) < (y))
#define NOT_MORE(x, y) ((x) <= (y))
#define OR(x, y) ((x) | (y))
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
#define F four
#define FL 4
#define F_LOAD(p) four_load(p)
#define F_SET1(x) ((four){(x), (x), (x), (x)})
#define F_ADD(x, y) ((x) + (y))
#define F_FMA(x, y, z) ((x) * (y) + (z)) /* rounds twice: the filter may */
#define F_ROUND(x) __builtin_convertvector((x) + 0.5f, four_ints) /* of what is not below 0 */
#define I four_ints
#define IM four_ints
#define I_LOAD(p) ints_load(p)
#define I_LOADU(p) ints_load(p)
#define I_STORE(p, v) ints_store(p, v)
#define I_STOREU(p, v) ints_store(p, v)
#define I_SET1(x) ((four_ints){(x), (x), (x), (x)})
#define I_ADD(x, y) ((x) + (y))
#define I_SUB(x, y) ((x) - (y))
#define I_MIN(x, y) ints_min(x, y)
#define I_NOT_MORE(x, y) ((x) <= (y))
#define I_OR(x, y) ((x) | (y))
#define I_AND(x, y) ((x) & (y))
#define I_ANY(m) (((m)[0] | (m)[1] | (m)[2] | (m)[3]) != 0)
#define I_KEEP(p, m, v) \
    for (int lane_ = 0; lane_ < 4; lane_++) \
        if ((m)[lane_]) (p)[lane_] = (v)[lane_]
#define I_KEEP_WIDE(p, m, i) \
    for (int lane_ = 0; lane_ < 4; lane_++) \
        if ((m)[lane_]) (p)[lane_] = (i)
#include "loops_sum.h"
#include "simple_filter.h"
#include "simple_sweep.h"
#include "znorm_sweep.h"
