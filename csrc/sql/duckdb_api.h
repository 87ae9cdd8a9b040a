/* duckdb_api.h: the part of DuckDB's C API that we use, declared after its
 * public documentation (https://duckdb.org/docs/stable/clients/c/api). The
 * library is loaded while the program runs, so each function is a pointer. */
#ifndef BC_DUCKDB_API_H
#define BC_DUCKDB_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct duck_database_ *duck_database;
typedef struct duck_connection_ *duck_connection;
typedef struct duck_config_ *duck_config;
typedef struct duck_cache_ *duck_cache;
typedef struct duck_statements_ *duck_statements;
typedef struct duck_prepared_ *duck_prepared;
typedef struct duck_pending_ *duck_pending;
typedef struct duck_chunk_ *duck_chunk;
typedef struct duck_vector_ *duck_vector;
typedef struct duck_type_ *duck_type;
typedef struct duck_value_ *duck_value;
typedef struct duck_appender_ *duck_appender;

/* Handed to the library by value; the first five fields are deprecated. */
typedef struct duck_result {
    uint64_t columns_, rows_, changed_;
    void *data_;
    char *error_;
    void *internal;
} duck_result;

typedef struct duck_list_entry {
    uint64_t offset, length;
} duck_list_entry;

typedef struct duck_hugeint {
    uint64_t lower;
    int64_t upper; /* of an unsigned one: its bits */
} duck_hugeint;

typedef struct duck_interval {
    int32_t months, days;
    int64_t micros;
} duck_interval;

/* A VARCHAR or BLOB in a vector: up to 12 bytes are in place. */
typedef union duck_string {
    struct {
        uint32_t length;
        char text[12];
    } near;
    struct {
        uint32_t length;
        char prefix[4];
        const char *text;
    } far;
} duck_string;

enum { DUCK_OK = 0, DUCK_ERROR = 1 }; /* duckdb_state */

enum { /* duckdb_pending_state */
    DUCK_PENDING_READY = 0,
    DUCK_PENDING_NOT_READY = 1,
    DUCK_PENDING_ERROR = 2,
    DUCK_PENDING_NO_TASKS = 3
};

enum { DUCK_RESULT_CHANGED_ROWS = 1, DUCK_RESULT_NOTHING = 2, DUCK_RESULT_QUERY = 3 };

typedef enum duck_type_id { /* duckdb_type */
    DUCK_INVALID = 0,
    DUCK_BOOLEAN = 1,
    DUCK_TINYINT = 2,
    DUCK_SMALLINT = 3,
    DUCK_INTEGER = 4,
    DUCK_BIGINT = 5,
    DUCK_UTINYINT = 6,
    DUCK_USMALLINT = 7,
    DUCK_UINTEGER = 8,
    DUCK_UBIGINT = 9,
    DUCK_FLOAT = 10,
    DUCK_DOUBLE = 11,
    DUCK_TIMESTAMP = 12,
    DUCK_DATE = 13,
    DUCK_TIME = 14,
    DUCK_INTERVAL = 15,
    DUCK_HUGEINT = 16,
    DUCK_VARCHAR = 17,
    DUCK_BLOB = 18,
    DUCK_DECIMAL = 19,
    DUCK_TIMESTAMP_S = 20,
    DUCK_TIMESTAMP_MS = 21,
    DUCK_TIMESTAMP_NS = 22,
    DUCK_ENUM = 23,
    DUCK_LIST = 24,
    DUCK_STRUCT = 25,
    DUCK_MAP = 26,
    DUCK_UUID = 27,
    DUCK_UNION = 28,
    DUCK_BIT = 29,
    DUCK_TIME_TZ = 30,
    DUCK_TIMESTAMP_TZ = 31,
    DUCK_UHUGEINT = 32,
    DUCK_ARRAY = 33,
    DUCK_BIGNUM = 35,
    DUCK_SQLNULL = 36
} duck_type_id;

