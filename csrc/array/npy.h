/* npy.h: numpy's file format, versions 1 to 3 (NEP 1). */
#ifndef BC_NPY_H
#define BC_NPY_H

#include "array.h"

/* Read or memory-map (read-only) an npy file: little-endian f4 f8 i8 i4 i2 u1,
 * C or Fortran order, up to four axes; a 0-d array becomes one element.
 * Lengths in the header are checked against the file's size before anything is
 * allocated. BC_FAIL: missing, not npy, truncated, another dtype. */
int npy_load(bc_array *a, const char *path, bool map, bc_error *e);

/* Write version 1.0, C order, whole or not at all. */
int npy_save(const char *path, const bc_array *a, bc_error *e);

#endif
