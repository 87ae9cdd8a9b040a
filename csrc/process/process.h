/* process.h: other programs, started and watched. */
#ifndef BC_PROCESS_H
#define BC_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "../support/error.h"

/* Start a program (argv[0]: its path, or a name to look for in PATH) in a group of its
 * own, so that the terminal's Ctrl-C does not reach it; argv and env end with NULL. Its
 * standard input is empty, both outputs go to the file log, which is made anew. Safe in a
 * process with threads: nothing of it runs in the child. BC_FAIL: not started, *pid is 0. */
int bc_process_start(pid_t *pid, char *const argv[], char *const env[], const char *log,
                     bc_error *e);

/* The same with its two outputs as pipes, to be read until their end and closed: out and err,
 * of which no other program inherits anything. */
int bc_process_pipe(pid_t *pid, char *const argv[], char *const env[], int *out, int *err,
                    bc_error *e);

/* Has it ended? Then *code is its exit status, or the signal that ended it, and *by_signal
 * says which; the process is gone and must not be asked for again. */
bool bc_process_ended(pid_t pid, bool *by_signal, int *code);

/* A signal to the process and all of its group. */
void bc_process_signal(pid_t pid, int number);

/* End the group at once and wait for the process. */
void bc_process_kill(pid_t pid);

/* From now on this process is killed when its parent's thread that started it ends. False
 * if the parent is not, or no longer, the process of that number. */
bool bc_process_follow(pid_t parent);

#endif
