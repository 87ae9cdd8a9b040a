/* random.c: xoshiro256**, uniform, bounded (Lemire, 2019) and normal (polar). */
#include "random.h"

#include <math.h>

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static uint64_t splitmix64(uint64_t *x) {
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void bc_random_seed(bc_random *r, uint64_t seed, uint64_t stream) {
    uint64_t x = seed;
    x = splitmix64(&x) ^ (stream * 0xd1342543de82ef95u);
    for (int i = 0; i < 4; i++) r->s[i] = splitmix64(&x);
    r->spare = NAN;
}

uint64_t bc_random_u64(bc_random *r) {
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

double bc_random_uniform(bc_random *r) {
    return (double)(bc_random_u64(r) >> 11) * 0x1.0p-53;
}

uint64_t bc_random_below(bc_random *r, uint64_t n) {
    __extension__ typedef unsigned __int128 u128;
    u128 m = (u128)bc_random_u64(r) * n;
    if ((uint64_t)m < n) {
        uint64_t floor = -n % n; /* 2^64 mod n: reject what would favour low values */
        while ((uint64_t)m < floor) m = (u128)bc_random_u64(r) * n;
    }
    return (uint64_t)(m >> 64);
}

double bc_random_normal(bc_random *r) {
    if (!isnan(r->spare)) {
        double x = r->spare;
        r->spare = NAN;
        return x;
    }
    double u, v, s;
    do {
        u = 2 * bc_random_uniform(r) - 1;
        v = 2 * bc_random_uniform(r) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    double f = sqrt(-2 * log(s) / s);
    r->spare = v * f;
    return u * f;
}
