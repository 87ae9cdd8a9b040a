/* columns.h: a matrix that grows by columns, and is not moved as it grows. */
#ifndef BC_COLUMNS_H
#define BC_COLUMNS_H

#include <stddef.h>

/* Columns in a piece of the matrix, a multiple of every batch of frames. */
enum { COLUMNS_PIECE = 4096 };

typedef struct columns {
    size_t rows;
    size_t first; /* columns before this one were taken */
    float **piece; /* (rows, COLUMNS_PIECE) each, zero where nothing was put */
    size_t pieces, room;
} columns;

/* Where column `at` is: the piece, and the column's number in it. NULL if there
 * is no memory. The columns of a piece are COLUMNS_PIECE apart. */
float *columns_at(size_t *within, columns *c, size_t at);

/* out (rows, end - c->first) = the columns before `end`; they are then gone. */
void columns_take(float *out, columns *c, size_t end);

void columns_free(columns *c); /* safe twice, and on zeros */

#endif
