/* sample_passes.c: group norm and dropout. */
#include <math.h>
#include <string.h>

#include "access.h"
#include "passes.h"

/* splitmix64's finish: every bit of the result depends on every bit of x. */
static uint64_t mix(uint64_t x) {
    x ^= x >> 30, x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 27, x *= 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static uint64_t name_key(const char *name) {
    uint64_t key = 0xcbf29ce484222325;
    for (; *name != 0; name++) key = (key ^ (uint8_t)*name) * 0x100000001b3;
    return key;
}

#define NN_TWICE "sample_passes.inc"
#include "twice.h"
