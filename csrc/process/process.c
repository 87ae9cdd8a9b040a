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

/* Where the outputs of a program go: a file that is made anew, or two descriptors. */
typedef struct {
    const char *log;
    int out, err;
} outputs;

static int set_files(posix_spawn_file_actions_t *files, const outputs *o) {
    int rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc != 0) return rc;
    if (o->log == NULL) {
        rc = posix_spawn_file_actions_adddup2(files, o->out, STDOUT_FILENO);
        return rc == 0 ? posix_spawn_file_actions_adddup2(files, o->err, STDERR_FILENO) : rc;
    }
    rc = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, o->log,
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

/* 0, or the number of an error; ENOMEM among them. */
static int start(pid_t *pid, char *const argv[], char *const env[], const outputs *o) {
    *pid = 0;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&files) != 0) return ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    int rc = set_files(&files, o);
    if (rc == 0) rc = set_attributes(&attributes);
    if (rc == 0) rc = posix_spawnp(pid, argv[0], &files, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (rc != 0) *pid = 0;
    return rc;
}

int bc_process_start(pid_t *pid, char *const argv[], char *const env[], const char *log,
                     bc_error *e) {
    int rc = start(pid, argv, env, &(outputs){.log = log});
    if (rc == 0) return BC_OK;
    return bc_fail(e, "%s: cannot be started with its output in %s: %s", argv[0], log,
                   strerror(rc));
}

/* The child's descriptors 0 to 2 are set in their order: ends of pipes lie above, whatever of
 * the three this process has closed. */
static int open_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    for (int i = 0; i < 2; i++) {
        if (ends[i] > STDERR_FILENO) continue;
        int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1), code = errno;
        if (moved < 0) {
            close(ends[0]);
            close(ends[1]);
            return code;
        }
        close(ends[i]);
        ends[i] = moved;
    }
    return 0;
}

int bc_process_pipe(pid_t *pid, char *const argv[], char *const env[], int *out, int *err,
                    bc_error *e) {
    int one[2], two[2], rc = open_pipe(one);
    *pid = 0;
    if (rc == 0 && (rc = open_pipe(two)) != 0) {
        close(one[0]);
        close(one[1]);
    }
    if (rc == 0) {
        rc = start(pid, argv, env, &(outputs){.out = one[1], .err = two[1]});
        close(one[1]);
        close(two[1]);
        if (rc != 0) close(one[0]), close(two[0]);
    }
    if (rc == 0) {
        *out = one[0];
        *err = two[0];
        return BC_OK;
    }
    bc_fail(e, "%s: cannot be started: %s", argv[0], strerror(rc));
    return rc == EMFILE || rc == ENFILE || rc == EAGAIN || rc == ENOMEM ? BC_BUSY : BC_FAIL;
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