/* X(returns, name, arguments) is duckdb_<name>. */
#define BC_DUCK_FUNCTIONS(X)                                                                   \
    X(const char *, library_version, (void))                                                   \
    X(void, free, (void *memory))                                                              \
    X(int, create_config, (duck_config * config))                                              \
    X(int, set_config, (duck_config config, const char *name, const char *value))              \
    X(void, destroy_config, (duck_config * config))                                            \
    X(duck_cache, create_instance_cache, (void))                                               \
    X(int, get_or_create_from_cache,                                                           \
      (duck_cache cache, const char *path, duck_database *db, duck_config config,              \
       char **error))                                                                          \
    X(int, connect, (duck_database db, duck_connection *connection))                           \
    X(void, disconnect, (duck_connection * connection))                                        \
    X(void, close, (duck_database * db))                                                       \
    X(void, interrupt, (duck_connection connection))                                           \
    X(int, query, (duck_connection connection, const char *text, duck_result *result))         \
    X(uint64_t, extract_statements,                                                            \
      (duck_connection connection, const char *text, duck_statements *statements))             \
    X(const char *, extract_statements_error, (duck_statements statements))                    \
    X(void, destroy_extracted, (duck_statements * statements))                                 \
    X(int, prepare_extracted_statement,                                                        \
      (duck_connection connection, duck_statements statements, uint64_t index,                 \
       duck_prepared *prepared))                                                               \
    X(const char *, prepare_error, (duck_prepared prepared))                                   \
    X(void, destroy_prepare, (duck_prepared * prepared))                                       \
    X(uint64_t, nparams, (duck_prepared prepared))                                             \
    X(char *, parameter_name, (duck_prepared prepared, uint64_t index))                  \
    X(int, bind_value, (duck_prepared prepared, uint64_t index, duck_value value))             \
    X(int, pending_prepared, (duck_prepared prepared, duck_pending *pending))                  \
    X(int, pending_execute_task, (duck_pending pending))                                       \
    X(bool, pending_execution_is_finished, (int state))                                        \
    X(const char *, pending_error, (duck_pending pending))                                     \
    X(int, execute_pending, (duck_pending pending, duck_result *result))                       \
    X(void, destroy_pending, (duck_pending * pending))                                         \
    X(const char *, result_error, (duck_result * result))                                      \
    X(int, result_return_type, (duck_result result))                                           \
    X(void, destroy_result, (duck_result * result))                                            \
    X(uint64_t, column_count, (duck_result * result))                                          \
    X(uint64_t, row_count, (duck_result * result))                                             \
    X(uint64_t, rows_changed, (duck_result * result))                                          \
    X(const char *, column_name, (duck_result * result, uint64_t column))                      \
    X(duck_type, column_logical_type, (duck_result * result, uint64_t column))                 \
    X(duck_chunk, fetch_chunk, (duck_result result))                                           \
    X(duck_chunk, create_data_chunk, (duck_type * types, uint64_t columns))                    \
    X(void, destroy_data_chunk, (duck_chunk * chunk))                                          \
    X(void, data_chunk_reset, (duck_chunk chunk))                                              \
    X(uint64_t, data_chunk_get_size, (duck_chunk chunk))                                       \
    X(void, data_chunk_set_size, (duck_chunk chunk, uint64_t size))                            \
    X(duck_vector, data_chunk_get_vector, (duck_chunk chunk, uint64_t column))                 \
    X(uint64_t, vector_size, (void))                                                           \
    X(void *, vector_get_data, (duck_vector vector))                                           \
    X(uint64_t *, vector_get_validity, (duck_vector vector))                                   \
    X(void, vector_ensure_validity_writable, (duck_vector vector))                             \
    X(void, validity_set_row_invalid, (uint64_t *validity, uint64_t row))                      \
    X(void, vector_assign_string_element_len,                                                  \
      (duck_vector vector, uint64_t row, const char *text, uint64_t length))                   \
    X(duck_vector, list_vector_get_child, (duck_vector vector))                                \
    X(uint64_t, list_vector_get_size, (duck_vector vector))                                    \
    X(int, list_vector_set_size, (duck_vector vector, uint64_t size))                          \
    X(int, list_vector_reserve, (duck_vector vector, uint64_t capacity))                       \
    X(duck_vector, array_vector_get_child, (duck_vector vector))                               \
    X(duck_vector, struct_vector_get_child, (duck_vector vector, uint64_t index))              \
    X(duck_type, create_logical_type, (int id))                                                \
    X(duck_type, create_list_type, (duck_type child))                                          \
    X(void, destroy_logical_type, (duck_type * type))                                          \
    X(int, get_type_id, (duck_type type))                                                      \
    X(uint8_t, decimal_width, (duck_type type))                                                \
    X(uint8_t, decimal_scale, (duck_type type))                                                \
    X(int, decimal_internal_type, (duck_type type))                                            \
    X(int, enum_internal_type, (duck_type type))                                               \
    X(char *, enum_dictionary_value, (duck_type type, uint64_t index))                         \
    X(duck_type, list_type_child_type, (duck_type type))                                       \
    X(duck_type, array_type_child_type, (duck_type type))                                      \
    X(uint64_t, array_type_array_size, (duck_type type))                                       \
    X(duck_type, map_type_key_type, (duck_type type))                                          \
    X(duck_type, map_type_value_type, (duck_type type))                                        \
    X(uint64_t, struct_type_child_count, (duck_type type))                                     \
    X(char *, struct_type_child_name, (duck_type type, uint64_t index))                        \
    X(duck_type, struct_type_child_type, (duck_type type, uint64_t index))                     \
    X(duck_value, create_null_value, (void))                                                   \
    X(duck_value, create_bool, (bool value))                                                   \
    X(duck_value, create_int64, (int64_t value))                                               \
    X(duck_value, create_double, (double value))                                               \
    X(duck_value, create_float, (float value))                                                 \
    X(duck_value, create_varchar_length, (const char *text, uint64_t length))                  \
    X(duck_value, create_list_value, (duck_type type, duck_value *values, uint64_t count))     \
    X(void, destroy_value, (duck_value * value))                                               \
    X(int, appender_create_ext,                                                                \
      (duck_connection connection, const char *catalog, const char *schema,                    \
       const char *table, duck_appender *appender))                                            \
    X(const char *, appender_error, (duck_appender appender))                                  \
    X(int, append_data_chunk, (duck_appender appender, duck_chunk chunk))                      \
    X(int, appender_close, (duck_appender appender))                                           \
    X(int, appender_destroy, (duck_appender * appender))

typedef struct bc_duck_api {
#define BC_DUCK_FIELD(returns, name, arguments) returns(*name) arguments;
    BC_DUCK_FUNCTIONS(BC_DUCK_FIELD)
#undef BC_DUCK_FIELD
} bc_duck_api;

/* Filled in by the first bc_sql_open; before that every pointer is NULL. */
extern bc_duck_api bc_duck;

#endif
