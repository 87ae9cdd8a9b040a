/* beside.h: files that lie beside our own. */
#ifndef BC_BESIDE_H
#define BC_BESIDE_H

#include <stdbool.h>
#include <stddef.h>

/* The path of a file in the folder of the module that this code is in; false: there is none that
 * can be read, or its path does not fit. */
bool bc_beside(char *path, size_t size, const char *name);

#endif
