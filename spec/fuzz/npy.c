/* npy.c: libFuzzer target for the npy reader, copied and mapped. Any bytes must
 * end in an error or in an array whose elements lie in the file. */
#include <string.h>

#include "../../csrc/array/npy.h"
#include "fuzz.h"

/* Read every byte, so that the sanitizer sees where they are. */
static unsigned sum(const bc_array *a) {
    const unsigned char *p = a->data;
    unsigned s = 0;
    for (size_t i = 0; i < bc_array_bytes(a); i++) s += p[i];
    return s;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size) {
    const char *path = fuzz_file(bytes, size);
    bc_array copied = {0}, mapped = {0};
    bc_error e = {""};
    int rc = npy_load(&copied, path, false, &e);
    PROMISE(rc != BC_FAIL || strncmp(e.text, path, strlen(path)) == 0);
    if (rc != BC_OK) return 0;
    PROMISE(copied.ndim >= 1 && copied.ndim <= BC_MAXDIM);
    for (int i = 0; i < copied.ndim; i++) PROMISE(copied.shape[i] >= 0);
    PROMISE(bc_array_bytes(&copied) <= size);
    unsigned s = sum(&copied);
    if (npy_load(&mapped, path, true, &e) == BC_OK) {
        PROMISE(bc_array_bytes(&mapped) == bc_array_bytes(&copied) && mapped.dtype == copied.dtype);
        if (bc_array_contiguous(&mapped)) PROMISE(sum(&mapped) == s);
        bc_array_release(&mapped);
    }
    bc_array_release(&copied);
    return 0;
}
