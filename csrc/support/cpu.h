/* cpu.h: one point where the instructions are chosen: AVX-512 with matrix registers (AMX) or
 * products of bf16 (AVX512-BF16) or without, AVX2, plain.
 *
 * BC_EACH_CPU compiles a hot function for each of them; which one runs is
 * looked up at every call, a load and a jump. FMA contraction is off for all (see
 * the Makefile), so that they give equal results, and so that specs can show it. */
#ifndef BC_CPU_H
#define BC_CPU_H

#include <stdbool.h>

/* Each has what the one before it has. The thread sanitizer cannot follow matrix registers. */
enum bc_cpu { BC_CPU_BEST, BC_CPU_PLAIN, BC_CPU_AVX2, BC_CPU_AVX512, BC_CPU_BF16, BC_CPU_AMX };
#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_THREAD__)
#define BC_HAVE_AMX 1
#else
#define BC_HAVE_AMX 0
#endif

extern const char *const bc_cpu_names[]; /* by level: "best", ...; NULL at the end */

/* Do this build and this processor have it? */
bool bc_cpu_has(enum bc_cpu level);

/* What is in force: at first the best that there is, unless the environment
 * variable BCLUA_INSTRUCTIONS names another ("plain", "avx2",
 * "avx512", "avx512_bf16", "amx"). */
enum bc_cpu bc_cpu_now(void);
void bc_cpu_set(enum bc_cpu level); /* one that bc_cpu_has, for all threads */

/* Before a loop whose rounds do not depend on each other, where the compiler cannot see it. */
#ifdef __clang__
#define BC_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define BC_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* BC_EACH_CPU(extern, scale, (float *x, size_t n), (x, n)) { .. } defines
 * void scale(float *x, size_t n), out of static functions, or extern ones. */
#define BC_EACH_CPU(linkage, name, parameters, arguments) \
    BC_EACH_CPU_(linkage, name, parameters, arguments)

#if defined(__x86_64__)
#define BC_TARGET(arch, name, parameters, body) \
    __attribute__((target("arch=" arch))) static void name parameters body
#define BC_EACH_CPU_(linkage, name, parameters, arguments)                        \
    static inline __attribute__((always_inline)) void name##_body parameters;     \
    BC_TARGET("x86-64-v4", name##_avx512, parameters, { name##_body arguments; }) \
    BC_TARGET("x86-64-v3", name##_avx2, parameters, { name##_body arguments; })   \
    linkage void name parameters {                                                \
        const enum bc_cpu now = bc_cpu_now();                                     \
        if (now >= BC_CPU_AVX512)                                                 \
            name##_avx512 arguments;                                              \
        else if (now == BC_CPU_AVX2)                                              \
            name##_avx2 arguments;                                                \
        else                                                                      \
            name##_body arguments;                                                \
    }                                                                             \
    static inline __attribute__((always_inline)) void name##_body parameters
#else
#define BC_EACH_CPU_(linkage, name, parameters, arguments) linkage void name parameters
#endif

#endif
