/* output.c: results that standard output did not take must not pass for results. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

/* Nobody reads any more, as behind `| head`. */
static bool is_broken_pipe(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

/* Runs at the very end, after os.exit too. Lua's print looks at no error: that of a write in
 * the middle is in the stream's flag, and errno has it no longer. */
static void close_output(void) {
    bool broken = is_broken_pipe(STDOUT_FILENO), failed = ferror(stdout) != 0;
    errno = 0;
    if (fclose(stdout) != 0) failed = true;
    if (!failed) return;
    if (broken || errno == EPIPE) _exit(EXIT_SIGNAL + SIGPIPE);
    fprintf(stderr, "bclua: standard output: %s\n",
            errno != 0 ? strerror(errno) : "not all of it could be written (is the disk full?)");
    _exit(EXIT_FAILURE);
}

void host_guard_output(void) {
    /* A descriptor that is closed would be given to the first file that is opened, and what is
     * printed would go there. Opened the wrong way round, it fails as a closed one does. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            _exit(EXIT_FAILURE);
    if (atexit(close_output) != 0) _exit(EXIT_FAILURE);
}
