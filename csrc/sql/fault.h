/* fault.h: whose fault is an error of DuckDB's: the caller's or a file's? */
#ifndef BC_SQL_FAULT_H
#define BC_SQL_FAULT_H

#include <stdbool.h>

#include "../support/file.h"

typedef struct bc_sql_error {
    bool mistake;               /* the caller's: wrong SQL, a wrong type, a table that is not there */
    char text[PATH_MAX + 2048]; /* a file's: begins with its path */
} bc_sql_error;

/* Write a text; both return BC_FAIL. */
int bc_sql_mistake(bc_sql_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int bc_sql_file_fault(bc_sql_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Sort DuckDB's message. A file's fault is an "IO Error", and an error while
 * reading contents that names a file, or that can come from damaged contents
 * only, when the statement names one. Everything else is a mistake, with the
 * message unchanged. sql is the statement; parameter (may be NULL) a file that
 * was bound to it; target (may be NULL) the one that it writes. Paths that sql.path
 * wrote for DuckDB are given as the user gave them. Returns BC_FAIL. */
int bc_sql_fault(bc_sql_error *e, const char *message, const char *sql, const char *parameter,
                 const bc_file *target);

/* The same of a database that cannot be opened. */
int bc_sql_open_fault(bc_sql_error *e, const char *message, const char *path);

/* Is there a regular file of this name? */
bool bc_sql_is_file(const char *path);

#endif
