/* lua_sql_write.c: Lua's columns into a table. */
#include <string.h>

#include "lua_sql.h"

/* ---- What a value is ---- */

lua_Integer bc_sql_length(lua_State *L, int at) {
    int is_integer;
    lua_Integer has = (lua_Integer)lua_rawlen(L, at), n = has;
    if (bc_push_option(L, at, "n") != LUA_TNIL) {
        n = lua_tointegerx(L, -1, &is_integer);
        if (!is_integer || n < 0 || n > has + BC_SQL_MOST_NULLS)
            luaL_error(L, "a list's n is not a number of elements: 0 to %I (%d more than it has)",
                       (LUAI_UACINT)(has + BC_SQL_MOST_NULLS), BC_SQL_MOST_NULLS);
    }
    lua_pop(L, 1);
    return n;
}

#define DEEPEST 32 /* lists in lists; a list that holds itself has no end */

static bc_sql_kind kind_of(lua_State *L, int at, const char *name, int depth);

static bc_sql_kind kind_of_list(lua_State *L, int at, const char *name, int depth) {
    bc_sql_kind kind = {DUCK_INVALID, 0};
    if (depth == DEEPEST)
        luaL_error(L, "column '%s': lists nested deeper than %d, or in a cycle", name, DEEPEST);
    lua_Integer n = bc_sql_length(L, at);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, at, i);
        if (!bc_sql_unite(&kind, kind_of(L, -1, name, depth + 1)))
            luaL_error(L, "column '%s': element %I is a %s, unlike those before it", name,
                       (LUAI_UACINT)i, luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    return kind;
}

static bc_sql_kind kind_of(lua_State *L, int at, const char *name, int depth) {
    size_t n;
    bc_sql_kind kind = {DUCK_INVALID, 0};
    const bc_array *a = bc_test_array(L, at);
    luaL_checkstack(L, 6, "lists nested too deeply");
    if (a != NULL) {
        if (a->ndim > 2)
            luaL_error(L, "column '%s': an array of %d axes (1 or 2 allowed)", name, a->ndim);
        return (bc_sql_kind){bc_sql_leaf_of(a->dtype), a->ndim};
    }
    switch (lua_type(L, at)) {
    case LUA_TNIL: return kind;
    case LUA_TBOOLEAN: kind.leaf = DUCK_BOOLEAN; return kind;
    case LUA_TNUMBER: kind.leaf = lua_isinteger(L, at) ? DUCK_BIGINT : DUCK_DOUBLE; return kind;
    case LUA_TSTRING:
        kind.leaf = DUCK_VARCHAR;
        const char *text = lua_tolstring(L, at, &n);
        if (!bc_sql_is_utf8(text, n)) luaL_error(L, "column '%s': text that is not UTF-8", name);
        return kind;
    case LUA_TTABLE:
        kind = kind_of_list(L, lua_absindex(L, at), name, depth);
        kind.depth++;
        return kind;
    default:
        luaL_error(L, "column '%s': a %s cannot be stored", name, luaL_typename(L, at));
        return kind;
    }
}

bc_sql_kind bc_sql_kind_of(lua_State *L, int at, const char *name) {
    return kind_of(L, at, name, 0);
}

/* ---- Columns ---- */

typedef struct column {
    const char *name;
    bc_sql_kind kind;
    lua_Integer rows;
} column;

/* The columns that `names` (a list) picks out of a table; pushes each column's
 * value, from stack position *first on, and returns them in a block that is
 * pushed before. */
