/* nearest.h: the name that was meant. */
#ifndef BC_NEAREST_H
#define BC_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

/* A search for the name that is nearest to a misspelt word: the least number of
 * letters to insert, remove, replace or swap with their neighbour (optimal string
 * alignment, in any case of letters), one letter in three of the word at most. A
 * name that begins with the word (three letters or more) is one letter away. */
typedef struct {
    const char *word, *best; /* best is NULL where no name is near */
    size_t least;            /* letters by which best differs */
} bc_nearest;

bc_nearest bc_nearest_to(const char *word);
/* Look at one more name; of equally near ones the first in the alphabet stays. */
void bc_nearest_try(bc_nearest *n, const char *name);

#endif
