/* server.c: libmicrohttpd without threads of its own. It is opened when a server is: it brings
 * a library for encryption along, and what never serves should not wait for that. */
#include "server.h"

#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* So many are served at once; the others wait in the system's queue. More than the 256 that a
 * browser opens, and far less than the 1024 files that a process may open. Who has asked nothing
 * for SILENT_S gives the place up; who has asked before, after IDLE_S: the time that a long
 * answer to somebody else takes counts, too. */
enum { MOST_CONNECTIONS = 512, SILENT_S = 10, IDLE_S = 60 };

#define FUNCTIONS(F)               \
    F(start_daemon)                \
    F(stop_daemon)                 \
    F(run)                         \
    F(add_connection)              \
    F(get_daemon_info)             \
    F(get_timeout)                 \
    F(set_connection_option)       \
    F(get_connection_values)       \
    F(create_response_from_buffer) \
    F(add_response_header)         \
    F(queue_response)              \
    F(destroy_response)            \
    F(get_version)

#define DECLARE(name) __typeof__(MHD_##name) *name;
static struct { FUNCTIONS(DECLARE) } mhd;
static bool loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

struct http_server {
    struct MHD_Daemon *daemon;
    int port, listener;
    http_handler *handler;
    void *context;
};

/* What has come of a request so far. */
typedef struct upload {
    size_t size;
    bool too_large;
    char data[HTTP_MOST_BODY];
} upload;

static void open_library(void) {
    void *so = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
    if (so == NULL) so = dlopen("libmicrohttpd.so", RTLD_NOW | RTLD_LOCAL);
    if (so == NULL) return;
    void *f;
    /* ISO C knows no cast from data to code */
#define FIND(name)               \
    f = dlsym(so, "MHD_" #name); \
    if (f == NULL) return;       \
    memcpy(&mhd.name, &f, sizeof f);
    FUNCTIONS(FIND)
    loaded = true;
}

const char *http_library(void) {
    pthread_once(&once, open_library);
    return loaded ? mhd.get_version() : NULL;
}

/* ---- answers ---- */

bool http_reply(http_request *q, const char *body, size_t size) {
    if (q->reply != NULL) mhd.destroy_response(q->reply);
    /* MUST_COPY: the bytes are not written to */
    void *bytes = (void *)(uintptr_t)body;
    q->reply = mhd.create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_COPY);
    return q->reply != NULL;
}

bool http_reply_header(http_request *q, const char *name, const char *value) {
    return q->reply != NULL && mhd.add_response_header(q->reply, name, value) == MHD_YES;
}

typedef struct each {
    http_each *f;
    void *context;
} each;

static enum MHD_Result pass_on(void *context, enum MHD_ValueKind kind, const char *name,
                               const char *value) {
    (void)kind;
    each *e = context;
    if (name != NULL) e->f(e->context, name, value);
    return MHD_YES;
}

void http_headers(const http_request *q, http_each *f, void *context) {
    each e = {f, context};
    mhd.get_connection_values(q->connection, MHD_HEADER_KIND, pass_on, &e);
}

void http_query(const http_request *q, http_each *f, void *context) {
    each e = {f, context};
    mhd.get_connection_values(q->connection, MHD_GET_ARGUMENT_KIND, pass_on, &e);
}

static enum MHD_Result give(http_request *q, unsigned status) {
    if (q->reply == NULL && !http_reply(q, "", 0)) return MHD_NO;
    enum MHD_Result rc = mhd.queue_response(q->connection, status, q->reply);
    mhd.destroy_response(q->reply);
    return rc;
}

/* ---- requests ---- */

static void finish(void *server, struct MHD_Connection *connection, void **kept,
                   enum MHD_RequestTerminationCode why) {
    (void)server, (void)connection, (void)why;
    free(*kept);
    *kept = NULL;
}

/* Called first with the headers alone, then with each piece of the body, then once more. */
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **kept) {
    (void)version;
    http_server *s = context;
    upload *up = *kept;
    if (up == NULL) {
        up = *kept = malloc(sizeof *up);
        if (up == NULL) return MHD_NO;
        up->size = 0;
        up->too_large = false;
        mhd.set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)IDLE_S);
        return MHD_YES;
    }
    if (*size > 0) {
        if (*size > HTTP_MOST_BODY - up->size) {
            up->too_large = true;
        } else {
            memcpy(up->data + up->size, data, *size);
            up->size += *size;
        }
        *size = 0;
        return MHD_YES;
    }
    http_request q = {method, path, up->data, up->size, connection, NULL};
    if (up->too_large) return give(&q, MHD_HTTP_CONTENT_TOO_LARGE);
    unsigned status = (unsigned)s->handler(s->context, &q);
    return give(&q, q.reply == NULL ? MHD_HTTP_INTERNAL_SERVER_ERROR : status);
}

/* ---- the server ---- */

static int listen_on(int *port, bc_error *e) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* of an address that was just given up; one that listens stays its owner's */
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        bc_fail(e, "127.0.0.1:%d: %s", *port, strerror(errno));
        if (fd >= 0) close(fd);
        return -1;
    }
    *port = ntohs(a.sin_port);
    return fd;
}

enum bc_status http_open(http_server **server, int port, http_handler *handler, void *context,
                         bc_error *e) {
    if (http_library() == NULL)
        return bc_fail(e, "libmicrohttpd is not installed (Debian package libmicrohttpd12)");
    http_server *s = calloc(1, sizeof *s);
    if (s == NULL) return BC_NOMEM;
    *s = (http_server){NULL, port, -1, handler, context};
    s->listener = listen_on(&s->port, e);
    if (s->listener < 0) {
        free(s);
        return BC_FAIL;
    }
    /* It does not listen itself: at its limit it would cut off whoever comes. */
    s->daemon = mhd.start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, answer, s,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)MOST_CONNECTIONS,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENT_S,
                                 MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
                                 finish, NULL, MHD_OPTION_END);
    if (s->daemon == NULL) {
        close(s->listener);
        free(s);
        return bc_fail(e, "127.0.0.1:%d: the server could not be started", port);
    }
    *server = s;
    return BC_OK;
}

int http_port(const http_server *s) {
    return s->port;
}

static unsigned connections(const http_server *s) {
    return mhd.get_daemon_info(s->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* Take in who waits. False: there is no place for more at present. */
static bool take_in(http_server *s) {
    while (connections(s) < MOST_CONNECTIONS) {
        struct sockaddr_in a;
        socklen_t n = sizeof a;
        int fd = accept4(s->listener, (struct sockaddr *)&a, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == ECONNABORTED) continue;
        if (fd < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        /* it closes what it does not take */
        if (mhd.add_connection(s->daemon, fd, (struct sockaddr *)&a, n) != MHD_YES) return false;
    }
    return false;
}

enum bc_status http_step(http_server *s, double seconds, bc_error *e) {
    bool room = take_in(s);
    int epoll = mhd.get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    struct pollfd wait_for[] = {{epoll, POLLIN, 0}, {s->listener, POLLIN, 0}};
    unsigned long long due, ms = (unsigned long long)(seconds * 1000);
    if (mhd.get_timeout(s->daemon, &due) == MHD_YES && due < ms) ms = due;
    if ((poll(wait_for, room ? 2 : 1, (int)ms) < 0 && errno != EINTR) ||
        mhd.run(s->daemon) != MHD_YES)
        return bc_fail(e, "127.0.0.1:%d: the server has failed", s->port);
    return BC_OK;
}

void http_close(http_server *s) {
    if (s == NULL) return;
    mhd.stop_daemon(s->daemon);
    close(s->listener);
    free(s);
}
