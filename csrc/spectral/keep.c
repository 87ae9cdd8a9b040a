/* keep.c: keeps the library in memory once it is loaded.
 *
 * The plans of fft.c and batch.c, and the filters of bclua.cens, outlive the
 * Lua state that first asked for them: other states, on other threads, use
 * them. A state that closes would unload the library, and with it forget
 * where they are. */
#include <dlfcn.h>
#include <stddef.h>

__attribute__((constructor)) static void keep_loaded(void) {
    static const char here;
    Dl_info info;
    if (dladdr(&here, &info) != 0 && info.dli_fname != NULL)
        dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}
