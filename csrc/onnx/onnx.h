/* onnx.h: other people's networks, computed by onnxruntime, whose library is opened when it is
 * needed: the one that ORT_LIB names, libonnxruntime.so.1 beside our own module, or the system's.
 */
#ifndef BC_ONNX_H
#define BC_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "../support/error.h"

enum { ONNX_MOST_AXES = 8 };

/* An input or output. */
typedef struct onnx_value {
    char *name;
    const char *type; /* "f32", another type's name, or "no tensor" */
    int axes;
    int64_t extent[ONNX_MOST_AXES]; /* -1: free */
} onnx_value;

typedef struct onnx_session onnx_session;

/* Load a network; it computes on so many threads. BC_FAIL: no library, or the file is none that it
 * can run. Close it with onnx_close. */
int onnx_open(onnx_session **out, const char *path, int threads, bc_error *e);
void onnx_close(onnx_session *s); /* NULL is fine */

/* What it takes and gives; belongs to the session. */
size_t onnx_inputs(const onnx_session *s, const onnx_value **list);
size_t onnx_outputs(const onnx_session *s, const onnx_value **list);

/* An output of one input, row-major. What comes belongs to the session until the next run. */
typedef struct onnx_result {
    const float *data;
    size_t count; /* the product of the extents */
    int axes;
    int64_t extent[ONNX_MOST_AXES];
} onnx_result;

/* Compute `output` of x, f32 of the given shape. BC_FAIL: the network does not take that shape,
 * needs other inputs, too, or gives something else than f32; BC_STOPPED after Ctrl-C. */
int onnx_run(onnx_session *s, const char *input, const float *x, int axes, const int64_t *extent,
             const char *output, onnx_result *r, bc_error *e);
void onnx_forget(onnx_session *s); /* the result of the last run */

/* Version of the library, as in "1.23.2"; NULL: there is none, e says why. */
const char *onnx_version(bc_error *e);

#endif
