/* fault.c: whose fault is an error of DuckDB's: the caller's or a file's? */
#include "fault.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void write_text(bc_sql_error *e, bool mistake, const char *format, va_list args) {
    e->mistake = mistake;
    vsnprintf(e->text, sizeof e->text, format, args);
}

int bc_sql_mistake(bc_sql_error *e, const char *format, ...) {
    va_list args;
    va_start(args, format);
    write_text(e, true, format, args);
    va_end(args);
    return BC_FAIL;
}

int bc_sql_file_fault(bc_sql_error *e, const char *format, ...) {
    va_list args;
    va_start(args, format);
    write_text(e, false, format, args);
    va_end(args);
    return BC_FAIL;
}

bool bc_sql_is_file(const char *path) {
    struct stat s;
    return path[0] != '\0' && stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

static bool starts(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

static bool copy_path(char *path, const char *from, size_t n) {
    if (n == 0 || n >= PATH_MAX) return false;
    memcpy(path, from, n);
    path[n] = '\0';
    return true;
}

/* The first thing in quotes; with must_exist, the first that is a file. A path
 * may contain the quote itself, so that each closing one is tried. */
static bool quoted_path(char *path, const char *message, bool must_exist) {
    for (const char *open = message; (open = strpbrk(open, "'\"")) != NULL; open++) {
        const char *close = open;
        while ((close = strchr(close + 1, *open)) != NULL) {
            if (!copy_path(path, open + 1, (size_t)(close - open - 1))) break;
            if (!must_exist || bc_sql_is_file(path)) return true;
        }
    }
    return false;
}

/* CSV errors have a line "  file = PATH". */
static bool csv_path(char *path, const char *message) {
    static const char mark[] = "\n  file = ";
    const char *at = strstr(message, mark);
    if (at == NULL) return false;
    at += sizeof mark - 1;
    return copy_path(path, at, strcspn(at, "\n"));
}

/* What sql.path of lua/bclua/sql.lua writes, as it was: a letter that patterns know stands
 * alone in brackets, a backslash between two others, and `./` is before what looks like
 * the address of something else. Is it a pattern even so? */
static bool take_plain(char *path) {
    bool pattern = false;
    char *to = path, *from = path;
    if (starts(from, "./") && (from[2] == '~' || strpbrk(from, "*?[") != NULL ||
                               strcspn(from, ":") < strcspn(from + 2, "/") + 2))
        from += 2;
    if (bc_sql_is_file(from)) {
        memmove(path, from, strlen(from) + 1);
        return false;
    }
    while (*from != '\0') {
        bool alone = from[0] == '[' && from[1] != '\0' && strchr("*?[", from[1]) && from[2] == ']';
        bool backslash = starts(from, "[[-^]");
        pattern |= !alone && !backslash && strchr("*?[", *from) != NULL;
        *to++ = alone ? from[1] : backslash ? '\\' : *from;
        from += alone ? 3 : backslash ? 5 : 1;
    }
    *to = '\0';
    return pattern;
}

/* The first string literal of the statement that is a file, or, failing that,
 * the first that is a pattern. */
static bool literal_path(char *path, const char *sql, bool pattern) {
    for (const char *at = sql; at != NULL && (at = strchr(at, '\'')) != NULL;) {
        size_t n = 0;
        for (at++; *at != '\0' && (*at != '\'' || at[1] == '\''); at++) {
            if (*at == '\'') at++;
            if (n < PATH_MAX) path[n++] = *at;
        }
        if (n < PATH_MAX) {
            path[n] = '\0';
            bool is_pattern = take_plain(path);
            if (pattern ? is_pattern : bc_sql_is_file(path)) return true;
        }
        if (*at != '\0') at++;
    }
    return false;
}

/* A file that the statement reads, when the message names none. */
static bool statement_path(char *path, const char *sql, const char *parameter) {
    if (parameter != NULL) return copy_path(path, parameter, strlen(parameter));
    return literal_path(path, sql, false) || literal_path(path, sql, true);
}

static bool find_path(char *path, const char *message, const char *sql, const char *parameter) {
    if (starts(message, "IO Error: "))
        return quoted_path(path, message, true) || quoted_path(path, message, false) ||
               statement_path(path, sql, parameter);
    if (starts(message, "Conversion Error: CSV Error")) return csv_path(path, message);
    /* An exception of the C++ library: the Parquet reader met wrong bytes. */
    if (starts(message, "Invalid Error: ")) return statement_path(path, sql, parameter);
    if (!starts(message, "Invalid Input Error: ") && !starts(message, "Serialization Error: "))
        return false;
    return csv_path(path, message) || quoted_path(path, message, true) ||
           ((strstr(message, "arquet") != NULL || strstr(message, "JSON") != NULL ||
             strstr(message, "Invalid unicode") != NULL) && /* a column's name in the footer */
            statement_path(path, sql, parameter));
}

/* `Could not write file "x": No space left` says the path again: keep what
 * comes after it. */
static const char *reason(const char *message) {
    const char *text = strstr(message, " Error: ");
    text = text != NULL ? text + 8 : message;
    const char *after = strstr(text, "\": ");
    return starts(message, "IO Error: ") && after != NULL ? after + 3 : text;
}

static int blame(bc_sql_error *e, const char *path, const char *message) {
    const char *text = reason(message);
    /* DuckDB adds advice and the statement after an empty line. */
    const char *end = strstr(text, "\n\n");
    size_t n = end != NULL ? (size_t)(end - text) : strlen(text);
    while (n > 0 && strchr(" \n", text[n - 1]) != NULL) n--;
    return bc_sql_file_fault(e, "%s: %.*s", path, (int)n, text);
}

int bc_sql_fault(bc_sql_error *e, const char *message, const char *sql, const char *parameter,
                 const bc_file *target) {
    char path[PATH_MAX];
    if (message == NULL) message = "unknown error";
    bool found = find_path(path, message, sql, parameter);
    if (target != NULL && (found ? starts(path, target->lent) : starts(message, "IO Error: ")))
        found = copy_path(path, target->path, strlen(target->path));
    if (!found) return bc_sql_mistake(e, "%s", message);
    bool pattern = take_plain(path);
    if (strstr(message, "No files found that match") != NULL)
        return bc_sql_file_fault(e, "%s: %s", path,
                                 strstr(path, "\xEF\xBF\xBD") ? "a name that is not UTF-8"
                                 : pattern                    ? "no file matches"
                                                              : "no such file");
    return blame(e, path, message);
}

int bc_sql_open_fault(bc_sql_error *e, const char *message, const char *path) {
    return blame(e, path, message != NULL ? message : "unknown error");
}