static column *check_columns(lua_State *L, int table, int names, size_t *n, int *first) {
    luaL_checktype(L, table, LUA_TTABLE);
    luaL_checktype(L, names, LUA_TTABLE);
    *n = (size_t)lua_rawlen(L, names);
    if (*n == 0) luaL_error(L, "there are no columns");
    luaL_checkstack(L, (int)*n + 10, "too many columns");
    column *c = lua_newuserdatauv(L, *n * sizeof *c, 0);
    *first = lua_gettop(L) + 1;
    for (size_t i = 0; i < *n; i++) {
        if (lua_rawgeti(L, names, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "column names are strings, got a %s", luaL_typename(L, -1));
        c[i].name = lua_tostring(L, -1); /* the list keeps it */
        lua_pop(L, 1);
        if (bc_push_option(L, table, c[i].name) == LUA_TNIL) /* no Lua code: it could close */
            luaL_error(L, "there is no column '%s'", c[i].name);
        const bc_array *a = bc_test_array(L, -1);
        if (a == NULL && !lua_istable(L, -1))
            luaL_error(L, "column '%s' is a %s, not an array or a list", c[i].name,
                       luaL_typename(L, -1));
        c[i].kind = bc_sql_kind_of(L, -1, c[i].name);
        c[i].kind.depth--;
        c[i].rows = a != NULL ? (lua_Integer)a->shape[0] : bc_sql_length(L, lua_gettop(L));
        if (c[i].rows != c[0].rows)
            luaL_error(L, "column '%s' has %I rows, column '%s' has %I", c[0].name,
                       (LUAI_UACINT)c[0].rows, c[i].name, (LUAI_UACINT)c[i].rows);
    }
    return c;
}

static void no_memory(lua_State *L, int rc) {
    if (rc != BC_OK) luaL_error(L, "%s", bc_status_text(rc, NULL));
}

static void put_value(lua_State *L, int at, duck_vector v, bc_sql_kind kind, uint64_t row);

/* A list or array at `at` becomes the list of row `row`. */
static void put_list(lua_State *L, int at, duck_vector v, bc_sql_kind kind, uint64_t row) {
    duck_vector child;
    uint64_t to;
    const bc_array *a = bc_test_array(L, at);
    kind.depth--;
    if (a != NULL && a->ndim == 1) {
        no_memory(L, bc_sql_put_list(v, row, (uint64_t)a->shape[0], &child, &to));
        bc_sql_put_array(child, kind.leaf, to, a, 0, a->shape[0]);
        return;
    }
    lua_Integer n = a != NULL ? (lua_Integer)a->shape[0] : bc_sql_length(L, at);
    no_memory(L, bc_sql_put_list(v, row, (uint64_t)n, &child, &to));
    for (lua_Integer i = 0; i < n; i++) {
        if (a != NULL) {
            duck_vector inner;
            uint64_t at_inner;
            no_memory(L, bc_sql_put_list(child, to + (uint64_t)i, (uint64_t)a->shape[1], &inner,
                                         &at_inner));
            bc_sql_put_array(inner, kind.leaf, at_inner, a, i * a->shape[1], a->shape[1]);
        } else {
            lua_rawgeti(L, at, i + 1);
            put_value(L, lua_gettop(L), child, kind, to + (uint64_t)i);
            lua_pop(L, 1);
        }
    }
}

static void put_value(lua_State *L, int at, duck_vector v, bc_sql_kind kind, uint64_t row) {
    size_t n;
    if (lua_isnil(L, at)) {
        bc_sql_put_null(v, row);
    } else if (kind.depth > 0) {
        put_list(L, at, v, kind, row);
    } else if (kind.leaf == DUCK_VARCHAR) {
        const char *text = lua_tolstring(L, at, &n);
        bc_sql_put_text(v, row, text, n);
    } else if (kind.leaf == DUCK_BOOLEAN) {
        bc_sql_put_integer(v, kind.leaf, row, lua_toboolean(L, at));
    } else if (lua_isinteger(L, at)) {
        bc_sql_put_integer(v, kind.leaf, row, lua_tointeger(L, at));
    } else {
        bc_sql_put_number(v, kind.leaf, row, lua_tonumber(L, at));
    }
}

/* Rows done + 1 ... done + n of the column at stack position `at`. */
static void put_rows(lua_State *L, int at, duck_vector v, bc_sql_kind kind, lua_Integer done,
                     lua_Integer n) {
    const bc_array *a = bc_test_array(L, at);
    if (a != NULL && a->ndim == 1) {
        bc_sql_put_array(v, kind.leaf, 0, a, done, n);
        return;
    }
    for (lua_Integer i = 0; i < n; i++) {
        if (a != NULL) {
            duck_vector child;
            uint64_t to;
            int64_t width = a->shape[1];
            no_memory(L, bc_sql_put_list(v, (uint64_t)i, (uint64_t)width, &child, &to));
            bc_sql_put_array(child, kind.leaf, to, a, (done + i) * width, width);
        } else {
            lua_rawgeti(L, at, done + i + 1);
            put_value(L, lua_gettop(L), v, kind, (uint64_t)i);
            lua_pop(L, 1);
        }
    }
}

/* ---- The functions ---- */

/* The SQL types of columns: declare(columns, names) -> list of types, rows. */
int bc_sql_l_declare(lua_State *L) {
    size_t n;
    int first;
    char name[256];
    column *c = check_columns(L, 1, 2, &n, &first);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        bc_sql_kind_name(name, sizeof name, c[i].kind);
        lua_pushstring(L, name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushinteger(L, c[0].rows);
    return 2;
}

/* Elements of the list in row `row` of a column, those of inner lists left out. */
static lua_Integer list_length(lua_State *L, int at, lua_Integer row) {
    const bc_array *a = bc_test_array(L, at);
    lua_Integer n = 0;
    if (a != NULL) return (lua_Integer)a->shape[1];
    lua_rawgeti(L, at, row);
    a = bc_test_array(L, -1);
    if (a != NULL)
        n = (lua_Integer)bc_array_count(a);
    else if (lua_istable(L, -1))
        n = bc_sql_length(L, lua_gettop(L));
    lua_pop(L, 1);
    return n;
}

/* How many rows after `done` go into one chunk: as many as it holds, but not so
 * many that long lists take much memory. */
static lua_Integer rows_of_chunk(lua_State *L, const column *c, size_t n, int first,
                                 lua_Integer done) {
    enum { ELEMENTS = 1 << 20 };
    lua_Integer most = (lua_Integer)bc_sql_writer_capacity(), elements = 0, rows = 0;
    if (most > c[0].rows - done) most = c[0].rows - done;
    while (rows < most && (rows == 0 || elements < ELEMENTS)) {
        rows++;
        for (size_t i = 0; i < n; i++)
            if (c[i].kind.depth > 0) elements += list_length(L, first + (int)i, done + rows);
    }
    return rows;
}

/* drop(connection, table), come what may: also after Ctrl-C. */
int bc_sql_l_drop(lua_State *L) {
    bc_sql *on = bc_sql_check(L, 1);
    const char *text = lua_pushfstring(L, "DROP TABLE IF EXISTS temp.%s", luaL_checkstring(L, 2));
    bc_duck.query(on->connection, text, NULL);
    return 0;
}

/* fill(connection, table, columns, names) -> the number of rows. The table has
 * just these columns. */
int bc_sql_l_fill(lua_State *L) {
    size_t n;
    int first;
    bc_sql_error e;
    bc_sql *on = bc_sql_check(L, 1);
    const char *table = luaL_checkstring(L, 2);
    column *c = check_columns(L, 3, 4, &n, &first);
    bc_sql_kind *kinds = lua_newuserdatauv(L, n * sizeof *kinds, 0);
    for (size_t i = 0; i < n; i++) kinds[i] = c[i].kind;
    bc_sql_writer *w = &bc_sql_push_hold(L)->writer;
    int rc = bc_sql_writer_open(w, on, table, kinds, n, &e);
    lua_Integer rows = c[0].rows, count;
    for (lua_Integer done = 0; rc == BC_OK && done < rows; done += count) {
        count = rows_of_chunk(L, c, n, first, done);
        for (size_t i = 0; i < n; i++)
            put_rows(L, first + (int)i, bc_sql_writer_column(w, i), c[i].kind, done, count);
        rc = bc_sql_writer_flush(w, (uint64_t)count, &e);
    }
    if (rc == BC_OK) rc = bc_sql_writer_close(w, &e);
    if (rc != BC_OK) return bc_sql_failure(L, rc, &e);
    lua_pushinteger(L, rows);
    return 1;
}
