/* pieces.c: decode what has no known length. */
#include <stdlib.h>
#include <string.h>

#include "audio.h"

enum { PIECE = 1 << 20 };

typedef struct piece {
    struct piece *next;
    int64_t n;
    float samples[]; /* (rows, PIECE) */
} piece;

struct bc_pieces {
    piece *first, *last;
    int rows;
};

int bc_pieces_read(bc_pieces **p, int64_t *total, bc_audio *a, int64_t n, bc_error *e) {
    int rc = BC_OK;
    *total = 0;
    bc_pieces *all = calloc(1, sizeof *all);
    if (all == NULL) return BC_NOMEM;
    all->rows = bc_audio_rows(a);
    for (int64_t got = PIECE; got == PIECE && (n < 0 || *total < n);) {
        piece *x = malloc(sizeof *x + (size_t)all->rows * PIECE * sizeof(float));
        if (x == NULL) {
            rc = BC_NOMEM;
            break;
        }
        x->next = NULL;
        *(all->last == NULL ? &all->first : &all->last->next) = x;
        all->last = x;
        int64_t want = n < 0 || n - *total > PIECE ? PIECE : n - *total;
        rc = bc_audio_read(a, x->samples, PIECE, want, &got, e);
        if (rc != BC_OK) break;
        x->n = got;
        *total += got;
    }
    if (rc != BC_OK) {
        bc_pieces_free(all);
        all = NULL;
    }
    *p = all;
    return rc;
}

void bc_pieces_join(float *out, int64_t total, const bc_pieces *p) {
    int64_t at = 0;
    for (const piece *x = p->first; x != NULL; x = x->next) {
        for (int c = 0; c < p->rows; c++)
            memcpy(out + c * total + at, x->samples + (int64_t)c * PIECE,
                   (size_t)x->n * sizeof(float));
        at += x->n;
    }
}

void bc_pieces_free(bc_pieces *p) {
    for (piece *x = p == NULL ? NULL : p->first, *next; x != NULL; x = next) {
        next = x->next;
        free(x);
    }
    free(p);
}
