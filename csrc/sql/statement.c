/* statement.c: run statements so that Ctrl-C stops them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../support/file.h"
#include "../support/interrupt.h"
#include "duckdb.h"

static void forget_prepared(bc_sql_job *j) {
    if (j->chunk != NULL) bc_duck.destroy_data_chunk(&j->chunk);
    if (j->has_result) bc_duck.destroy_result(&j->result);
    j->has_result = false;
    if (j->pending != NULL) bc_duck.destroy_pending(&j->pending);
    if (j->prepared != NULL) bc_duck.destroy_prepare(&j->prepared);
    free(j->parameter);
    j->parameter = NULL;
}

void bc_sql_finish(bc_sql_job *j) {
    forget_prepared(j);
    if (j->statements != NULL) bc_duck.destroy_extracted(&j->statements);
    memset(j, 0, sizeof *j);
}

static int fault(const bc_sql_job *j, const char *message, const bc_file *target,
                 bc_sql_error *e) {
    return bc_sql_fault(e, message, j->text, j->parameter, target);
}

static int prepare_one(bc_sql_job *j, uint64_t index, bc_sql_error *e) {
    if (bc_duck.prepare_extracted_statement(j->on->connection, j->statements, index,
                                            &j->prepared) == DUCK_OK)
        return BC_OK;
    return fault(j, bc_duck.prepare_error(j->prepared), NULL, e);
}

int bc_sql_prepare(bc_sql_job *j, bc_sql *c, const char *text, bc_sql_error *e) {
    j->on = c;
    j->text = text;
    bc_sql_follow_threads(c);
    uint64_t n = bc_duck.extract_statements(c->connection, text, &j->statements);
    if (n == 0) {
        const char *message = bc_duck.extract_statements_error(j->statements);
        return message != NULL ? fault(j, message, NULL, e) : bc_sql_mistake(e, "no statement");
    }
    for (uint64_t i = 0; i < n; i++) {
        int rc = prepare_one(j, i, e);
        if (rc == BC_OK && i + 1 < n) {
            rc = bc_sql_run(j, NULL, e);
            forget_prepared(j);
        }
        if (rc != BC_OK) return rc;
    }
    return BC_OK;
}

int bc_sql_bind(bc_sql_job *j, uint64_t index, duck_value value, const char *text,
                bc_sql_error *e) {
    if (value == NULL) return BC_NOMEM;
    if (text != NULL && j->parameter == NULL && bc_sql_is_file(text)) {
        j->parameter = strdup(text);
        if (j->parameter == NULL) {
            bc_duck.destroy_value(&value);
            return BC_NOMEM;
        }
    }
    int state = bc_duck.bind_value(j->prepared, index, value);
    bc_duck.destroy_value(&value);
    return state == DUCK_OK ? BC_OK : fault(j, bc_duck.prepare_error(j->prepared), NULL, e);
}

/* Work on the statement in this thread, beside DuckDB's own, a task at a time. */
static int work(bc_sql_job *j, bool *stopped) {
    for (;;) {
        int state = bc_duck.pending_execute_task(j->pending);
        if (state == DUCK_PENDING_ERROR || bc_duck.pending_execution_is_finished(state))
            return state;
        if (!*stopped && bc_interrupted()) {
            *stopped = true;
            bc_duck.interrupt(j->on->connection);
        }
        if (state == DUCK_PENDING_NO_TASKS) { /* the other threads have them all */
            struct timespec nap = {0, 50 * 1000};
            nanosleep(&nap, NULL);
        }
    }
}

int bc_sql_run(bc_sql_job *j, const bc_file *target, bc_sql_error *e) {
    bool stopped = false;
    if (bc_interrupted()) return BC_STOPPED;
    if (bc_duck.pending_prepared(j->prepared, &j->pending) != DUCK_OK ||
        work(j, &stopped) == DUCK_PENDING_ERROR)
        return stopped ? BC_STOPPED : fault(j, bc_duck.pending_error(j->pending), target, e);
    int state = bc_duck.execute_pending(j->pending, &j->result);
    j->has_result = true;
    if (state == DUCK_OK) return BC_OK;
    return stopped ? BC_STOPPED : fault(j, bc_duck.result_error(&j->result), target, e);
}

bool bc_sql_next(bc_sql_job *j) {
    if (j->chunk != NULL) bc_duck.destroy_data_chunk(&j->chunk);
    j->chunk = bc_duck.fetch_chunk(j->result);
    return j->chunk != NULL;
}

/* text as the inside of a string literal; returns where it ends. */
static char *put_quoted(char *to, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '\'') *to++ = '\'';
        *to++ = *text;
    }
    return to;
}

static char *copy_text(const char *select, const char *path, const char *options) {
    char *text = malloc(strlen(select) + 2 * strlen(path) + strlen(options) + 32);
    if (text == NULL) return NULL;
    /* A new line: the select may end in a comment. */
    char *to = text + sprintf(text, "COPY (%s\n) TO '", select);
    to = put_quoted(to, path);
    sprintf(to, "' (%s)", options);
    return text;
}

int bc_sql_copy(bc_sql *c, const char *select, const char *path, const char *options,
                bc_sql_error *e) {
    bc_error file_error = {{0}};
    bc_file file;
    int rc = bc_file_create(&file, path, BC_FILE_LENT, &file_error);
    if (rc == BC_FAIL) return bc_sql_file_fault(e, "%s", file_error.text);
    if (rc != BC_OK) return rc;
    bc_sql_job j = {0};
    /* DuckDB writes into the file that is there, without one of its own. */
    char *text = copy_text(select, file.lent, options);
    rc = text != NULL ? bc_sql_prepare(&j, c, text, e) : BC_NOMEM;
    if (rc == BC_OK) rc = bc_sql_run(&j, &file, e);
    bc_sql_finish(&j);
    free(text);
    if (rc != BC_OK) {
        bc_file_abort(&file);
        return rc;
    }
    rc = bc_file_commit(&file, &file_error);
    return rc == BC_FAIL ? bc_sql_file_fault(e, "%s", file_error.text) : rc;
}

bool bc_sql_is_utf8(const char *text, size_t n) {
    const unsigned char *at = (const unsigned char *)text, *end = at + n;
    while (at < end) {
        unsigned c = *at++;
        if (c < 0x80) continue;
        int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
        if (c < 0xC2 || c > 0xF4 || end - at < more) return false;
        /* The second byte also rules out long forms, surrogates and > 10FFFF. */
        unsigned low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
        unsigned high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        if (*at < low || *at > high) return false;
        for (at++; --more > 0; at++)
            if ((*at & 0xC0) != 0x80) return false;
    }
    return true;
}
