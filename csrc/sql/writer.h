/* writer.h: columns into a table, a chunk of rows at a time. */
#ifndef BC_SQL_WRITER_H
#define BC_SQL_WRITER_H

#include "../array/array.h"
#include "duckdb.h"

/* What a column holds: a scalar type, inside `depth` lists. DUCK_INVALID: only
 * NULLs so far. */
typedef struct bc_sql_kind {
    duck_type_id leaf;
    int depth;
} bc_sql_kind;

duck_type_id bc_sql_leaf_of(bc_dtype dtype);

/* The kind that holds both: integers widen to BIGINT, numbers to DOUBLE.
 * False if there is none (text and numbers, lists and scalars). */
bool bc_sql_unite(bc_sql_kind *to, bc_sql_kind other);

/* "DOUBLE[]"; VARCHAR for NULLs only. */
void bc_sql_kind_name(char *to, size_t size, bc_sql_kind kind);

/* The logical type, to be destroyed; NULL if there is no memory. */
duck_type bc_sql_kind_type(bc_sql_kind kind);

/* Born all zero; bc_sql_writer_free is safe twice and in any state. */
typedef struct bc_sql_writer {
    duck_appender appender;
    duck_chunk chunk;
} bc_sql_writer;

/* Into a table whose columns are of just these kinds. After a failure some
 * rows may be in the table. */
int bc_sql_writer_open(bc_sql_writer *w, bc_sql *c, const char *table, const bc_sql_kind *kinds,
                       size_t columns, bc_sql_error *e);
uint64_t bc_sql_writer_capacity(void); /* rows of a chunk */
duck_vector bc_sql_writer_column(bc_sql_writer *w, size_t column);
/* Append the chunk's first `rows` rows and start a new one. */
int bc_sql_writer_flush(bc_sql_writer *w, uint64_t rows, bc_sql_error *e);
int bc_sql_writer_close(bc_sql_writer *w, bc_sql_error *e);
void bc_sql_writer_free(bc_sql_writer *w);

/* ---- Values into a chunk's vector, whose scalars are of type `leaf` ---- */

void bc_sql_put_null(duck_vector v, uint64_t row);
void bc_sql_put_text(duck_vector v, uint64_t row, const char *text, size_t n);
void bc_sql_put_integer(duck_vector v, duck_type_id leaf, uint64_t row, int64_t value);
void bc_sql_put_number(duck_vector v, duck_type_id leaf, uint64_t row, double value);
/* Elements first, first + 1, ... of an array, in row-major order. */
void bc_sql_put_array(duck_vector v, duck_type_id leaf, uint64_t row, const bc_array *a,
                      int64_t first, int64_t count);
/* Begin a list of n elements: they go to rows *at, *at + 1, ... of *child. */
int bc_sql_put_list(duck_vector v, uint64_t row, uint64_t n, duck_vector *child, uint64_t *at);

#endif
