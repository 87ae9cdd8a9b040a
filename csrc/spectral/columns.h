/* columns.h: a matrix that grows by columns, and is not moved as it grows. */
#ifndef BC_COLUMNS_H
#define BC_COLUMNS_H

#include <stddef.h>

typedef struct columns {
    size_t rows;
    size_t width; /* columns in a piece: a power of two, at least 16, a multiple of every batch */
    size_t first; /* columns before this one were taken */
    float **piece; /* (rows, width) each, zero where nothing was put */
    size_t pieces, room;
} columns;

/* A matrix of so many rows, without columns. Pieces are a few megabytes: fewer
 * columns where there are more rows. */
columns columns_of(size_t rows);

/* Where column `at` is: the piece, and the column's number in it. NULL if there
 * is no memory. Rows of a piece are width apart. */
float *columns_at(size_t *within, columns *c, size_t at);

/* out (rows, end - c->first) = the columns before `end`; they are then gone. */
void columns_take(float *out, columns *c, size_t end);

void columns_free(columns *c); /* safe twice, and on zeros */

#endif
