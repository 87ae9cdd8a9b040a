/* safetensors.h: the frame of a safetensors file: 8 bytes of length, a JSON
 * header, the elements. What the header says is read in Lua. */
#ifndef NN_SAFETENSORS_H
#define NN_SAFETENSORS_H

#include "../array/elements.h"

/* header: malloc'd text of *length bytes, with a 0 behind it; data: the bytes
 * that follow, as a u8 vector. The length in the file is held against the
 * file's size before anything is allocated. BC_FAIL (text begins with path). */
int safetensors_read(char **header, size_t *length, bc_array *data, const char *path, bc_error *e);

/* The format's dtypes that can be read, the i-th (from 0); false: there are no more. */
bool safetensors_dtype(const char **name, bc_element *type, size_t i);

/* A contiguous array out of the data, copied or converted: elements from offset
 * on, which must lie inside. BC_NOMEM; BC_FAIL: an integer above 2^63 - 1. */
int safetensors_take(bc_array *a, const bc_array *data, size_t offset, const bc_element *type,
                     int ndim, const int64_t *shape, bc_error *e);

/* Whole or not at all. The arrays are contiguous and in the header's order. */
int safetensors_write(const char *path, const char *header, size_t length,
                      const bc_array *const *array, size_t arrays, bc_error *e);

#endif
