/* column.c: read the columns of a result. */
#include "column.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What the columns are ---- */

static void free_column(bc_sql_column *c) {
    for (size_t i = 0; i < c->children; i++) free_column(&c->child[i]);
    free(c->child);
    free(c->name);
    if (c->logical != NULL) bc_duck.destroy_logical_type(&c->logical);
}

void bc_sql_columns_free(bc_sql_columns *to) {
    for (size_t i = 0; i < to->n; i++) free_column(&to->column[i]);
    free(to->column);
    to->n = 0;
    to->column = NULL;
}

static int learn_type(bc_sql_column *c, duck_type logical);

static int learn_field(bc_sql_column *c, const char *name, duck_type logical) {
    int rc = learn_type(c, logical);
    if (rc == BC_OK && (c->name = strdup(name)) == NULL) rc = BC_NOMEM;
    return rc;
}

static int make_children(bc_sql_column *c, size_t n) {
    c->child = calloc(n > 0 ? n : 1, sizeof *c->child);
    if (c->child == NULL) return BC_NOMEM;
    c->children = n;
    return BC_OK;
}

static int learn_struct(bc_sql_column *c) {
    size_t n = bc_duck.struct_type_child_count(c->logical);
    int rc = make_children(c, n);
    for (size_t i = 0; rc == BC_OK && i < n; i++) {
        char *name = bc_duck.struct_type_child_name(c->logical, i);
        if (name == NULL) return BC_NOMEM;
        rc = learn_field(&c->child[i], name, bc_duck.struct_type_child_type(c->logical, i));
        bc_duck.free(name);
    }
    return rc;
}

/* A map is a list of structs; its logical type does not say so. */
static int learn_map(bc_sql_column *c) {
    int rc = make_children(c, 1);
    if (rc != BC_OK) return rc;
    bc_sql_column *pair = c->child;
    pair->type = pair->storage = DUCK_STRUCT;
    rc = make_children(pair, 2);
    if (rc == BC_OK)
        rc = learn_field(&pair->child[0], "key", bc_duck.map_type_key_type(c->logical));
    if (rc == BC_OK)
        rc = learn_field(&pair->child[1], "value", bc_duck.map_type_value_type(c->logical));
    return rc;
}

/* Takes logical over, whatever comes of it. */
static int learn_type(bc_sql_column *c, duck_type logical) {
    c->logical = logical;
    if (logical == NULL) return BC_NOMEM;
    c->type = c->storage = (duck_type_id)bc_duck.get_type_id(logical);
    int rc;
    switch (c->type) {
    case DUCK_DECIMAL:
        c->storage = (duck_type_id)bc_duck.decimal_internal_type(logical);
        c->width = bc_duck.decimal_width(logical);
        c->scale = bc_duck.decimal_scale(logical);
        return BC_OK;
    case DUCK_ENUM:
        c->storage = (duck_type_id)bc_duck.enum_internal_type(logical);
        return BC_OK;
    case DUCK_LIST:
        rc = make_children(c, 1);
        return rc != BC_OK ? rc : learn_type(c->child, bc_duck.list_type_child_type(logical));
    case DUCK_ARRAY:
        c->length = bc_duck.array_type_array_size(logical);
        rc = make_children(c, 1);
        return rc != BC_OK ? rc : learn_type(c->child, bc_duck.array_type_child_type(logical));
    case DUCK_STRUCT: return learn_struct(c);
    case DUCK_MAP: return learn_map(c);
    default: return BC_OK;
    }
}

static bool is_taken(const bc_sql_columns *to, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(to->column[i].name, name) == 0) return true;
    return false;
}

/* A name that no earlier column has. */
static char *unique_name(const bc_sql_columns *to, size_t n, const char *name) {
    size_t size = strlen(name) + 24;
    char *unique = malloc(size);
    if (unique == NULL) return NULL;
    snprintf(unique, size, "%s", name);
    for (unsigned k = 1; is_taken(to, n, unique); k++) snprintf(unique, size, "%s_%u", name, k);
    return unique;
}

