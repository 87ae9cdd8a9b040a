/* elements.c: numbers as files of other programs store them. */
#include "elements.h"

#include <string.h>

static const struct {
    enum bc_element_kind kind;
    size_t size;
    bc_dtype as;
} known[] = {
    {BC_FLOAT, 2, BC_F32},    {BC_FLOAT, 4, BC_F32},    {BC_FLOAT, 8, BC_F64},
    {BC_BRAIN, 2, BC_F32},    {BC_SIGNED, 1, BC_I16},   {BC_SIGNED, 2, BC_I16},
    {BC_SIGNED, 4, BC_I32},   {BC_SIGNED, 8, BC_I64},   {BC_UNSIGNED, 1, BC_U8},
    {BC_UNSIGNED, 2, BC_I32}, {BC_UNSIGNED, 4, BC_I64}, {BC_UNSIGNED, 8, BC_I64},
    {BC_BOOLEAN, 1, BC_U8},
};

bool bc_element_find(bc_element *t, enum bc_element_kind kind, size_t size, bool big_endian) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].kind == kind && known[i].size == size) {
            *t = (bc_element){kind, size, big_endian && size > 1, known[i].as};
            return true;
        }
    return false;
}

bool bc_element_is_plain(const bc_element *t) {
    return !t->big_endian && t->size == bc_dtype_size(t->as) && t->kind != BC_BOOLEAN &&
           !(t->kind == BC_UNSIGNED && t->size == 8);
}

void *bc_elements_place(void *memory, const bc_element *t, size_t n) {
    return (char *)memory + n * (bc_dtype_size(t->as) - t->size);
}

static uint64_t bits_of(const char *from, const bc_element *t) {
    uint64_t bits = 0;
    memcpy(&bits, from, t->size); /* this machine's order is little-endian, as everywhere here */
    return t->big_endian ? __builtin_bswap64(bits) >> (64 - 8 * t->size) : bits;
}

float bc_half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff, bits;
    float value;
    if (rest >= 0x7c00) { /* infinite or NaN */
        bits = sign | 0x7f800000 | (rest & 0x3ff) << 13;
        memcpy(&value, &bits, sizeof bits);
        return value;
    }
    bits = rest << 13;
    memcpy(&value, &bits, sizeof bits);
    value *= 0x1p112F; /* moves the exponent; also right for denormals */
    return sign ? -value : value;
}

static int64_t extended(uint64_t bits, size_t size) {
    const uint64_t sign = (uint64_t)1 << (8 * size - 1);
    return (int64_t)((bits ^ sign) - sign);
}

bool bc_elements_convert(void *memory, const bc_element *t, size_t n) {
    if (bc_element_is_plain(t)) return true;
    const char *from = bc_elements_place(memory, t, n);
    const size_t width = bc_dtype_size(t->as);
    float value;
    for (size_t i = 0; i < n; i++) { /* an element is never written over one that is not read yet */
        uint64_t bits = bits_of(from + i * t->size, t);
        if (t->kind == BC_FLOAT && t->size == 2) {
            value = bc_half_to_float((uint16_t)bits);
            memcpy(&bits, &value, sizeof value);
        }
        if (t->kind == BC_BRAIN) bits <<= 16;
        if (t->kind == BC_SIGNED) bits = (uint64_t)extended(bits, t->size);
        if (t->kind == BC_BOOLEAN) bits = bits != 0;
        if (t->kind == BC_UNSIGNED && bits > INT64_MAX) return false;
        memcpy((char *)memory + i * width, &bits, width);
    }
    return true;
}
