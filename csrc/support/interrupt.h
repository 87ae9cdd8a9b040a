/* interrupt.h: how Ctrl-C reaches a kernel, and how a kernel reports progress. */
#ifndef BC_INTERRUPT_H
#define BC_INTERRUPT_H

#include <stdbool.h>
#include <stddef.h>

/* The host and bclua.so both contain this file; these names are visible, so that
 * inside the host both use the host's flag, and a stock lua uses the module's. */
#pragma GCC visibility push(default)

/* The signal's number from the moment the user pressed Ctrl-C (or SIGTERM or SIGHUP came) until
 * bc_interrupt_clear; else 0. Kernels that run longer than 0.1 s look at it, or take
 * a bc_tick, and return BC_STOPPED. Safe to call from any thread. */
int bc_interrupted(void);
void bc_interrupt_raise(int number); /* async-signal-safe */
void bc_interrupt_clear(void);

/* While held, an interrupt only raises the flag: kernels stop, but the Lua code
 * between them goes on, until it asks bc_interrupted itself. */
void bc_interrupt_hold(bool on);
bool bc_interrupt_held(void);

/* While put off, nothing is interrupted: held, and bc_interrupted says 0; what was raised is
 * bc_interrupt_raised. Returns what was before. */
bool bc_interrupt_put_off(bool on);
int bc_interrupt_raised(void);
#pragma GCC visibility pop

/* Called by long kernels now and then; nonzero asks the kernel to stop. */
typedef int bc_tick(void *context, size_t done, size_t total);

/* A bc_tick that only asks whether the user pressed Ctrl-C. */
int bc_tick_interrupt(void *context, size_t done, size_t total);

#endif
