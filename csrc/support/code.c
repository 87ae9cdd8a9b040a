/* code.c: what the processor has. */
#include "code.h"

#include <stdlib.h>
#include <string.h>

static int in_force; /* 0 (BC_CODE_BEST): not yet looked up */

bool bc_code_has(enum bc_code code) {
#if defined(__x86_64__)
    /* what the code for x86-64-v3 and x86-64-v4 may use, as far as one can ask */
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (code == BC_CODE_AVX2) return v3;
    if (code == BC_CODE_AVX512)
        return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return code == BC_CODE_BEST || code == BC_CODE_PLAIN;
}

static enum bc_code first_choice(void) {
    static const char *const names[] = {"plain", "avx2", "avx512"};
    const char *wanted = getenv("BCLUA_INSTRUCTIONS");
    for (int i = 0; wanted != NULL && i < 3; i++)
        if (strcmp(wanted, names[i]) == 0 && bc_code_has((enum bc_code)(i + 1)))
            return (enum bc_code)(i + 1);
    return bc_code_has(BC_CODE_AVX512) ? BC_CODE_AVX512
           : bc_code_has(BC_CODE_AVX2) ? BC_CODE_AVX2
                                       : BC_CODE_PLAIN;
}

enum bc_code bc_code_now(void) {
    int code = __atomic_load_n(&in_force, __ATOMIC_RELAXED);
    if (code != BC_CODE_BEST) return (enum bc_code)code;
    bc_code_set(BC_CODE_BEST);
    return (enum bc_code)__atomic_load_n(&in_force, __ATOMIC_RELAXED);
}

void bc_code_set(enum bc_code code) {
    if (code == BC_CODE_BEST) code = first_choice();
    __atomic_store_n(&in_force, (int)code, __ATOMIC_RELAXED);
}
