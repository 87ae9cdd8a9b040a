/* elements.h: numbers as files of other programs store them: half precision,
 * unsigned, eight bits, big-endian. They are read as the dtype of bc_array that
 * holds them all. */
#ifndef BC_ELEMENTS_H
#define BC_ELEMENTS_H

#include "array.h"

enum bc_element_kind { BC_FLOAT, BC_BRAIN, BC_SIGNED, BC_UNSIGNED, BC_BOOLEAN };

typedef struct bc_element {
    enum bc_element_kind kind;
    size_t size; /* bytes of one in the file */
    bool big_endian;
    bc_dtype as; /* what it is read as: f2 and bf16 as f32, i1 as i16, u2 as i32, u4 and u8 as
                    i64, booleans as u8 (0 and 1) */
} bc_element;

/* False: there are none of this kind and size. */
bool bc_element_find(bc_element *t, enum bc_element_kind kind, size_t size, bool big_endian);

/* The elements lie in the file as in memory. */
bool bc_element_is_plain(const bc_element *t);

/* Where to put the n elements of a file in memory for n of t->as, so that
 * bc_elements_convert can work there. */
void *bc_elements_place(void *memory, const bc_element *t, size_t n);

/* The n elements at bc_elements_place become n of t->as at memory. False: an
 * unsigned one is above 2^63 - 1; the elements are unspecified then. */
bool bc_elements_convert(void *memory, const bc_element *t, size_t n);

/* IEEE half precision, exactly. */
float bc_half_to_float(uint16_t half);

#endif
