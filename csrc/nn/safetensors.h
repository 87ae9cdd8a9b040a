/* safetensors.h: the frame of a safetensors file: 8 bytes of length, a JSON
 * header, the elements. What the header says is read in Lua. */
#ifndef NN_SAFETENSORS_H
#define NN_SAFETENSORS_H

#include "../array/array.h"

/* header: malloc'd text of *length bytes, with a 0 behind it; data: the bytes
 * that follow, as a u8 vector. The length in the file is held against the
 * file's size before anything is allocated. BC_FAIL (text begins with path). */
int safetensors_read(char **header, size_t *length, bc_array *data, const char *path, bc_error *e);

/* A contiguous array out of the data, copied: bytes from offset on, which must
 * lie inside. BC_NOMEM. */
int safetensors_take(bc_array *a, const bc_array *data, size_t offset, bc_dtype dtype, int ndim,
                     const int64_t *shape);

/* Whole or not at all. The arrays are contiguous and in the header's order. */
int safetensors_write(const char *path, const char *header, size_t length,
                      const bc_array *const *array, size_t arrays, bc_error *e);

#endif
