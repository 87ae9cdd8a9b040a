/* version.c: the version of this build, as `git describe` gives it. */
#include "version.h"

const char *bc_version(void) { return BCLUA_VERSION; }
