/* lua_sql.h: what the files of this binding share. */
#ifndef BC_LUA_SQL_H
#define BC_LUA_SQL_H

#include "../array/lua_array.h"
#include "../support/lua_support.h"
#include "column.h"
#include "writer.h"

#define BC_SQL "bclua.sql.connection" /* metatable of connections */
#define BC_SQL_ROWS "bclua.sql.rows"  /* metatable of what query returns */

/* Everything a call holds of DuckDB's. As a to-be-closed value it is let go
 * however the call ends. */
typedef struct bc_sql_hold {
    bc_sql_job job;
    bc_sql_columns columns;
    bc_sql_writer writer;
} bc_sql_hold;

bc_sql_hold *bc_sql_push_hold(lua_State *L);

/* nil and the message for a file's fault; raises for the rest. */
int bc_sql_failure(lua_State *L, int rc, const bc_sql_error *e);

/* What the value at stack position `at` is, as part of column `name`. Raises if
 * it is nothing that a column can hold. */
bc_sql_kind bc_sql_kind_of(lua_State *L, int at, const char *name);

/* The list's own n, else its length. n is no more than a claim: it may go beyond what
 * the list has by so much only. */
enum { BC_SQL_MOST_NULLS = 1 << 24 };
lua_Integer bc_sql_length(lua_State *L, int at);

/* Push the result as rows, or as columns with the options at arg. */
void bc_sql_push_rows(lua_State *L, bc_sql_hold *hold);
void bc_sql_push_columns(lua_State *L, bc_sql_hold *hold, int arg);

/* The open connection at arg; raises if there is none. */
bc_sql *bc_sql_check(lua_State *L, int arg);

/* In lua_sql_write.c. */
int bc_sql_l_declare(lua_State *L);
int bc_sql_l_drop(lua_State *L);
int bc_sql_l_fill(lua_State *L);

#endif