int bc_sql_columns_new(bc_sql_columns *to, bc_sql_job *j) {
    size_t n = bc_duck.column_count(&j->result);
    to->column = calloc(n > 0 ? n : 1, sizeof *to->column);
    if (to->column == NULL) return BC_NOMEM;
    to->n = n;
    for (size_t i = 0; i < n; i++) {
        to->column[i].name = unique_name(to, i, bc_duck.column_name(&j->result, i));
        if (to->column[i].name == NULL) return BC_NOMEM;
        int rc = learn_type(&to->column[i], bc_duck.column_logical_type(&j->result, i));
        if (rc != BC_OK) return rc;
    }
    return BC_OK;
}

static const char *const type_names[] = {
    [DUCK_INVALID] = "INVALID",
    [DUCK_BOOLEAN] = "BOOLEAN",
    [DUCK_TINYINT] = "TINYINT",
    [DUCK_SMALLINT] = "SMALLINT",
    [DUCK_INTEGER] = "INTEGER",
    [DUCK_BIGINT] = "BIGINT",
    [DUCK_UTINYINT] = "UTINYINT",
    [DUCK_USMALLINT] = "USMALLINT",
    [DUCK_UINTEGER] = "UINTEGER",
    [DUCK_UBIGINT] = "UBIGINT",
    [DUCK_FLOAT] = "FLOAT",
    [DUCK_DOUBLE] = "DOUBLE",
    [DUCK_TIMESTAMP] = "TIMESTAMP",
    [DUCK_DATE] = "DATE",
    [DUCK_TIME] = "TIME",
    [DUCK_INTERVAL] = "INTERVAL",
    [DUCK_HUGEINT] = "HUGEINT",
    [DUCK_VARCHAR] = "VARCHAR",
    [DUCK_BLOB] = "BLOB",
    [DUCK_DECIMAL] = "DECIMAL",
    [DUCK_TIMESTAMP_S] = "TIMESTAMP_S",
    [DUCK_TIMESTAMP_MS] = "TIMESTAMP_MS",
    [DUCK_TIMESTAMP_NS] = "TIMESTAMP_NS",
    [DUCK_ENUM] = "ENUM",
    [DUCK_STRUCT] = "STRUCT",
    [DUCK_UUID] = "UUID",
    [DUCK_UNION] = "UNION",
    [DUCK_BIT] = "BIT",
    [DUCK_TIME_TZ] = "TIME WITH TIME ZONE",
    [DUCK_TIMESTAMP_TZ] = "TIMESTAMP WITH TIME ZONE",
    [DUCK_UHUGEINT] = "UHUGEINT",
    [DUCK_BIGNUM] = "BIGNUM",
    [DUCK_SQLNULL] = "NULL",
};

static size_t add(char *to, size_t size, size_t at, const char *text) {
    size_t n = strlen(text);
    if (at + n >= size) n = size - 1 - at;
    memcpy(to + at, text, n);
    to[at + n] = '\0';
    return at + n;
}

static size_t add_type(char *to, size_t size, size_t at, const bc_sql_column *c) {
    char number[48];
    switch (c->type) {
    case DUCK_LIST: return add(to, size, add_type(to, size, at, c->child), "[]");
    case DUCK_ARRAY:
        snprintf(number, sizeof number, "[%llu]", (unsigned long long)c->length);
        return add(to, size, add_type(to, size, at, c->child), number);
    case DUCK_DECIMAL:
        snprintf(number, sizeof number, "DECIMAL(%d,%d)", c->width, c->scale);
        return add(to, size, at, number);
    case DUCK_MAP:
        at = add_type(to, size, add(to, size, at, "MAP("), &c->child->child[0]);
        at = add_type(to, size, add(to, size, at, ", "), &c->child->child[1]);
        return add(to, size, at, ")");
    case DUCK_STRUCT:
        at = add(to, size, at, "STRUCT(");
        for (size_t i = 0; i < c->children; i++) {
            at = add(to, size, at, i > 0 ? ", " : "");
            at = add(to, size, add(to, size, at, c->child[i].name), " ");
            at = add_type(to, size, at, &c->child[i]);
        }
        return add(to, size, at, ")");
    default: break;
    }
    size_t known = sizeof type_names / sizeof *type_names;
    const char *name = (size_t)c->type < known ? type_names[c->type] : NULL;
    return add(to, size, at, name != NULL ? name : "UNKNOWN");
}

