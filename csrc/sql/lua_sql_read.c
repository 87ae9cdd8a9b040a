/* lua_sql_read.c: results as Lua values. */
#include <math.h>

#include "lua_sql.h"

static void push_value(lua_State *L, const bc_sql_column *c, uint64_t row);

/* Numbers become an array. NULL among floats is NaN; among integers nothing
 * can stand for it, and the list becomes a Lua list with holes. */
static bool push_numbers(lua_State *L, const bc_sql_column *c, duck_list_entry span) {
    bc_dtype dtype = bc_sql_dtype(c);
    if (dtype == BC_NDTYPES || c->type == DUCK_BOOLEAN) return false;
    bc_array *a = bc_push_vector(L, dtype, (int64_t)span.length);
    if (bc_sql_numbers(a->data, c, span.offset, span.length, NAN) == span.length) return true;
    lua_pop(L, 1);
    return false;
}

static void push_list(lua_State *L, const bc_sql_column *c, duck_list_entry span) {
    if (push_numbers(L, c, span)) return;
    lua_createtable(L, (int)span.length, 1);
    for (uint64_t i = 0; i < span.length; i++) {
        push_value(L, c, span.offset + i);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushinteger(L, (lua_Integer)span.length);
    lua_setfield(L, -2, "n");
}

static void push_struct(lua_State *L, const bc_sql_column *c, uint64_t row) {
    lua_createtable(L, 0, (int)c->children);
    for (size_t i = 0; i < c->children; i++) {
        push_value(L, &c->child[i], row);
        if (c->child[i].name[0] != '\0')
            lua_setfield(L, -2, c->child[i].name);
        else
            lua_rawseti(L, -2, (lua_Integer)i + 1); /* row(1, 2) names nothing */
    }
}

static void push_map(lua_State *L, const bc_sql_column *c, duck_list_entry span) {
    lua_createtable(L, 0, (int)span.length);
    for (uint64_t i = span.offset; i < span.offset + span.length; i++) {
        push_value(L, &c->child[0], i);
        push_value(L, &c->child[1], i);
        lua_settable(L, -3);
    }
}

static void push_enum(lua_State *L, const bc_sql_column *c, uint64_t row) {
    int64_t index;
    bc_sql_integer(&index, c, row);
    char *text = bc_duck.enum_dictionary_value(c->logical, (uint64_t)index);
    lua_pushstring(L, text);
    bc_duck.free(text);
}

static void push_number(lua_State *L, const bc_sql_column *c, uint64_t row) {
    int64_t integer;
    if (bc_sql_integer(&integer, c, row))
        lua_pushinteger(L, integer);
    else
        lua_pushnumber(L, bc_sql_number(c, row));
}

static void push_text(lua_State *L, const bc_sql_column *c, uint64_t row) {
    char text[80], name[200];
    if (!bc_sql_text(text, c, row)) {
        bc_sql_type_name(name, sizeof name, c);
        luaL_error(L, "type %s has no Lua value: cast it to VARCHAR in the query", name);
    }
    lua_pushstring(L, text);
}

static void push_value(lua_State *L, const bc_sql_column *c, uint64_t row) {
    luaL_checkstack(L, 6, "values nested too deeply");
    if (bc_sql_is_null(c, row)) {
        lua_pushnil(L);
        return;
    }
    int64_t integer;
    size_t n;
    switch (c->type) {
    case DUCK_BOOLEAN:
        bc_sql_integer(&integer, c, row);
        lua_pushboolean(L, integer != 0);
        break;
    case DUCK_VARCHAR:
    case DUCK_BLOB: {
        const char *text = bc_sql_bytes(c, row, &n);
        lua_pushlstring(L, text, n);
        break;
    }
    case DUCK_ENUM: push_enum(L, c, row); break;
    case DUCK_LIST:
    case DUCK_ARRAY: push_list(L, c->child, bc_sql_span(c, row)); break;
    case DUCK_MAP: push_map(L, c->child, bc_sql_span(c, row)); break;
    case DUCK_STRUCT: push_struct(L, c, row); break;
    default:
        if (bc_sql_dtype(c) != BC_NDTYPES)
            push_number(L, c, row);
        else
            push_text(L, c, row);
    }
}

/* ---- Rows ---- */

static void push_names(lua_State *L, const bc_sql_columns *c) {
    lua_createtable(L, (int)c->n, 0);
    for (size_t i = 0; i < c->n; i++) {
        lua_pushstring(L, c->column[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_types(lua_State *L, const bc_sql_columns *c) {
    char name[512];
    lua_createtable(L, (int)c->n, 0);
    for (size_t i = 0; i < c->n; i++) {
        bc_sql_type_name(name, sizeof name, &c->column[i]);
        lua_pushstring(L, name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

void bc_sql_push_rows(lua_State *L, bc_sql_hold *hold) {
    lua_Integer at = 0;
    bc_sql_columns *c = &hold->columns;
    bool is_query = bc_duck.result_return_type(hold->job.result) == DUCK_RESULT_QUERY;
    lua_createtable(L, (int)bc_duck.row_count(&hold->job.result), 2);
    push_types(L, c);
    lua_setfield(L, -2, "types");
    push_names(L, c);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "columns");
    int names = lua_gettop(L), rows = names - 1;
    while (is_query && bc_sql_next(&hold->job)) {
        uint64_t n = bc_sql_columns_read(c, &hold->job);
        for (uint64_t row = 0; row < n; row++) {
            lua_createtable(L, 0, (int)c->n);
            for (size_t i = 0; i < c->n; i++) {
                lua_rawgeti(L, names, (lua_Integer)i + 1);
                push_value(L, &c->column[i], row);
                lua_rawset(L, -3);
            }
            lua_rawseti(L, rows, ++at);
        }
    }
    lua_settop(L, rows);
    luaL_setmetatable(L, BC_SQL_ROWS);
}

/* ---- Columns ---- */

/* What column i of the result is collected into: pushes an array of n, a
 * matrix of n rows, or a list. */
static void push_store(lua_State *L, const bc_sql_column *c, int64_t n) {
    if (bc_sql_dtype(c) != BC_NDTYPES) {
        bc_push_vector(L, bc_sql_dtype(c), n);
    } else if (c->type == DUCK_ARRAY && bc_sql_dtype(c->child) != BC_NDTYPES) {
        bc_push_matrix(L, bc_sql_dtype(c->child), n, (int64_t)c->length);
    } else {
        lua_createtable(L, (int)n, 1);
        lua_pushinteger(L, n);
        lua_setfield(L, -2, "n");
    }
}

static void null_number(lua_State *L, const bc_sql_column *c, uint64_t row) {
    luaL_error(L, "column '%s' is NULL in row %I: say what stands for it with the option null, "
                  "or with coalesce in the query", c->name, (LUAI_UACINT)row + 1);
}

/* Row by row, as a whole row of an ARRAY column can be NULL. */
static void fill_matrix(lua_State *L, bc_array *a, const bc_sql_column *c, uint64_t done,
                        uint64_t n, double null) {
    uint64_t width = c->length;
    bool stop = isnan(null) && !bc_dtype_is_float(a->dtype);
    char *out = (char *)a->data + done * width * bc_dtype_size(a->dtype);
    for (uint64_t row = 0; row < n; row++, out += width * bc_dtype_size(a->dtype)) {
        if (bc_sql_is_null(c, row)) {
            if (stop) null_number(L, c, done + row);
            for (uint64_t k = 0; k < width; k++)
                bc_array_put(a, (int64_t)((done + row) * width + k), null);
        } else if (bc_sql_numbers(out, c->child, row * width, width, null) != width) {
            null_number(L, c, done + row);
        }
    }
}

/* The chunk's n rows of column c, into the store on top of the stack. */
static void fill_store(lua_State *L, const bc_sql_column *c, uint64_t done, uint64_t n,
                       double null) {
    bc_array *a = bc_test_array(L, -1);
    if (a == NULL) {
        for (uint64_t row = 0; row < n; row++) {
            push_value(L, c, row);
            lua_rawseti(L, -2, (lua_Integer)(done + row) + 1);
        }
    } else if (a->ndim == 2) {
        fill_matrix(L, a, c, done, n, null);
    } else {
        char *out = (char *)a->data + done * bc_dtype_size(a->dtype);
        uint64_t good = bc_sql_numbers(out, c, 0, n, null);
        if (good != n) null_number(L, c, done + good);
    }
}

void bc_sql_push_columns(lua_State *L, bc_sql_hold *hold, int arg) {
    double null = bc_opt_number(L, arg, "null", NAN);
    bc_sql_columns *c = &hold->columns;
    uint64_t rows = bc_duck.row_count(&hold->job.result), done = 0, n;
    int first = lua_gettop(L) + 1;
    luaL_checkstack(L, (int)c->n + 8, "too many columns");
    for (size_t i = 0; i < c->n; i++) push_store(L, &c->column[i], (int64_t)rows);
    for (; bc_sql_next(&hold->job); done += n) {
        n = bc_sql_columns_read(c, &hold->job);
        for (size_t i = 0; i < c->n; i++) {
            lua_pushvalue(L, first + (int)i);
            fill_store(L, &c->column[i], done, n, null);
            lua_pop(L, 1);
        }
    }
    lua_createtable(L, 0, (int)c->n);
    for (size_t i = 0; i < c->n; i++) {
        lua_pushvalue(L, first + (int)i);
        lua_setfield(L, -2, c->column[i].name);
    }
    /* The names' order is kept out of the way of pairs. */
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "bclua.sql.columns");
    lua_setfield(L, -2, "__name");
    push_names(L, c);
    lua_setfield(L, -2, "names");
    lua_setmetatable(L, -2);
}
