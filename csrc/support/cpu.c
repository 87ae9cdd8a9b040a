/* cpu.c: what the processor has. */
#include "cpu.h"

#include <stdlib.h>
#include <string.h>

const char *const bc_cpu_names[] = {"best", "plain", "avx2", "avx512", NULL};

static int in_force; /* 0 (BC_CPU_BEST): not yet looked up */

bool bc_cpu_has(enum bc_cpu level) {
#if defined(__x86_64__)
    /* what the code for x86-64-v3 and x86-64-v4 may use, as far as one can ask */
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (level == BC_CPU_AVX2) return v3;
    if (level == BC_CPU_AVX512)
        return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return level == BC_CPU_BEST || level == BC_CPU_PLAIN;
}

static enum bc_cpu first_choice(void) {
    const char *wanted = getenv("BCLUA_INSTRUCTIONS");
    for (int i = BC_CPU_PLAIN; wanted != NULL && bc_cpu_names[i] != NULL; i++)
        if (strcmp(wanted, bc_cpu_names[i]) == 0 && bc_cpu_has((enum bc_cpu)i))
            return (enum bc_cpu)i;
    return bc_cpu_has(BC_CPU_AVX512) ? BC_CPU_AVX512
           : bc_cpu_has(BC_CPU_AVX2) ? BC_CPU_AVX2
                                     : BC_CPU_PLAIN;
}

enum bc_cpu bc_cpu_now(void) {
    int level = __atomic_load_n(&in_force, __ATOMIC_RELAXED);
    if (level != BC_CPU_BEST) return (enum bc_cpu)level;
    bc_cpu_set(BC_CPU_BEST);
    return (enum bc_cpu)__atomic_load_n(&in_force, __ATOMIC_RELAXED);
}

void bc_cpu_set(enum bc_cpu level) {
    if (level == BC_CPU_BEST) level = first_choice();
    __atomic_store_n(&in_force, (int)level, __ATOMIC_RELAXED);
}
