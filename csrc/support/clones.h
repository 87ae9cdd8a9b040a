/* clones.h: BC_CLONES compiles a hot function for AVX-512, AVX2 and the plain
 * processor, chosen when the program starts. FMA contraction is off for all
 * (see the Makefile), so that the three give equal results. */
#ifndef BC_CLONES_H
#define BC_CLONES_H

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BC_CLONES \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BC_CLONES
#endif

#endif
