/* random.h: a seeded generator, xoshiro256** (Blackman & Vigna, 2018), seeded
 * by splitmix64. Same seed and stream, same numbers, on every machine. */
#ifndef BC_RANDOM_H
#define BC_RANDOM_H

#include <stdint.h>

typedef struct bc_random {
    uint64_t s[4];
    double spare; /* second value of the last polar pair, NAN when used */
} bc_random;

/* Streams of one seed are independent: give each thread, epoch or item its
 * own stream number, so that results do not depend on who runs what. */
void bc_random_seed(bc_random *r, uint64_t seed, uint64_t stream);

uint64_t bc_random_u64(bc_random *r);
double bc_random_uniform(bc_random *r);              /* [0, 1), 53 bits */
uint64_t bc_random_below(bc_random *r, uint64_t n);  /* 0..n-1, unbiased; n >= 1 */
double bc_random_normal(bc_random *r);               /* mean 0, deviation 1 */

#endif
