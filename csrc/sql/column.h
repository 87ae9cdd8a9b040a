/* column.h: read the columns of a result. */
#ifndef BC_SQL_COLUMN_H
#define BC_SQL_COLUMN_H

#include "../array/array.h"
#include "duckdb.h"

/* A column of a result, or a part of one: the elements of a list (one child),
 * the values of a struct (one each), the pairs of a map (one child: a struct
 * of key and value). data and valid are of the current chunk. */
typedef struct bc_sql_column {
    char *name; /* of a column or a struct's field; else NULL */
    duck_type_id type;
    duck_type_id storage; /* how data is laid out: of DECIMAL and ENUM an integer */
    duck_type logical;
    uint8_t width, scale; /* DECIMAL */
    uint64_t length;      /* ARRAY: elements a row */
    size_t children;
    struct bc_sql_column *child;
    const void *data;
    const uint64_t *valid; /* bit set: not NULL; NULL: all are there */
} bc_sql_column;

typedef struct bc_sql_columns {
    size_t n;
    bc_sql_column *column;
} bc_sql_columns;

/* What the job's result has. Names are made unique as DuckDB does: a second
 * `x` is `x_1`. Free with bc_sql_columns_free, also after a failure. */
int bc_sql_columns_new(bc_sql_columns *to, bc_sql_job *j);
void bc_sql_columns_free(bc_sql_columns *to); /* safe twice */

/* Look at the job's current chunk; returns its rows. */
uint64_t bc_sql_columns_read(bc_sql_columns *to, const bc_sql_job *j);

static inline bool bc_sql_is_null(const bc_sql_column *c, uint64_t row) {
    return c->valid != NULL && (c->valid[row / 64] >> (row % 64) & 1) == 0;
}

/* "DOUBLE[]", "DECIMAL(18,3)", "STRUCT(a INTEGER)". Cut to size. */
void bc_sql_type_name(char *to, size_t size, const bc_sql_column *c);

/* ---- Values of one row, which is not NULL ---- */

/* The dtype that holds every value of a numeric column, or of BOOLEAN (u8);
 * BC_NDTYPES if it is no such column. UBIGINT, HUGEINT and DECIMAL are f64. */
bc_dtype bc_sql_dtype(const bc_sql_column *c);

/* An integer column's value; false when 64 bits do not hold it, or when the
 * column holds no integers. */
bool bc_sql_integer(int64_t *to, const bc_sql_column *c, uint64_t row);
double bc_sql_number(const bc_sql_column *c, uint64_t row); /* any numeric column */

/* VARCHAR, BLOB. */
const char *bc_sql_bytes(const bc_sql_column *c, uint64_t row, size_t *n);

/* Which rows of `child` a row of a LIST, MAP or ARRAY has. */
duck_list_entry bc_sql_span(const bc_sql_column *c, uint64_t row);

/* Dates, times, intervals, UUIDs as DuckDB's cast to VARCHAR has them (with a
 * time zone: in UTC). Returns false for every other type. */
bool bc_sql_text(char to[80], const bc_sql_column *c, uint64_t row);

/* count values from row `first` of a numeric column into out, whose dtype is
 * bc_sql_dtype(c). NULL gives `null`, or, if that is NAN and the column is of
 * integers, stops: returns the number of values written, count if all. */
uint64_t bc_sql_numbers(void *out, const bc_sql_column *c, uint64_t first, uint64_t count,
                        double null);

#endif
