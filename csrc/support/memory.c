/* memory.c: how much memory this process may still take, and large pieces of it. */
#include "memory.h"

#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* The number behind a word at the start of a line, in a file; or the first
 * number of it when word is "". SIZE_MAX: none ("max" in a control group). */
__attribute__((format(printf, 2, 3))) static size_t number_in(const char *word, const char *format,
                                                              ...) {
    char line[256], path[PATH_MAX];
    unsigned long long found;
    size_t n = SIZE_MAX;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(path, sizeof path, format, args);
    va_end(args);
    FILE *f = length < (int)sizeof path ? fopen(path, "re") : NULL;
    if (f == NULL) return n;
    while (n == SIZE_MAX && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, word, strlen(word)) == 0 &&
            sscanf(line + strlen(word), "%llu", &found) == 1)
            n = (size_t)found;
    fclose(f);
    return n;
}

static size_t less(size_t limit, size_t used) {
    if (limit == SIZE_MAX || used == SIZE_MAX) return SIZE_MAX;
    return limit > used ? limit - used : 0;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Where the files of control groups are, and what they are called. */
typedef struct {
    const char *mount, *limit, *used, *cache;
} hierarchy;

static const hierarchy v2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "};
static const hierarchy v1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                             "memory.usage_in_bytes", "total_inactive_file "};

/* What the limit of one group leaves. What it could drop from its page cache is
 * not in the way. */
static size_t left_in(const char *root, const hierarchy *h, const char *group) {
    size_t limit = number_in("", "%s%s%s/%s", root, h->mount, group, h->limit);
    if (limit == SIZE_MAX) return SIZE_MAX;
    size_t used = number_in("", "%s%s%s/%s", root, h->mount, group, h->used);
    size_t cache = number_in(h->cache, "%s%s%s/memory.stat", root, h->mount, group);
    return less(limit, cache == SIZE_MAX ? used : less(used, cache));
}

/* The least along the path from this process's group up to the root: a limit holds
 * for all below it. In a container the path may be that outside, and the root ours. */
static size_t left_along(const char *root, const hierarchy *h, char *group) {
    size_t least = SIZE_MAX;
    for (;;) {
        least = smaller(least, left_in(root, h, group));
        char *slash = strrchr(group, '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

/* Lines are number:controllers:path; of version 2 there are no controllers. */
static size_t groups_free(const char *root) {
    char line[2 * PATH_MAX];
    size_t least = SIZE_MAX;
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *f = fopen(line, "re");
    if (f == NULL) return least;
    while (fgets(line, sizeof line, f) != NULL) {
        char *first = strchr(line, ':'), *second = first != NULL ? strchr(first + 1, ':') : NULL;
        if (second == NULL) continue;
        line[strcspn(line, "\n")] = '\0';
        *first = *second = ',';
        const char *memory = strstr(first, ",memory,");
        if (second == first + 1)
            least = smaller(least, left_along(root, &v2, second + 1));
        else if (memory != NULL && memory < second)
            least = smaller(least, left_along(root, &v1, second + 1));
    }
    fclose(f);
    return least;
}

static size_t process_free(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    size_t pages = number_in("", "/proc/self/statm");
    if (pages == SIZE_MAX) return SIZE_MAX;
    return less((size_t)limit.rlim_cur, pages * (size_t)sysconf(_SC_PAGESIZE));
}

size_t bc_memory_free(const char *root) {
    size_t kib = number_in("MemAvailable:", "%s/proc/meminfo", root);
    size_t machine = kib == SIZE_MAX ? SIZE_MAX : kib * 1024;
    return smaller(machine, smaller(groups_free(root), process_free()));
}

#define LARGE_PAGE ((size_t)1 << 21)

void *bc_memory_take(size_t bytes) {
    size_t rounded = (bytes + 63) / 64 * 64;
    if (rounded < bytes) return NULL;
    if (rounded < 4 * LARGE_PAGE) return aligned_alloc(64, rounded);
    void *memory = NULL;
    if (posix_memalign(&memory, LARGE_PAGE, rounded) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    madvise(memory, rounded / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE); /* a wish: may fail */
#endif
    return memory;
}
