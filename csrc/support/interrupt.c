/* interrupt.c: the flag that Ctrl-C sets. */
#include "interrupt.h"

#include <stdatomic.h>

static atomic_bool raised;

bool bc_interrupted(void) { return atomic_load_explicit(&raised, memory_order_relaxed); }
void bc_interrupt_raise(void) { atomic_store(&raised, true); }
void bc_interrupt_clear(void) { atomic_store(&raised, false); }

int bc_tick_interrupt(void *context, size_t done, size_t total) {
    (void)context, (void)done, (void)total;
    return bc_interrupted();
}