void bc_sql_type_name(char *to, size_t size, const bc_sql_column *c) {
    to[0] = '\0';
    add_type(to, size, 0, c);
}

/* ---- The current chunk ---- */

static void look_at(bc_sql_column *c, duck_vector v) {
    c->data = bc_duck.vector_get_data(v);
    c->valid = bc_duck.vector_get_validity(v);
    if (c->type == DUCK_LIST || c->type == DUCK_MAP)
        look_at(c->child, bc_duck.list_vector_get_child(v));
    else if (c->type == DUCK_ARRAY)
        look_at(c->child, bc_duck.array_vector_get_child(v));
    else
        for (size_t i = 0; i < c->children; i++)
            look_at(&c->child[i], bc_duck.struct_vector_get_child(v, i));
}

uint64_t bc_sql_columns_read(bc_sql_columns *to, const bc_sql_job *j) {
    for (size_t i = 0; i < to->n; i++)
        look_at(&to->column[i], bc_duck.data_chunk_get_vector(j->chunk, i));
    return bc_duck.data_chunk_get_size(j->chunk);
}

/* ---- Values ---- */

bc_dtype bc_sql_dtype(const bc_sql_column *c) {
    switch (c->type) {
    case DUCK_BOOLEAN:
    case DUCK_UTINYINT: return BC_U8;
    case DUCK_TINYINT:
    case DUCK_SMALLINT: return BC_I16;
    case DUCK_USMALLINT:
    case DUCK_INTEGER: return BC_I32;
    case DUCK_UINTEGER:
    case DUCK_BIGINT: return BC_I64;
    case DUCK_FLOAT: return BC_F32;
    case DUCK_DOUBLE:
    case DUCK_UBIGINT:
    case DUCK_HUGEINT:
    case DUCK_UHUGEINT:
    case DUCK_DECIMAL: return BC_F64;
    default: return BC_NDTYPES;
    }
}

static bool huge_integer(int64_t *to, duck_hugeint h) {
    *to = (int64_t)h.lower;
    return h.upper == (*to < 0 ? -1 : 0);
}

/* The integer that is stored, whatever it means. */
static bool stored_integer(int64_t *to, const bc_sql_column *c, uint64_t row) {
    switch (c->storage) {
    case DUCK_BOOLEAN: *to = ((const uint8_t *)c->data)[row] != 0; return true;
    case DUCK_TINYINT: *to = ((const int8_t *)c->data)[row]; return true;
    case DUCK_SMALLINT: *to = ((const int16_t *)c->data)[row]; return true;
    case DUCK_INTEGER: *to = ((const int32_t *)c->data)[row]; return true;
    case DUCK_BIGINT: *to = ((const int64_t *)c->data)[row]; return true;
    case DUCK_UTINYINT: *to = ((const uint8_t *)c->data)[row]; return true;
    case DUCK_USMALLINT: *to = ((const uint16_t *)c->data)[row]; return true;
    case DUCK_UINTEGER: *to = ((const uint32_t *)c->data)[row]; return true;
    case DUCK_UBIGINT: {
        uint64_t u = ((const uint64_t *)c->data)[row];
        *to = (int64_t)u;
        return u <= INT64_MAX;
    }
    case DUCK_HUGEINT: return huge_integer(to, ((const duck_hugeint *)c->data)[row]);
    case DUCK_UHUGEINT: {
        duck_hugeint h = ((const duck_hugeint *)c->data)[row];
        *to = (int64_t)h.lower;
        return h.upper == 0 && *to >= 0;
    }
    default: return false;
    }
}

