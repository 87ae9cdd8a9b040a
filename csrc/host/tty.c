/* tty.c: what the terminal is: its size, and what it says of itself. */
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

int host_l_window(lua_State *L) {
    struct winsize w;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0 || w.ws_row == 0) return 0;
    lua_pushinteger(L, w.ws_col);
    lua_pushinteger(L, w.ws_row);
    lua_pushinteger(L, w.ws_xpixel);
    lua_pushinteger(L, w.ws_ypixel);
    return 4;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Read until `c` has come or the time is up; the number of bytes. */
static size_t read_answer(int tty, char *out, size_t size, double seconds) {
    double end = now() + seconds;
    size_t n = 0;
    while (n < size && (n == 0 || out[n - 1] != 'c')) {
        double left = end - now();
        struct pollfd p = {.fd = tty, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) <= 0) break;
        if (read(tty, out + n, 1) != 1) break;
        n++;
    }
    return n;
}

int host_l_ask(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    double seconds = luaL_optnumber(L, 2, 0.2);
    char answer[512];
    size_t n = 0;
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty < 0) return 0;
    struct termios old, raw;
    /* In the background a process must not touch the terminal. */
    bool ours = tcgetpgrp(tty) == getpgrp() && tcgetattr(tty, &old) == 0;
    if (ours) {
        raw = old;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        if (tcsetattr(tty, TCSANOW, &raw) == 0) {
            if (write(tty, text, length) == (ssize_t)length)
                n = read_answer(tty, answer, sizeof answer, seconds);
            tcsetattr(tty, TCSANOW, &old);
        }
    }
    close(tty);
    if (n == 0) return 0;
    lua_pushlstring(L, answer, n);
    return 1;
}
