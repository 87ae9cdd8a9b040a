/* lanes.h: the innermost loop of kernels that work on many signals at once. */
#ifndef BC_LANES_H
#define BC_LANES_H

/* A loop over l = 0..lanes-1 whose iterations do not depend on each other, to
 * become one vector instruction an operation. The empty asm keeps the compiler
 * from vectorising the loop around it instead, which it likes to do and which
 * is several times slower. A statement of its own: not behind a bare `if`. */
#ifdef __clang__
#define LANES_APART
#else
#define LANES_APART _Pragma("GCC ivdep") _Pragma("GCC unroll 1")
#endif

#define EACH_LANE(l, lanes) \
    __asm__ volatile("");   \
    LANES_APART for (int l = 0; l < (lanes); l++)

#endif
