/* rows.h: rows of a matrix, packed so that distances to many of them come at once. */
#ifndef BC_ROWS_H
#define BC_ROWS_H

#include <stddef.h>

enum { ROWS_LANES = 32 };

/* n rows of d values, in blocks of ROWS_LANES: value c of row i is at
 * x[(i / ROWS_LANES * d + c) * ROWS_LANES + i % ROWS_LANES]; the last block is filled up with
 * zeros. */
typedef struct {
    double *x;
    size_t n, d, blocks;
} rows_packed;

/* Pack x (n, d), finite. BC_OK or BC_NOMEM; free with rows_free in any case. */
int rows_pack(rows_packed *rows, const double *x, size_t n, size_t d);
void rows_free(rows_packed *rows);

/* Row i as d values in a row. */
void rows_get(double *out, const rows_packed *rows, size_t i);

/* Squared Euclidean distances of a point (d) to the rows of a block (ROWS_LANES). Each is summed
 * in the order of the columns: the same bits on every processor, and from a to b as from b to a. */
void rows_distances(double *square, const rows_packed *rows, size_t block, const double *point);

/* out (n, d): each row of x (n, d), finite, divided by its length; a row of zeros stays. */
void rows_to_length_one(double *out, const double *x, size_t n, size_t d);

#endif
