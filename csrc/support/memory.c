/* memory.c: how much memory this process may still take. */
#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The number behind a word at the start of a line, in a file; or the first
 * number of it when word is "". SIZE_MAX: none ("max" in a control group). */
static size_t number_in(const char *path, const char *word) {
    char line[256];
    unsigned long long found;
    size_t n = SIZE_MAX;
    FILE *f = fopen(path, "r");
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

/* What the group could drop from its page cache is not in the way. */
static size_t group_free(void) {
    size_t used = number_in("/sys/fs/cgroup/memory.current", "");
    size_t cache = number_in("/sys/fs/cgroup/memory.stat", "inactive_file ");
    if (used != SIZE_MAX && cache != SIZE_MAX) used = less(used, cache);
    size_t now = less(number_in("/sys/fs/cgroup/memory.max", ""), used);
    used = number_in("/sys/fs/cgroup/memory/memory.usage_in_bytes", "");
    cache = number_in("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file ");
    if (used != SIZE_MAX && cache != SIZE_MAX) used = less(used, cache);
    return smaller(now, less(number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes", ""), used));
}

static size_t process_free(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    size_t pages = number_in("/proc/self/statm", "");
    if (pages == SIZE_MAX) return SIZE_MAX;
    return less((size_t)limit.rlim_cur, pages * (size_t)sysconf(_SC_PAGESIZE));
}

size_t bc_memory_free(void) {
    size_t kib = number_in("/proc/meminfo", "MemAvailable:");
    size_t machine = kib == SIZE_MAX ? SIZE_MAX : kib * 1024;
    return smaller(machine, smaller(group_free(), process_free()));
}
