/* columns.c: pieces of a matrix. */
#include "columns.h"

#include <stdlib.h>
#include <string.h>

columns columns_of(size_t rows) {
    enum { MOST = 4096, LEAST = 16, FLOATS = 1 << 20 };
    columns c = {.rows = rows, .width = MOST};
    while (c.width > LEAST && c.width * rows > FLOATS) c.width /= 2;
    return c;
}

float *columns_at(size_t *within, columns *c, size_t at) {
    size_t number = (at - c->first) / c->width;
    *within = (at - c->first) % c->width;
    while (c->pieces <= number) {
        if (c->pieces == c->room) {
            size_t room = c->room > 0 ? 2 * c->room : 16;
            float **piece = realloc(c->piece, room * sizeof *piece);
            if (piece == NULL) return NULL;
            c->piece = piece;
            c->room = room;
        }
        c->piece[c->pieces] = calloc(c->rows * c->width, sizeof(float));
        if (c->piece[c->pieces] == NULL) return NULL;
        c->pieces++;
    }
    return c->piece[number];
}

void columns_take(float *out, columns *c, size_t end) {
    const size_t all = end - c->first;
    for (size_t t = 0; t < all; t += c->width) {
        size_t count = all - t < c->width ? all - t : c->width;
        for (size_t i = 0; i < c->rows; i++)
            memcpy(out + i * all + t, c->piece[t / c->width] + i * c->width,
                   count * sizeof *out);
    }
    columns_free(c);
    c->first = end;
}

void columns_free(columns *c) {
    for (size_t i = 0; i < c->pieces; i++) free(c->piece[i]);
    free(c->piece);
    c->piece = NULL;
    c->pieces = c->room = 0;
}
