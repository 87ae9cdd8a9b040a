/* interrupt.c: the flag that Ctrl-C sets. */
#include "interrupt.h"

#include <stdatomic.h>

static atomic_int raised; /* the signal; 0: none */
static atomic_bool held;

int bc_interrupted(void) { return atomic_load_explicit(&raised, memory_order_relaxed); }
void bc_interrupt_raise(int number) { atomic_store(&raised, number); }
void bc_interrupt_clear(void) { atomic_store(&raised, 0); }
void bc_interrupt_hold(bool on) { atomic_store(&held, on); }
bool bc_interrupt_held(void) { return atomic_load(&held); }

int bc_tick_interrupt(void *context, size_t done, size_t total) {
    (void)context, (void)done, (void)total;
    return bc_interrupted() != 0;
}
