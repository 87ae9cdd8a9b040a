/* version.h: the version of this build. */
#ifndef BC_VERSION_H
#define BC_VERSION_H

const char *bc_version(void);

#endif
