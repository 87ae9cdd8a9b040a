/* error.c: texts of failures. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int bc_fail(bc_error *e, const char *format, ...) {
    if (e != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(e->text, sizeof e->text, format, args);
        va_end(args);
    }
    return BC_FAIL;
}

const char *bc_status_text(int status, const bc_error *e) {
    switch (status) {
    case BC_OK: return "ok";
    case BC_NOMEM: return "not enough memory";
    case BC_STOPPED: return "interrupted";
    default: return e != NULL && e->text[0] != '\0' ? e->text : "failed";
    }
}
