/* lua_sql.c: bclua.sql.core, DuckDB's connections and statements in Lua.
 * lua/bclua/sql.lua puts bclua.sql together from it. */
/// @module bclua.sql
#include "lua_sql.h"

#include <stdlib.h>
#include <string.h>

int bc_sql_failure(lua_State *L, int rc, const bc_sql_error *e) {
    if (rc != BC_FAIL) return luaL_error(L, "%s", bc_status_text(rc, NULL));
    if (e->mistake) return luaL_error(L, "%s", e->text);
    luaL_pushfail(L);
    lua_pushstring(L, e->text);
    return 2;
}

/* ---- Holding on, and letting go ---- */

static int l_hold_free(lua_State *L) {
    bc_sql_hold *hold = lua_touserdata(L, 1);
    bc_sql_columns_free(&hold->columns);
    bc_sql_finish(&hold->job);
    bc_sql_writer_free(&hold->writer);
    return 0;
}

bc_sql_hold *bc_sql_push_hold(lua_State *L) {
    return bc_push_closing(L, sizeof(bc_sql_hold), "bclua.sql.hold", l_hold_free);
}

/* ---- Connections ---- */

static bc_sql *push_connection(lua_State *L) {
    bc_sql *c = lua_newuserdatauv(L, sizeof *c, 1);
    memset(c, 0, sizeof *c);
    luaL_setmetatable(L, BC_SQL);
    return c;
}

/* The name is kept beside the connection, for tostring. */
static void set_name(lua_State *L, const char *path) {
    lua_pushstring(L, path != NULL ? path : "shared, in memory");
    lua_setiuservalue(L, -2, 1);
}

/***
Open a connection.
@function open
@tparam[opt] string path a database file, made if it is not there; without, a
   new database in memory
@treturn bclua.sql the connection; close it, or let `<close>` or the collector do so
@treturn[2] nil if the file cannot be opened or is no database
@treturn[2] string the message, which begins with the path
*/
static int l_open(lua_State *L) {
    const char *path = luaL_optstring(L, 1, ":memory:");
    bc_sql_error e;
    bc_sql *c = push_connection(L);
    set_name(L, path);
    int rc = bc_sql_open(c, path, &e);
    return rc == BC_OK ? 1 : bc_sql_failure(L, rc, &e);
}

/***
The connection that the functions of this module use. All Lua states of the
process share its database, which is in memory; temporary tables are each
state's own.
@function default
@treturn bclua.sql
@treturn[2] nil if DuckDB's library cannot be loaded
@treturn[2] string the message
*/
static int l_default(lua_State *L) {
    static const char key;
    bc_sql_error e;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TUSERDATA) {
        const bc_sql *old = lua_touserdata(L, -1);
        if (old->connection != NULL) return 1;
    }
    lua_pop(L, 1);
    bc_sql *c = push_connection(L);
    set_name(L, NULL);
    int rc = bc_sql_open(c, NULL, &e);
    if (rc != BC_OK) return bc_sql_failure(L, rc, &e);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    return 1;
}

bc_sql *bc_sql_check(lua_State *L, int arg) {
    bc_sql *c = luaL_checkudata(L, arg, BC_SQL);
    luaL_argcheck(L, c->connection != NULL, arg, "the connection is closed");
    return c;
}

/* Where a function's own arguments begin: after the connection, which may be
 * left out. NULL: the default one failed, and nil and a message are pushed. */
static bc_sql *take_connection(lua_State *L, int *arg) {
    if (luaL_testudata(L, 1, BC_SQL) != NULL) {
        *arg = 2;
        return bc_sql_check(L, 1);
    }
    *arg = 1;
    int top = lua_gettop(L);
    if (l_default(L) != 1) return NULL;
    bc_sql *c = lua_touserdata(L, -1);
    lua_settop(L, top); /* the registry keeps it */
    return c;
}

/***
Close a connection. Safe twice.
@function connection:close
*/
static int l_close(lua_State *L) {
    bc_sql_close(luaL_checkudata(L, 1, BC_SQL));
    return 0;
}

