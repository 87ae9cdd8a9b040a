/* interrupt.c: the flag that Ctrl-C sets. */
#include "interrupt.h"

#include <stdatomic.h>

static atomic_int raised; /* the signal; 0: none */
static atomic_bool held, put_off;

int bc_interrupt_raised(void) { return atomic_load_explicit(&raised, memory_order_relaxed); }

int bc_interrupted(void) {
    return atomic_load_explicit(&put_off, memory_order_relaxed) ? 0 : bc_interrupt_raised();
}

void bc_interrupt_raise(int number) { atomic_store(&raised, number); }
void bc_interrupt_clear(void) { atomic_store(&raised, 0); }
void bc_interrupt_hold(bool on) { atomic_store(&held, on); }
bool bc_interrupt_held(void) { return atomic_load(&held) || atomic_load(&put_off); }
bool bc_interrupt_put_off(bool on) { return atomic_exchange(&put_off, on); }

int bc_tick_interrupt(void *context, size_t done, size_t total) {
    (void)context, (void)done, (void)total;
    return bc_interrupted() != 0;
}
