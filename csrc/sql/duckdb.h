/* duckdb.h: DuckDB connections, and statements run on them. */
#ifndef BC_SQL_DUCKDB_H
#define BC_SQL_DUCKDB_H

#include "duckdb_api.h"
#include "fault.h"

/* ---- Connections ---- */

/* One connection. Connections are independent of each other: each thread has
 * its own; one connection is never used by two threads at once. */
typedef struct bc_sql {
    duck_database database;
    duck_connection connection; /* NULL when closed */
    int threads;                /* that DuckDB was last told to use */
} bc_sql;

/* Open a connection. path NULL: the in-memory database that all connections
 * of the process share (temporary tables are each connection's own);
 * ":memory:": a new one in memory; else a file, made if it is not there. The
 * library is loaded with the first one: $DUCKDB_LIB, else the libduckdb.so
 * beside this code, else the system's. DuckDB runs on bc_threads() threads,
 * never fetches extensions, and spills to $TMPDIR. BC_OK, BC_NOMEM, BC_FAIL. */
int bc_sql_open(bc_sql *c, const char *path, bc_sql_error *e);
void bc_sql_close(bc_sql *c); /* safe twice */

/* Tell DuckDB if bc_threads() has changed since it was last told. */
void bc_sql_follow_threads(bc_sql *c);

/* The library's own version, "v1.5.6"; NULL before the first bc_sql_open. */
const char *bc_sql_version(void);

/* ---- Statements ---- */

/* A text of one or more statements on its way. Born all zero; bc_sql_finish
 * frees everything it holds, whatever state it is in, and is safe twice. */
typedef struct bc_sql_job {
    bc_sql *on;
    const char *text; /* the caller's */
    char *parameter;  /* the first bound text that names a file */
    duck_statements statements;
    duck_prepared prepared;
    duck_pending pending;
    bool has_result;
    duck_result result;
    duck_chunk chunk; /* the current one */
} bc_sql_job;

/* Run every statement of text but the last, and prepare the last. An empty
 * text is a mistake. BC_OK, BC_STOPPED or BC_FAIL. */
int bc_sql_prepare(bc_sql_job *j, bc_sql *c, const char *text, bc_sql_error *e);

/* Give parameter index (from 1) a value; the value is destroyed. text: the
 * value's text if it is one, else NULL. */
int bc_sql_bind(bc_sql_job *j, uint64_t index, duck_value value, const char *text,
                bc_sql_error *e);

/* Run the prepared statement to its end; looks at bc_interrupted() all the
 * time. BC_OK, BC_STOPPED or BC_FAIL. target: see bc_sql_fault. */
int bc_sql_run(bc_sql_job *j, const bc_file *target, bc_sql_error *e);

/* The next rows into j->chunk; false at the end. */
bool bc_sql_next(bc_sql_job *j);

void bc_sql_finish(bc_sql_job *j);

/* `COPY (select) TO path (options)`, written whole or not at all. */
int bc_sql_copy(bc_sql *c, const char *select, const char *path, const char *options,
                bc_sql_error *e);

/* Is this UTF-8, as DuckDB's text must be? */
bool bc_sql_is_utf8(const char *text, size_t n);

#endif
