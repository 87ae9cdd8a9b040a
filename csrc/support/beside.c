/* beside.c: files that lie beside our own. */
#include "beside.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool bc_beside(char *path, size_t size, const char *name) {
    static const char here;
    Dl_info info;
    if (dladdr(&here, &info) == 0 || info.dli_fname == NULL) return false;
    const char *slash = strrchr(info.dli_fname, '/');
    int folder = slash != NULL ? (int)(slash - info.dli_fname) : 0;
    int n =
        snprintf(path, size, "%.*s%s%s", folder, info.dli_fname, slash != NULL ? "/" : "./", name);
    return n > 0 && (size_t)n < size && access(path, R_OK) == 0;
}
