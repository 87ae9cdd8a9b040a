/* process.c: other programs, started and watched. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int set_files(posix_spawn_file_actions_t *files, const char *log) {
    int rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, log,
                                              O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);
    if (rc == 0) rc = posix_spawn_file_actions_adddup2(files, STDOUT_FILENO, STDERR_FILENO);
    return rc;
}

static int set_attributes(posix_spawnattr_t *a) {
    sigset_t mask, defaults;
    sigemptyset(&mask);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* the host ignores it, and exec would keep that */
    int rc = posix_spawnattr_setsigmask(a, &mask);
    if (rc == 0) rc = posix_spawnattr_setsigdefault(a, &defaults);
    if (rc == 0) rc = posix_spawnattr_setpgroup(a, 0);
    if (rc == 0)
        rc = posix_spawnattr_setflags(
            a, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return rc;
}

int bc_process_start(pid_t *pid, char *const argv[], char *const env[], const char *log,
                     bc_error *e) {
    *pid = 0;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&files) != 0) return BC_NOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return BC_NOMEM;
    }
    int rc = set_files(&files, log);
    if (rc == 0) rc = set_attributes(&attributes);
    if (rc == 0) rc = posix_spawnp(pid, argv[0], &files, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (rc == 0) return BC_OK;
    *pid = 0;
    return bc_fail(e, "%s: cannot be started with its output in %s: %s", argv[0], log,
                   strerror(rc));
}

bool bc_process_ended(pid_t pid, bool *by_signal, int *code) {
    int status;
    pid_t rc = waitpid(pid, &status, WNOHANG);
    if (rc == 0 || (rc < 0 && errno == EINTR)) return false;
    *by_signal = false;
    *code = 0; /* somebody else waited for it, or SIGCHLD is ignored */
    if (rc == pid) {
        *by_signal = WIFSIGNALED(status);
        *code = *by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
    }
    return true;
}

void bc_process_signal(pid_t pid, int number) {
    kill(-pid, number);
}

void bc_process_kill(pid_t pid) {
    kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
}

bool bc_process_follow(pid_t parent) {
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}