bool bc_sql_integer(int64_t *to, const bc_sql_column *c, uint64_t row) {
    return c->type != DUCK_DECIMAL && stored_integer(to, c, row);
}

static double stored_number(const bc_sql_column *c, uint64_t row) {
    int64_t integer;
    if (c->storage == DUCK_FLOAT) return (double)((const float *)c->data)[row];
    if (c->storage == DUCK_DOUBLE) return ((const double *)c->data)[row];
    if (stored_integer(&integer, c, row)) return (double)integer;
    if (c->storage == DUCK_UBIGINT) return (double)((const uint64_t *)c->data)[row];
    duck_hugeint h = ((const duck_hugeint *)c->data)[row];
    double upper = c->storage == DUCK_UHUGEINT ? (double)(uint64_t)h.upper : (double)h.upper;
    return upper * 0x1p64 + (double)h.lower;
}

double bc_sql_number(const bc_sql_column *c, uint64_t row) {
    double value = stored_number(c, row);
    return c->type == DUCK_DECIMAL ? value / pow(10.0, c->scale) : value;
}

const char *bc_sql_bytes(const bc_sql_column *c, uint64_t row, size_t *n) {
    const duck_string *s = (const duck_string *)c->data + row;
    *n = s->near.length;
    return *n <= sizeof s->near.text ? s->near.text : s->far.text;
}

duck_list_entry bc_sql_span(const bc_sql_column *c, uint64_t row) {
    if (c->type == DUCK_ARRAY) return (duck_list_entry){row * c->length, c->length};
    return ((const duck_list_entry *)c->data)[row];
}

static double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

/* The largest double that int64_t holds is below 2^63. */
#define I64_HIGH 9223372036854774784.0

/* One dtype from one stored type; NULLs are few, so that they are looked for
 * a row at a time only where there can be some. */
#define COPY_NUMBERS(to_type, from_type, missing)                                              \
    {                                                                                          \
        to_type *to = out;                                                                     \
        const from_type *from = (const from_type *)c->data + first;                            \
        for (uint64_t i = 0; i < count; i++) {                                                 \
            if (c->valid != NULL && bc_sql_is_null(c, first + i)) {                            \
                if (stop) return i;                                                            \
                to[i] = (to_type)(missing);                                                    \
            } else {                                                                           \
                to[i] = (to_type)from[i];                                                      \
            }                                                                                  \
        }                                                                                      \
        return count;                                                                          \
    }

uint64_t bc_sql_numbers(void *out, const bc_sql_column *c, uint64_t first, uint64_t count,
                        double null) {
    bc_dtype dtype = bc_sql_dtype(c);
    bool stop = isnan(null) && !bc_dtype_is_float(dtype);
    switch (c->type) {
    case DUCK_BOOLEAN:
    case DUCK_UTINYINT: COPY_NUMBERS(uint8_t, uint8_t, clamp(null, 0, 255))
    case DUCK_TINYINT: COPY_NUMBERS(int16_t, int8_t, clamp(null, -32768, 32767))
    case DUCK_SMALLINT: COPY_NUMBERS(int16_t, int16_t, clamp(null, -32768, 32767))
    case DUCK_USMALLINT: COPY_NUMBERS(int32_t, uint16_t, clamp(null, INT32_MIN, INT32_MAX))
    case DUCK_INTEGER: COPY_NUMBERS(int32_t, int32_t, clamp(null, INT32_MIN, INT32_MAX))
    case DUCK_UINTEGER: COPY_NUMBERS(int64_t, uint32_t, clamp(null, -0x1p63, I64_HIGH))
    case DUCK_BIGINT: COPY_NUMBERS(int64_t, int64_t, clamp(null, -0x1p63, I64_HIGH))
    case DUCK_FLOAT: COPY_NUMBERS(float, float, null)
    case DUCK_DOUBLE: COPY_NUMBERS(double, double, null)
    default: break;
    }
    double *to = out;
    for (uint64_t i = 0; i < count; i++)
        to[i] = bc_sql_is_null(c, first + i) ? null : bc_sql_number(c, first + i);
    return count;
}