static int l_tostring(lua_State *L) {
    const bc_sql *c = luaL_checkudata(L, 1, BC_SQL);
    lua_getiuservalue(L, 1, 1);
    lua_pushfstring(L, "bclua.sql connection (%s)",
                    c->connection != NULL ? lua_tostring(L, -1) : "closed");
    return 1;
}

/* ---- Parameters ---- */

static duck_value scalar_value(lua_State *L, int at) {
    size_t n;
    const char *text;
    switch (lua_type(L, at)) {
    case LUA_TBOOLEAN: return bc_duck.create_bool(lua_toboolean(L, at));
    case LUA_TNUMBER:
        return lua_isinteger(L, at) ? bc_duck.create_int64(lua_tointeger(L, at))
                                    : bc_duck.create_double(lua_tonumber(L, at));
    case LUA_TSTRING:
        text = lua_tolstring(L, at, &n);
        return bc_duck.create_varchar_length(text, n);
    default: return bc_duck.create_null_value();
    }
}

static duck_value array_element(const bc_array *a, int64_t i) {
    return bc_dtype_is_float(a->dtype) ? bc_duck.create_double(bc_array_get(a, i))
                                       : bc_duck.create_int64(bc_array_get_integer(a, i));
}

/* kind has been checked, so that nothing here raises once values exist. */
static duck_value list_value(lua_State *L, int at, bc_sql_kind kind) {
    const bc_array *a = bc_test_array(L, at);
    lua_Integer n = a != NULL ? (lua_Integer)a->shape[0] : bc_sql_length(L, at);
    duck_value *values = lua_newuserdatauv(L, (size_t)n * sizeof *values + 1, 0);
    for (lua_Integer i = 0; i < n; i++) {
        if (a != NULL) {
            values[i] = array_element(a, i);
        } else {
            lua_rawgeti(L, at, i + 1);
            values[i] = scalar_value(L, -1);
            lua_pop(L, 1);
        }
    }
    kind.depth = 0;
    duck_type type = bc_sql_kind_type(kind);
    duck_value list = type != NULL
                          ? bc_duck.create_list_value(type, values, (uint64_t)n) : NULL;
    if (type != NULL) bc_duck.destroy_logical_type(&type);
    for (lua_Integer i = 0; i < n; i++) bc_duck.destroy_value(&values[i]);
    lua_pop(L, 1);
    return list;
}

/* Bind the value on top of the stack to parameter `index`, and pop it. */
static int bind_top(lua_State *L, bc_sql_job *j, uint64_t index, const char *name, int arg,
                    bc_sql_error *e) {
    int at = lua_gettop(L);
    const char *text = lua_type(L, at) == LUA_TSTRING ? lua_tostring(L, at) : NULL;
    size_t n = text != NULL ? lua_rawlen(L, at) : 0;
    if (text != NULL && !bc_sql_is_utf8(text, n))
        bc_arg_error(L, arg, "parameter %s is text that is not UTF-8", name);
    if (!lua_isnil(L, at) && !lua_isboolean(L, at) && text == NULL &&
        lua_type(L, at) != LUA_TNUMBER && !lua_istable(L, at) && bc_test_array(L, at) == NULL)
        bc_arg_error(L, arg, "parameter %s is a %s", name, luaL_typename(L, at));
    bc_sql_kind kind = bc_sql_kind_of(L, at, name);
    if (kind.depth > 1) bc_arg_error(L, arg, "parameter %s is a list of lists", name);
    duck_value value = kind.depth == 1 ? list_value(L, at, kind) : scalar_value(L, at);
    int rc = bc_sql_bind(j, index, value, text, e);
    lua_settop(L, at - 1);
    return rc;
}

/* A positional parameter's number; 0 for a named one. */
static lua_Integer position(const char *name) {
    char *end;
    long n = strtol(name, &end, 10);
    return *end == '\0' && n > 0 ? n : 0;
}

