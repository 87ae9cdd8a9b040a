/* host.h: what the files of the host share. */
#ifndef BC_HOST_H
#define BC_HOST_H

#include <lua.h>
#include <stdbool.h>

#define EXIT_SIGNAL 128 /* what a shell reports: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP */

/* Call first: when the program ends and standard output did not take everything, its status
 * is 1, with a message, or, where nobody reads any more, that of SIGPIPE without one. */
void host_guard_output(void);

/* Call the function below its nargs arguments, as lua_pcall does, with a
 * traceback as the error; Ctrl-C, SIGTERM and SIGHUP stop it, without one. Clears a pending
 * interrupt afterwards and gives its signal in *interrupted (may be NULL); 0: none. */
int host_call(lua_State *L, int nargs, int nresults, int *interrupted);

/* Install the handlers. A first Ctrl-C stops Lua code and kernels, another one
 * a second later, while the first is still being obeyed, ends the process. */
void host_catch_signals(void);

/* In what host_call runs next, Ctrl-C does not end the process before it has said so. */
void host_warn_first(void);

/* The signal if it was SIGTERM or SIGHUP: then the REPL ends. Else 0. */
int host_terminated(void);

/* package.path and cpath: our lua/ and bclua.so first, wherever the program
 * was started from; arg[0]'s and the user's own follow. Old names of modules work from here on. */
void host_set_paths(lua_State *L);

/* host.window(): columns, rows, and width and height in pixels (0: unknown) of the
 * terminal at stdout; nothing if there is none. */
int host_l_window(lua_State *L);

/* host.ask(text, seconds): what the terminal answers up to the letter `c`, which
 * ends its answer about device attributes; nil if it is silent. */
int host_l_ask(lua_State *L);

/* The module bclua.host: terminal input for the REPL (readline). */
int luaopen_bclua_host(lua_State *L);

#endif
