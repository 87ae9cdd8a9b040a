/* code.h: one point where the instructions are chosen: AVX-512, AVX2, plain.
 *
 * BC_EACH_CODE compiles a hot function for each of them; which one runs is
 * looked up at every call, a load and a jump. FMA contraction is off for all (see
 * the Makefile), so that they give equal results, and so that specs can show it. */
#ifndef BC_CODE_H
#define BC_CODE_H

#include <stdbool.h>

enum bc_code { BC_CODE_BEST, BC_CODE_PLAIN, BC_CODE_AVX2, BC_CODE_AVX512 };

/* Do this build and this processor have it? */
bool bc_code_has(enum bc_code code);

/* What is in force: at first the best that there is, unless the environment
 * variable BCLUA_INSTRUCTIONS names another ("plain", "avx2", "avx512"). */
enum bc_code bc_code_now(void);
void bc_code_set(enum bc_code code); /* one that bc_code_has, for all threads */

/* BC_EACH_CODE(extern, scale, (float *x, size_t n), (x, n)) { .. } defines
 * void scale(float *x, size_t n), out of static functions, or extern ones. */
#define BC_EACH_CODE(linkage, name, parameters, arguments) \
    BC_EACH_CODE_(linkage, name, parameters, arguments)

#if defined(__x86_64__)
#define BC_TARGET(arch, name, parameters, body) \
    __attribute__((target("arch=" arch))) static void name parameters body
#define BC_EACH_CODE_(linkage, name, parameters, arguments)                                 \
    static inline __attribute__((always_inline)) void name##_body parameters;               \
    BC_TARGET("x86-64-v4", name##_avx512, parameters, { name##_body arguments; })           \
    BC_TARGET("x86-64-v3", name##_avx2, parameters, { name##_body arguments; })             \
    linkage void name parameters {                                                          \
        const enum bc_code now = bc_code_now();                                             \
        if (now == BC_CODE_AVX512)                                                          \
            name##_avx512 arguments;                                                        \
        else if (now == BC_CODE_AVX2)                                                       \
            name##_avx2 arguments;                                                          \
        else                                                                                \
            name##_body arguments;                                                          \
    }                                                                                       \
    static inline __attribute__((always_inline)) void name##_body parameters
#else
#define BC_EACH_CODE_(linkage, name, parameters, arguments) linkage void name parameters
#endif

#endif