static int bind_all(lua_State *L, bc_sql_job *j, int arg, bc_sql_error *e) {
    uint64_t n = bc_duck.nparams(j->prepared);
    bool given = !lua_isnoneornil(L, arg);
    if (given) luaL_checktype(L, arg, LUA_TTABLE);
    lua_Integer have = given ? bc_sql_length(L, arg) : 0, used = 0;
    for (uint64_t i = 1; i <= n; i++) {
        char name[128] = "";
        char *known = bc_duck.parameter_name(j->prepared, i);
        if (known != NULL) strncat(name, known, sizeof name - 1);
        bc_duck.free(known);
        lua_Integer at = position(name);
        bool missing = at > have;
        if (at > used) used = at;
        if (at == 0) missing = !given || bc_push_option(L, arg, name) == LUA_TNIL;
        if (missing) return bc_arg_error(L, arg, "parameter %s is missing", name);
        if (at > 0) lua_rawgeti(L, arg, at);
        int rc = bind_top(L, j, i, name, arg, e);
        if (rc != BC_OK) return rc;
    }
    if (have > used)
        return bc_arg_error(L, arg, "%I parameters given, the statement has %I",
                            (LUAI_UACINT)have, (LUAI_UACINT)used);
    return BC_OK;
}

/* ---- Statements ---- */

/* Run the text at arg with the parameters after it; pushes and returns the
 * hold, or NULL with nil and a message pushed. */
static bc_sql_hold *run(lua_State *L, int *arg) {
    bc_sql_error e;
    size_t n;
    bc_sql *c = take_connection(L, arg);
    if (c == NULL) return NULL;
    const char *text = luaL_checklstring(L, *arg, &n);
    luaL_argcheck(L, strlen(text) == n, *arg, "a zero byte in the statement");
    luaL_argcheck(L, bc_sql_is_utf8(text, n), *arg, "text that is not UTF-8");
    lua_settop(L, *arg + 2);
    bc_sql_hold *hold = bc_sql_push_hold(L);
    int rc = bc_sql_prepare(&hold->job, c, text, &e);
    if (rc == BC_OK) rc = bind_all(L, &hold->job, *arg + 1, &e);
    if (rc == BC_OK) rc = bc_sql_run(&hold->job, NULL, &e);
    if (rc == BC_OK) rc = bc_sql_columns_new(&hold->columns, &hold->job);
    if (rc == BC_OK) return hold;
    bc_sql_failure(L, rc, &e);
    return NULL;
}

/***
Run SQL and return its rows. Also a method of connections. Of several
statements, parted by semicolons, the last one's rows are returned, and the
parameters are its.

A row is a table by column name; NULL is nil. BOOLEAN gives true or false;
integers of any size give an integer, or, beyond 64 bits, a float; FLOAT,
DOUBLE and DECIMAL a float; VARCHAR, BLOB and ENUM a string; dates, times,
intervals and UUIDs the text that SQL shows (with a time zone: in UTC); lists
of numbers a `bclua.array` (NULL is NaN; a list of integers with a NULL is a Lua list with `n`),
other lists a Lua list with its length in `n`; STRUCT and MAP a table. A second
column `x` is named `x_1`.

In the names of files DuckDB takes `* ? [` for patterns, `~` for the home folder, and the
part `a=b` of a path for a column; `path`, `parquet` and `csv` write those that mean one file.

Wrong SQL, a table or column that is not there, a failing cast: raises, with
DuckDB's message. A file that is missing, cannot be read or is damaged:
returns nil and a message. A Parquet file without a column that the SQL names
counts as wrong SQL; `require_columns` asks before. Ctrl-C raises `interrupted`.
@function query
@tparam string text the SQL
@tparam[opt] table params for `?` and `$1` a list (nil among them needs the list's
   `n`), for `$name` values by name: strings, numbers, booleans, lists, arrays
@treturn {table,...} rows, with `columns` (their names in order) and `types`;
   tostring gives an aligned table
@treturn[2] nil
@treturn[2] string the message, which begins with the file's path
@usage local rows = sql.query("select species, count(*) n from 'a.parquet' group by all")
*/
static int l_query(lua_State *L) {
    int arg;
    bc_sql_hold *hold = run(L, &arg);
    if (hold == NULL) return 2;
    bc_sql_push_rows(L, hold);
    return 1;
}

