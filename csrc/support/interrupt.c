/* interrupt.c: the flag that Ctrl-C sets. */
#include "interrupt.h"

#include <stdatomic.h>

static atomic_bool raised, held;

bool bc_interrupted(void) { return atomic_load_explicit(&raised, memory_order_relaxed); }
void bc_interrupt_raise(void) { atomic_store(&raised, true); }
void bc_interrupt_clear(void) { atomic_store(&raised, false); }
void bc_interrupt_hold(bool on) { atomic_store(&held, on); }
bool bc_interrupt_held(void) { return atomic_load(&held); }

int bc_tick_interrupt(void *context, size_t done, size_t total) {
    (void)context, (void)done, (void)total;
    return bc_interrupted();
}
