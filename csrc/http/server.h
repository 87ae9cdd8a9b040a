/* server.h: a small HTTP server on the loopback address, over libmicrohttpd.
 * Requests are answered one after the other, in the thread that calls http_step. */
#ifndef BC_HTTP_SERVER_H
#define BC_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "../support/error.h"

typedef struct http_server http_server;
typedef struct http_request http_request;

/* What the handler sees; valid until it returns. */
struct http_request {
    const char *method, *path; /* the path is decoded: it may hold anything but '\0' */
    const char *body;          /* of body_size bytes */
    size_t body_size;
    void *connection, *reply; /* the server's own */
};

/* Answers with http_reply, then http_reply_header, and returns the status; without a reply
 * the client gets status 500. */
typedef int http_handler(void *context, http_request *request);
typedef void http_each(void *context, const char *name, const char *value);

enum { HTTP_MOST_BODY = 1 << 16 }; /* a larger one is answered with status 413 */

/* Listen on 127.0.0.1 at a port; 0: any that is free. The library is loaded now, not
 * with the program. BC_FAIL: it is missing, or the port is taken. */
enum bc_status http_open(http_server **server, int port, http_handler *handler, void *context,
                         bc_error *e);
int http_port(const http_server *server);

/* Wait for requests, at most so long, and answer those that are there. A signal ends the
 * wait early. */
enum bc_status http_step(http_server *server, double seconds, bc_error *e);
void http_close(http_server *server); /* NULL is fine */

/* Headers of a request, or what follows '?' in its address (value NULL: no '='). */
void http_headers(const http_request *request, http_each *f, void *context);
void http_query(const http_request *request, http_each *f, void *context);

/* Answer. The bytes are copied. False: there is no memory, or the text cannot be a header. */
bool http_reply(http_request *request, const char *body, size_t size);
bool http_reply_header(http_request *request, const char *name, const char *value);

/* Version of the library; NULL where there is none. */
const char *http_library(void);

#endif