/***
Run SQL and return its columns. Also a method of connections. Failures are as
in `query`.

A numeric column becomes a `bclua.array`: DOUBLE f64, FLOAT f32, BIGINT and UINTEGER
i64, INTEGER and USMALLINT i32, SMALLINT and TINYINT i16, UTINYINT and BOOLEAN
u8, and f64 for DECIMAL, HUGEINT and UBIGINT. A column of arrays of fixed size
(`FLOAT[32]`) becomes a 2-D array with a row each. Any other column is a list
of the values that `query` gives, with its length in `n`.
@function columns
@tparam string text the SQL
@tparam[opt] table params as in `query`
@tparam[opt] table options `null`: the number for NULL in numeric columns; by
   default NaN for floats, while NULL among integers raises
@treturn table columns by name; `names` tells their order
@treturn[2] nil
@treturn[2] string the message, which begins with the file's path
*/
static int l_columns(lua_State *L) {
    static const char *const options[] = {"null", NULL};
    int arg = luaL_testudata(L, 1, BC_SQL) != NULL ? 2 : 1;
    bc_check_options(L, arg + 2, options);
    bc_sql_hold *hold = run(L, &arg);
    if (hold == NULL) return 2;
    bc_sql_push_columns(L, hold, arg + 2);
    return 1;
}

/***
Run SQL for its effect. Also a method of connections. Failures are as in `query`.
@function exec
@tparam string text the SQL
@tparam[opt] table params as in `query`
@treturn integer how many rows the last statement inserted, changed or deleted
@treturn[2] nil
@treturn[2] string the message, which begins with the file's path
*/
static int l_exec(lua_State *L) {
    int arg;
    bc_sql_hold *hold = run(L, &arg);
    if (hold == NULL) return 2;
    lua_pushinteger(L, (lua_Integer)bc_duck.rows_changed(&hold->job.result));
    return 1;
}

/* copy(connection, select, path, options): a file, whole or not at all. */
static int l_copy(lua_State *L) {
    bc_sql_error e;
    bc_sql *c = bc_sql_check(L, 1);
    int rc = bc_sql_copy(c, luaL_checkstring(L, 2), luaL_checkstring(L, 3),
                         luaL_checkstring(L, 4), &e);
    if (rc != BC_OK) return bc_sql_failure(L, rc, &e);
    lua_pushboolean(L, 1);
    return 1;
}

/***
The version of DuckDB's library.
@function version
@treturn string such as `v1.5.6`
@treturn[2] nil if the library cannot be loaded
@treturn[2] string the message
*/
static int l_version(lua_State *L) {
    if (l_default(L) != 1) return 2;
    lua_pushstring(L, bc_sql_version());
    return 1;
}

static const luaL_Reg functions[] = {
    {"open", l_open},       {"default", l_default},        {"query", l_query},
    {"columns", l_columns}, {"exec", l_exec},              {"copy", l_copy},
    {"version", l_version}, {"declare", bc_sql_l_declare}, {"drop", bc_sql_l_drop},
    {"fill", bc_sql_l_fill}, {NULL, NULL},
};

static const luaL_Reg metamethods[] = {
    {"__gc", l_close}, {"__close", l_close}, {"__tostring", l_tostring}, {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"query", l_query}, {"columns", l_columns}, {"exec", l_exec}, {"close", l_close},
    {NULL, NULL},
};

BC_EXPORT int luaopen_bclua_sql_core(lua_State *L);
BC_EXPORT int luaopen_bclua_sql_core(lua_State *L) {
    luaL_newlib(L, functions);
    luaL_newmetatable(L, BC_SQL);
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_setfield(L, -3, "methods"); /* the Lua part adds to them */
    lua_pop(L, 1);
    luaL_newmetatable(L, BC_SQL_ROWS);
    lua_setfield(L, -2, "rows");
    return 1;
}
