/* memory.h: how much memory this process may still take. */
#ifndef BC_MEMORY_H
#define BC_MEMORY_H

#include <stddef.h>

/* Bytes: the least of what the machine has available, what is left of the
 * control group's limit and of the process's own (ulimit -v). SIZE_MAX: unknown. */
size_t bc_memory_free(void);

#endif
