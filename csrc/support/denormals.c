/* denormals.c: numbers below 1.2e-38 (f32) and 2.2e-308 (f64) are numbers.
 *
 * A shared library that was linked with -ffast-math switches them off for the
 * thread that loads it, and so for all threads: Debian's libSoundTouch does.
 * The libraries that a library needs are set up before it: this runs after them. */
#if defined(__x86_64__)
#include <xmmintrin.h>

enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040 };

__attribute__((constructor)) static void keep_denormals(void) {
    _mm_setcsr(_mm_getcsr() & ~(unsigned)(FLUSH_TO_ZERO | DENORMALS_ARE_ZERO));
}
#elif defined(__aarch64__)
#include <stdint.h>

__attribute__((constructor)) static void keep_denormals(void) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control & ~((uint64_t)1 << 24))); /* FZ */
}
#else
typedef int bc_denormals_are_kept; /* no empty file */
#endif
