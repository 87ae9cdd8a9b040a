/* nearest.c: optimal string alignment of a word with names. */
#include "nearest.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define LONGEST 64 /* letters; longer words are not compared */

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static bool is_same(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t distance(const char *a, size_t n, const char *b, size_t m) {
    size_t rows[3][LONGEST + 1], *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++) last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t replaced = last[j - 1] + (is_same(a[i - 1], b[j - 1]) ? 0 : 1);
            row[j] = smaller(smaller(last[j], row[j - 1]) + 1, replaced);
            if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) && is_same(a[i - 2], b[j - 1]))
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last, last = row, row = spare;
    }
    return last[m];
}

bc_nearest bc_nearest_to(const char *word) {
    size_t n = strlen(word);
    return (bc_nearest){word, NULL, n < 3 ? 1 : n / 3};
}

void bc_nearest_try(bc_nearest *s, const char *name) {
    size_t n = strlen(s->word), m = strlen(name);
    if (n > LONGEST || m > LONGEST || strcmp(s->word, name) == 0) return;
    const bool begun = n > 2 && strncasecmp(s->word, name, n) == 0;
    if (!begun && (n > m ? n - m : m - n) > s->least) return;
    size_t d = begun ? 1 : distance(s->word, n, name, m);
    if (d > s->least || (d == s->least && s->best != NULL && strcmp(name, s->best) > 0)) return;
    s->best = name;
    s->least = d;
}
