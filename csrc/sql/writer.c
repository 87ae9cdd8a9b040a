/* writer.c: columns into a table, a chunk of rows at a time. */
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/interrupt.h"

/* ---- Kinds ---- */

duck_type_id bc_sql_leaf_of(bc_dtype dtype) {
    switch (dtype) {
    case BC_F32: return DUCK_FLOAT;
    case BC_F64: return DUCK_DOUBLE;
    case BC_I64: return DUCK_BIGINT;
    case BC_I32: return DUCK_INTEGER;
    case BC_I16: return DUCK_SMALLINT;
    case BC_U8: return DUCK_UTINYINT;
    default: return DUCK_INVALID;
    }
}

static bool is_integer(duck_type_id t) {
    return t == DUCK_BIGINT || t == DUCK_INTEGER || t == DUCK_SMALLINT || t == DUCK_UTINYINT;
}

static bool is_number(duck_type_id t) {
    return is_integer(t) || t == DUCK_FLOAT || t == DUCK_DOUBLE;
}

bool bc_sql_unite(bc_sql_kind *to, bc_sql_kind other) {
    if (other.leaf == DUCK_INVALID && other.depth <= to->depth) return true;
    if (to->leaf == DUCK_INVALID && to->depth <= other.depth) {
        *to = other;
        return true;
    }
    if (to->depth != other.depth) return false;
    if (to->leaf == other.leaf) return true;
    if (!is_number(to->leaf) || !is_number(other.leaf)) return false;
    to->leaf = is_integer(to->leaf) && is_integer(other.leaf) ? DUCK_BIGINT : DUCK_DOUBLE;
    return true;
}

void bc_sql_kind_name(char *to, size_t size, bc_sql_kind kind) {
    static const struct {
        duck_type_id leaf;
        const char *name;
    } names[] = {{DUCK_BOOLEAN, "BOOLEAN"}, {DUCK_UTINYINT, "UTINYINT"},
                 {DUCK_SMALLINT, "SMALLINT"}, {DUCK_INTEGER, "INTEGER"},
                 {DUCK_BIGINT, "BIGINT"},     {DUCK_FLOAT, "FLOAT"},
                 {DUCK_DOUBLE, "DOUBLE"}};
    const char *name = "VARCHAR";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].leaf == kind.leaf) name = names[i].name;
    int n = snprintf(to, size, "%s", name);
    for (int i = 0; i < kind.depth && (size_t)n + 3 < size; i++)
        n += snprintf(to + n, size - (size_t)n, "[]");
}

duck_type bc_sql_kind_type(bc_sql_kind kind) {
    duck_type type =
        bc_duck.create_logical_type(kind.leaf == DUCK_INVALID ? DUCK_VARCHAR : (int)kind.leaf);
    for (int i = 0; type != NULL && i < kind.depth; i++) {
        duck_type list = bc_duck.create_list_type(type);
        bc_duck.destroy_logical_type(&type);
        type = list;
    }
    return type;
}

/* ---- The writer ---- */

static int fault(bc_sql_writer *w, bc_sql_error *e) {
    const char *message = bc_duck.appender_error(w->appender);
    return bc_sql_mistake(e, "%s", message != NULL ? message : "the rows were not taken");
}

static int make_chunk(bc_sql_writer *w, const bc_sql_kind *kinds, size_t columns) {
    duck_type *types = calloc(columns, sizeof *types);
    if (types == NULL) return BC_NOMEM;
    bool whole = true;
    for (size_t i = 0; i < columns; i++)
        whole &= (types[i] = bc_sql_kind_type(kinds[i])) != NULL;
    if (whole) w->chunk = bc_duck.create_data_chunk(types, columns);
    for (size_t i = 0; i < columns; i++)
        if (types[i] != NULL) bc_duck.destroy_logical_type(&types[i]);
    free(types);
    return w->chunk != NULL ? BC_OK : BC_NOMEM;
}

int bc_sql_writer_open(bc_sql_writer *w, bc_sql *c, const char *table, const bc_sql_kind *kinds,
                       size_t columns, bc_sql_error *e) {
    if (bc_duck.appender_create_ext(c->connection, NULL, NULL, table, &w->appender) != DUCK_OK)
        return fault(w, e);
    return make_chunk(w, kinds, columns);
}

