/* duckdb.c: load DuckDB's library, open connections. */
#include "duckdb.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/beside.h"
#include "../support/pool.h"

bc_duck_api bc_duck;

/* ---- The library ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char load_error[1024]; /* empty: it is there */
static duck_cache cache;      /* one instance per file, however many connections */

/* The address of a function into *to, which is a pointer to one. */
static void resolve(void *library, const char *path, const char *name, void *to) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL && load_error[0] == '\0')
        snprintf(load_error, sizeof load_error,
                 "%.900s: no function %s: a DuckDB of 1.4 or later is needed", path, name);
    memcpy(to, &symbol, sizeof symbol);
}

static void load(void) {
    char near[4096];
    const char *path = getenv("DUCKDB_LIB");
    if (path == NULL || path[0] == '\0')
        path = bc_beside(near, sizeof near, "libduckdb.so") ? near : "libduckdb.so";
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(load_error, sizeof load_error,
                 "%.450s: cannot be loaded (%.450s): run make deps, or set DUCKDB_LIB", path,
                 dlerror());
        return;
    }
#define RESOLVE(returns, name, arguments)                                                      \
    resolve(library, path, "duckdb_" #name, &bc_duck.name);
    BC_DUCK_FUNCTIONS(RESOLVE)
#undef RESOLVE
    if (load_error[0] != '\0') return;
    cache = bc_duck.create_instance_cache();
    if (cache == NULL) snprintf(load_error, sizeof load_error, "%.900s: not enough memory", path);
}

const char *bc_sql_version(void) {
    return bc_duck.library_version != NULL ? bc_duck.library_version() : NULL;
}

/* ---- Connections ---- */

/* All connections to one database must agree on these, so that they are
 * fixed with the first; the number of threads is set again by follow. */
static duck_config make_config(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char threads[16], spill[1024];
    pthread_mutex_lock(&lock);
    if (threads[0] == '\0') {
        const char *folder = getenv("TMPDIR");
        if (folder == NULL || folder[0] == '\0') folder = "/tmp";
        snprintf(spill, sizeof spill, "%s/bclua-duckdb-%ld", folder, (long)getpid());
        snprintf(threads, sizeof threads, "%d", bc_threads());
    }
    pthread_mutex_unlock(&lock);
    duck_config config = NULL;
    if (bc_duck.create_config(&config) != DUCK_OK) return NULL;
    bc_duck.set_config(config, "threads", threads);
    bc_duck.set_config(config, "temp_directory", spill);
    bc_duck.set_config(config, "autoinstall_known_extensions", "false");
    bc_duck.set_config(config, "autoload_known_extensions", "false");
    /* It takes a file of the same size that was written anew within a second for the one before. */
    bc_duck.set_config(config, "enable_external_file_cache", "false");
    return config;
}

/* Signals are the main thread's: DuckDB's threads start with all blocked. */
static void block_signals(sigset_t *old) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, old);
}

/* path: what the database is called in messages. */
static int connect_to(bc_sql *c, const char *name, const char *path, bc_sql_error *e) {
    duck_config config = make_config();
    if (config == NULL) return BC_NOMEM;
    char *error = NULL;
    sigset_t old;
    block_signals(&old);
    int state = bc_duck.get_or_create_from_cache(cache, name, &c->database, config, &error);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    bc_duck.destroy_config(&config);
    if (state != DUCK_OK) {
        bc_sql_open_fault(e, error, path);
        if (error != NULL) bc_duck.free(error);
        c->database = NULL;
        return BC_FAIL;
    }
    if (bc_duck.connect(c->database, &c->connection) != DUCK_OK) {
        bc_duck.close(&c->database);
        return BC_NOMEM;
    }
    return BC_OK;
}

void bc_sql_follow_threads(bc_sql *c) {
    int threads = bc_threads();
    if (c->threads == threads) return;
    char text[48];
    snprintf(text, sizeof text, "SET threads = %d", threads);
    sigset_t old;
    block_signals(&old);
    bc_duck.query(c->connection, text, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    c->threads = threads;
}

int bc_sql_open(bc_sql *c, const char *path, bc_sql_error *e) {
    memset(c, 0, sizeof *c);
    pthread_once(&once, load);
    if (load_error[0] != '\0') return bc_sql_file_fault(e, "%s", load_error);
    if (path == NULL) return connect_to(c, ":memory:bclua", "the database in memory", e);
    if (strcmp(path, ":memory:") == 0) return connect_to(c, path, path, e);
    if (!bc_sql_is_utf8(path, strlen(path)))
        return bc_sql_file_fault(e, "%s: a name that is not UTF-8", path);
    /* Without a folder in front, ~ would be the home folder and md: a kind of database. */
    char *name;
    if (asprintf(&name, "%s%s", path[0] == '/' ? "" : "./", path) < 0) return BC_NOMEM;
    int rc = connect_to(c, name, path, e);
    free(name);
    return rc;
}

void bc_sql_close(bc_sql *c) {
    if (c->connection == NULL) return;
    bc_duck.disconnect(&c->connection);
    bc_duck.close(&c->database);
    memset(c, 0, sizeof *c);
}
