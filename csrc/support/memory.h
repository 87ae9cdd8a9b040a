/* memory.h: how much memory this process may still take, and large pieces of it. */
#ifndef BC_MEMORY_H
#define BC_MEMORY_H

#include <stddef.h>

/* Bytes: the least of what the machine has available, what the limits of its control
 * group and of those above (Slurm, systemd and containers set them; versions 1 and 2)
 * leave, and the process's own (ulimit -v). SIZE_MAX: unknown. root: the folder in which
 * /proc and /sys are, "" but for tests. */
size_t bc_memory_free(const char *root);

/* Bytes on 64, for free(); NULL: not there. Where there are many, the system is asked for
 * large pages: values that lie far apart then cost fewer walks through page tables. */
void *bc_memory_take(size_t bytes);

#endif