uint64_t bc_sql_writer_capacity(void) { return bc_duck.vector_size(); }

duck_vector bc_sql_writer_column(bc_sql_writer *w, size_t column) {
    return bc_duck.data_chunk_get_vector(w->chunk, column);
}

int bc_sql_writer_flush(bc_sql_writer *w, uint64_t rows, bc_sql_error *e) {
    if (bc_interrupted()) return BC_STOPPED;
    bc_duck.data_chunk_set_size(w->chunk, rows);
    if (bc_duck.append_data_chunk(w->appender, w->chunk) != DUCK_OK) return fault(w, e);
    bc_duck.data_chunk_reset(w->chunk);
    return BC_OK;
}

int bc_sql_writer_close(bc_sql_writer *w, bc_sql_error *e) {
    if (bc_duck.appender_close(w->appender) != DUCK_OK) return fault(w, e);
    bc_sql_writer_free(w);
    return BC_OK;
}

void bc_sql_writer_free(bc_sql_writer *w) {
    if (w->chunk != NULL) bc_duck.destroy_data_chunk(&w->chunk);
    if (w->appender != NULL) bc_duck.appender_destroy(&w->appender);
    memset(w, 0, sizeof *w);
}

/* ---- Values ---- */

void bc_sql_put_null(duck_vector v, uint64_t row) {
    bc_duck.vector_ensure_validity_writable(v);
    bc_duck.validity_set_row_invalid(bc_duck.vector_get_validity(v), row);
}

void bc_sql_put_text(duck_vector v, uint64_t row, const char *text, size_t n) {
    bc_duck.vector_assign_string_element_len(v, row, text, n);
}

void bc_sql_put_integer(duck_vector v, duck_type_id leaf, uint64_t row, int64_t value) {
    void *data = bc_duck.vector_get_data(v);
    switch (leaf) {
    case DUCK_BOOLEAN: ((bool *)data)[row] = value != 0; break;
    case DUCK_UTINYINT: ((uint8_t *)data)[row] = (uint8_t)value; break;
    case DUCK_SMALLINT: ((int16_t *)data)[row] = (int16_t)value; break;
    case DUCK_INTEGER: ((int32_t *)data)[row] = (int32_t)value; break;
    case DUCK_BIGINT: ((int64_t *)data)[row] = value; break;
    case DUCK_FLOAT: ((float *)data)[row] = (float)value; break;
    default: ((double *)data)[row] = (double)value; break;
    }
}

void bc_sql_put_number(duck_vector v, duck_type_id leaf, uint64_t row, double value) {
    void *data = bc_duck.vector_get_data(v);
    if (leaf == DUCK_FLOAT)
        ((float *)data)[row] = (float)value;
    else
        ((double *)data)[row] = value;
}

void bc_sql_put_array(duck_vector v, duck_type_id leaf, uint64_t row, const bc_array *a,
                      int64_t first, int64_t count) {
    size_t size = bc_dtype_size(a->dtype);
    if (leaf == bc_sql_leaf_of(a->dtype) && bc_array_contiguous(a)) {
        if (count > 0) /* an empty array may have no data */
            memcpy((char *)bc_duck.vector_get_data(v) + row * size,
                   (const char *)a->data + (size_t)first * size, (size_t)count * size);
        return;
    }
    bool is_float = bc_dtype_is_float(a->dtype);
    for (int64_t i = 0; i < count; i++) {
        if (is_float)
            bc_sql_put_number(v, leaf, row + (uint64_t)i, bc_array_get(a, first + i));
        else
            bc_sql_put_integer(v, leaf, row + (uint64_t)i, bc_array_get_integer(a, first + i));
    }
}

int bc_sql_put_list(duck_vector v, uint64_t row, uint64_t n, duck_vector *child, uint64_t *at) {
    uint64_t size = bc_duck.list_vector_get_size(v);
    if (bc_duck.list_vector_reserve(v, size + n) != DUCK_OK ||
        bc_duck.list_vector_set_size(v, size + n) != DUCK_OK)
        return BC_NOMEM;
    ((duck_list_entry *)bc_duck.vector_get_data(v))[row] = (duck_list_entry){size, n};
    *child = bc_duck.list_vector_get_child(v);
    *at = size;
    return BC_OK;
}
