/* cpu.c: what the processor has. */
#include "cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#if BC_HAVE_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

const char *const bc_cpu_names[] = {"best", "plain", "avx2", "avx512", "avx512_bf16", "amx", NULL};

static int in_force; /* 0 (BC_CPU_BEST): not yet looked up */

#if BC_HAVE_AMX
#define REQUEST_PERMISSION 0x1023 /* ARCH_REQ_XCOMP_PERM */
#define TILE_DATA 18              /* XFEATURE_XTILEDATA */

static bool amx;

/* CPUID 7: AMX-BF16 and AMX-TILE; then Linux must give us the registers. */
static void ask_for_amx(void) {
    unsigned a = 7, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    amx = (d >> 22 & 1) && (d >> 24 & 1) &&
          syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

static bool has_amx(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask_for_amx);
    return amx;
}
#else
static bool has_amx(void) {
    return false;
}
#endif

bool bc_cpu_has(enum bc_cpu level) {
#if defined(__x86_64__)
    /* what the code for x86-64-v3 and x86-64-v4 may use, as far as one can ask */
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (level == BC_CPU_AVX2) return v3;
    if (level == BC_CPU_AMX) return bc_cpu_has(BC_CPU_BF16) && has_amx();
    if (level == BC_CPU_BF16)
        return bc_cpu_has(BC_CPU_AVX512) && __builtin_cpu_supports("avx512bf16");
    if (level == BC_CPU_AVX512)
        return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return level == BC_CPU_BEST || level == BC_CPU_PLAIN;
}

/* Intel's processors start a product of bf16 every other cycle, two of floats in each. */
static bool bf16_pays(void) {
#if defined(__x86_64__)
    return bc_cpu_has(BC_CPU_BF16) && __builtin_cpu_is("amd");
#else
    return false;
#endif
}

static enum bc_cpu first_choice(void) {
    const char *wanted = getenv("BCLUA_INSTRUCTIONS");
    for (int i = BC_CPU_PLAIN; wanted != NULL && bc_cpu_names[i] != NULL; i++)
        if (strcmp(wanted, bc_cpu_names[i]) == 0 && bc_cpu_has((enum bc_cpu)i))
            return (enum bc_cpu)i;
    return bc_cpu_has(BC_CPU_AMX)      ? BC_CPU_AMX
           : bf16_pays()               ? BC_CPU_BF16
           : bc_cpu_has(BC_CPU_AVX512) ? BC_CPU_AVX512
           : bc_cpu_has(BC_CPU_AVX2)   ? BC_CPU_AVX2
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
