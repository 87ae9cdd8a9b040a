/* fuzz.h: what the libFuzzer targets share. `make fuzz` builds and runs them. */
#ifndef BC_FUZZ_H
#define BC_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROMISE(holds) \
    do { \
        if (!(holds)) { \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #holds); \
            abort(); \
        } \
    } while (0)

/* The bytes as a file in memory; its path. */
static inline const char *fuzz_file(const unsigned char *bytes, size_t size) {
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        PROMISE(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    PROMISE(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
    return path;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);

#endif
