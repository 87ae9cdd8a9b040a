/* mpi.c: MPI without its headers: what libraries disagree about is a table of two rows. */
#include "mpi.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../support/bf16.h"
#include "../support/interrupt.h"

/* Handles are pointers in Open MPI and ints in MPICH (and Intel MPI, MVAPICH): an int is passed
 * where a pointer would be, in the lower half of a register. */
typedef void *handle;

enum { FUNNELED = 1, PIECE = 1 << 30, TEXT = 1024 /* of errors, longer than either library's */ };

#define FUNCTIONS(F)                                                  \
    F(Init_thread, (int *, char ***, int, int *))                     \
    F(Initialized, (int *))                                           \
    F(Finalize, (void))                                               \
    F(Abort, (handle, int))                                           \
    F(Comm_rank, (handle, int *))                                     \
    F(Comm_size, (handle, int *))                                     \
    F(Comm_set_errhandler, (handle, handle))                          \
    F(Error_string, (int, char *, int *))                             \
    F(Isend, (const void *, int, handle, int, int, handle, handle *)) \
    F(Irecv, (void *, int, handle, int, int, handle, handle *))       \
    F(Test, (handle *, int *, void *))                                \
    F(Cancel, (handle *))

#define DECLARE(name, arguments) int(*name) arguments;
static struct { FUNCTIONS(DECLARE) } mpi;

/* Constants of both binary interfaces; a name is that of a variable of the library. */
typedef struct interface {
    const char *file, *world_name, *byte_name, *return_name;
    uintptr_t world, byte, errors_return, no_status;
} interface;

static const interface interfaces[] = {
    {"libmpi.so.40", "ompi_mpi_comm_world", "ompi_mpi_byte", "ompi_mpi_errors_return", 0, 0, 0, 0},
    {"libmpi.so.12", NULL, NULL, NULL, 0x44000000, 0x4c00010d, 0x54000001, 1},
    {"libmpich.so.12", NULL, NULL, NULL, 0x44000000, 0x4c00010d, 0x54000001, 1}};
enum { INTERFACES = sizeof interfaces / sizeof *interfaces };

/* Variables of launchers: the rank, the number of ranks (one of two), whose library is tried first.
 */
static const struct {
    const char *rank, *size, *other_size;
    int first;
} launchers[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", NULL, 0},
                 {"PMIX_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", 0},
                 {"PMI_RANK", "PMI_SIZE", "SLURM_NTASKS", 1}};
enum { LAUNCHERS = sizeof launchers / sizeof *launchers };

static struct {
    bool started, broken;
    size_t sent;   /* bytes */
    double waited; /* seconds */
    int rank, size;
    pid_t process; /* a fork of it is no rank */
    const char *file;
    handle world, byte;
    void *no_status;
} own = {.size = 1};

/* ---- the library ---- */

/* Find all functions: false where one is missing. */
static bool find_functions(void *so) {
    void *f;
    /* ISO C knows no cast from data to code */
#define FIND(name, arguments)    \
    f = dlsym(so, "MPI_" #name); \
    if (f == NULL) return false; \
    memcpy(&mpi.name, &f, sizeof f);
    FUNCTIONS(FIND)
    return true;
}

static handle constant(void *so, const char *name, uintptr_t value) {
    return name != NULL ? dlsym(so, name) : (handle)value;
}

/* Open the library of a row. Its plug-ins look for its symbols: RTLD_GLOBAL. */
static bool open_library(const interface *i, handle *errors_return, bc_error *e) {
    void *so = dlopen(i->file, RTLD_NOW | RTLD_GLOBAL);
    if (so == NULL) {
        const char *why = dlerror();
        if (e->text[0] == '\0') bc_fail(e, "%s", why != NULL ? why : i->file);
        return false;
    }
    own.world = constant(so, i->world_name, i->world);
    own.byte = constant(so, i->byte_name, i->byte);
    own.no_status = (void *)i->no_status;
    *errors_return = constant(so, i->return_name, i->errors_return);
    own.file = i->file;
    if (find_functions(so) && own.world != NULL && own.byte != NULL && *errors_return != NULL)
        return true;
    bc_fail(e, "%s: not the MPI that its name promises", i->file);
    return false;
}

static int fail(int code, const char *what, bc_error *e) {
    char text[TEXT] = "";
    int length = 0;
    mpi.Error_string(code, text, &length);
    own.broken = true;
    return bc_fail(e, "MPI: %s: %s", what, text);
}

/* The launcher's row; -1: none, or it started this process alone. */
static int find_launcher(void) {
    for (int i = 0; i < LAUNCHERS; i++) {
        if (getenv(launchers[i].rank) == NULL) continue;
        const char *size = getenv(launchers[i].size);
        if (size == NULL && launchers[i].other_size != NULL) size = getenv(launchers[i].other_size);
        return size != NULL && strcmp(size, "1") == 0 ? -1 : i;
    }
    return -1;
}

/* At the end of the program: all ranks together, or, where one failed, none. Nobody hears
 * Ctrl-C any more, so that it ends the wait for others. */
static void leave(int status, void *unused) {
    (void)unused;
    if (getpid() != own.process) return;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (status == 0 && !own.broken)
        mpi.Finalize();
    else
        mpi.Abort(own.world, status != 0 ? status : 1);
}

/* Programs that this one starts are no ranks. */
static void forget_launcher(void) {
    for (int i = 0; i < LAUNCHERS; i++) unsetenv(launchers[i].rank);
    unsetenv("PMI_FD");
}

static int join(int first, bc_error *e) {
    handle errors_return;
    bool opened = false;
    int already = 0, provided = 0;
    e->text[0] = '\0';
    for (int i = 0; i < INTERFACES && !opened; i++)
        opened = open_library(&interfaces[(first + i) % INTERFACES], &errors_return, e);
    if (!opened) return BC_FAIL;
    mpi.Initialized(&already); /* by another module of a stock Lua: then it finalizes, too */
    int rc = already ? 0 : mpi.Init_thread(NULL, NULL, FUNNELED, &provided);
    if (rc != 0) return fail(rc, "it does not start", e);
    mpi.Comm_set_errhandler(own.world, errors_return);
    mpi.Comm_rank(own.world, &own.rank);
    mpi.Comm_size(own.world, &own.size);
    own.process = getpid();
    if (!already && on_exit(leave, NULL) != 0) return bc_fail(e, "MPI: on_exit failed");
    forget_launcher();
    return BC_OK;
}

int bc_mpi_start(bc_error *e) {
    if (getpid() != gettid()) return bc_fail(e, "MPI is for the main thread only");
    if (own.started) return own.broken ? bc_fail(e, "MPI: ended by an error before") : BC_OK;
    int launcher = find_launcher();
    bc_error why;
    if (launcher >= 0 && join(launchers[launcher].first, &why) != BC_OK)
        return bc_fail(e, "%s says that there are several ranks, but %.400s",
                       launchers[launcher].rank, why.text);
    /* Its variables came by inheritance, or it speaks to another MPI. Where they are Slurm's for the
     * whole job (other_size), they say nothing of this step. */
    const char *size = launcher >= 0 ? getenv(launchers[launcher].size) : NULL;
    if (size != NULL && own.size == 1 && atoi(size) > 1) {
        own.broken = true;
        return bc_fail(e, "%s is %s, but %s finds no other rank: start it by that MPI's own mpirun, "
                       "or without these variables", launchers[launcher].size, size, own.file);
    }
    own.started = true;
    return BC_OK;
}

int bc_mpi_rank(void) {
    return own.rank;
}
int bc_mpi_size(void) {
    return own.size;
}
size_t bc_mpi_sent(void) {
    return own.sent;
}
double bc_mpi_waited(void) {
    return own.waited;
}
const char *bc_mpi_library(void) {
    return own.file;
}

/* ---- messages ---- */

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Looks often at first, then rests in between: the ranks of a machine may share its cores. */
static void rest(int tries) {
    static const struct timespec pause = {0, 50000};
    if (tries > 2000) nanosleep(&pause, NULL);
}

/* Is it still on its way? */
static int test(handle *request, bool *busy, const char *what, bc_error *e) {
    int done = 0, rc = mpi.Test(request, &done, own.no_status);
    if (rc != 0) return fail(rc, what, e);
    *busy = !done;
    return BC_OK;
}

static int wait_for(handle *request, const char *what, bc_error *e) {
    double start = clock_s();
    bool busy = true;
    int rc = test(request, &busy, what, e);
    for (int tries = 0; rc == BC_OK && busy; tries++) {
        rest(tries);
        rc = bc_interrupted() ? BC_STOPPED : test(request, &busy, what, e);
    }
    own.waited += clock_s() - start;
    return rc;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* At most PIECE bytes each way, counts being ints; a part of no bytes is none. */
static int exchange_piece(const void *out, size_t out_bytes, int to, void *in, size_t in_bytes,
                          int from, bc_error *e) {
    handle send = NULL, receive = NULL;
    int rc = 0, status = BC_OK;
    if (in_bytes > 0) rc = mpi.Irecv(in, (int)in_bytes, own.byte, from, 0, own.world, &receive);
    if (rc != 0) return fail(rc, "receive", e);
    if (out_bytes > 0) rc = mpi.Isend(out, (int)out_bytes, own.byte, to, 0, own.world, &send);
    if (rc != 0) return fail(rc, "send", e);
    if (in_bytes > 0) status = wait_for(&receive, "receive", e);
    if (status == BC_STOPPED) mpi.Cancel(&receive);
    if (status == BC_OK && out_bytes > 0) status = wait_for(&send, "send", e);
    if (status != BC_OK) own.broken = true;
    return status;
}

int bc_mpi_exchange(const void *out, size_t out_bytes, int to, void *in, size_t in_bytes, int from,
                    bc_error *e) {
    if (out == NULL) out_bytes = 0;
    if (in == NULL) in_bytes = 0;
    if (own.broken) return bc_fail(e, "MPI: ended by an error before");
    own.sent += out_bytes;
    int rc = BC_OK;
    for (size_t at = 0; rc == BC_OK && (at < out_bytes || at < in_bytes); at += PIECE) {
        size_t sent = at < out_bytes ? smaller(PIECE, out_bytes - at) : 0;
        size_t received = at < in_bytes ? smaller(PIECE, in_bytes - at) : 0;
        rc = exchange_piece((const char *)out + (sent > 0 ? at : 0), sent, to,
                            (char *)in + (received > 0 ? at : 0), received, from, e);
    }
    return rc;
}

/* By dissemination: after step d a rank has heard of the 2 d before it. */
int bc_mpi_barrier(bc_error *e) {
    char token = 0, other;
    int rc = BC_OK;
    for (int d = 1; d < own.size && rc == BC_OK; d *= 2)
        rc = bc_mpi_exchange(&token, 1, (own.rank + d) % own.size, &other, 1,
                             (own.rank - d + own.size) % own.size, e);
    return rc;
}

/* Along a binomial tree: those that have it double. */
int bc_mpi_broadcast(void *bytes, size_t n, int root, bc_error *e) {
    int me = (own.rank - root + own.size) % own.size, rc = BC_OK;
    for (int d = 1; d < own.size && rc == BC_OK; d *= 2) {
        if (me < d && me + d < own.size)
            rc = bc_mpi_exchange(bytes, n, (me + d + root) % own.size, NULL, 0, 0, e);
        else if (me >= d && me < 2 * d)
            rc = bc_mpi_exchange(NULL, 0, 0, bytes, n, (me - d + root) % own.size, e);
    }
    return rc;
}

/* ---- sums ---- */

enum { BLOCK = 1 << 18 /* elements; the same on all ranks */, TAGS = 32000 };

typedef struct part {
    size_t from, to;
} part;

/* What a rank has summed of n after `steps` exchanges. */
static part part_of(size_t n, int rank, int steps) {
    part p = {0, n};
    for (int k = 0; k < steps; k++) {
        size_t middle = p.from + (p.to - p.from) / 2;
        *(rank >> k & 1 ? &p.from : &p.to) = middle;
    }
    return p;
}

/* A block goes through its exchanges on its own. In the first ones two ranks share the work on what
 * both have: one adds up the lower half, one the upper; in the others they give each other back what
 * they have. a + b is b + a, so that the tree alone decides the bits. */
typedef struct block {
    char *x, *out, *in; /* out, in: room for what is sent, if that is not x itself, and received */
    size_t n;
    int tag, done; /* exchanges */
    bool began, sending, receiving; /* of the one that is next */
    part mine; /* what it receives */
    handle send, receive;
} block;

struct bc_mpi_sum {
    char *x;
    size_t n;
    enum bc_mpi_number number;
    size_t size, sent_size; /* bytes of an element, in x and on its way */
    int steps;
    size_t blocks, begun, finished; /* begun: from this one on */
    block block[];
};

int bc_mpi_sum_begin(bc_mpi_sum **out, void *x, size_t n, enum bc_mpi_number number) {
    size_t blocks = (n + BLOCK - 1) / BLOCK;
    bc_mpi_sum *s = calloc(1, sizeof *s + blocks * sizeof *s->block);
    if (s == NULL) return BC_NOMEM;
    *s = (bc_mpi_sum){.x = x, .n = n, .number = number, .blocks = blocks, .begun = blocks};
    s->size = number == BC_MPI_F64 ? sizeof(double) : sizeof(float);
    s->sent_size = number == BC_MPI_BF16 ? sizeof(uint16_t) : s->size;
    while (1 << s->steps < own.size) s->steps++;
    *out = s;
    return BC_OK;
}

static int begin_block(bc_mpi_sum *s, size_t i) {
    block *b = &s->block[i];
    size_t n = smaller(BLOCK, s->n - i * BLOCK), room = (n / 2 + 1) * s->sent_size;
    bool narrow = s->number == BC_MPI_BF16;
    *b = (block){.x = s->x + i * BLOCK * s->size, .n = n, .tag = 1 + (int)(i % TAGS)};
    if (narrow) bc_bf16_round((float *)(void *)b->x, n);
    b->in = malloc(narrow ? 2 * room : room);
    if (b->in == NULL) return BC_NOMEM;
    if (narrow) b->out = b->in + room;
    return BC_OK;
}

/* In exchange k of block b. */
static int begin_exchange(const bc_mpi_sum *s, block *b, bc_error *e) {
    bool halving = b->done < s->steps;
    int k = halving ? b->done : 2 * s->steps - 1 - b->done, partner = own.rank ^ 1 << k, rc = 0;
    part p = part_of(b->n, own.rank, k + 1), q = part_of(b->n, partner, k + 1);
    part theirs = halving ? q : p;
    b->mine = halving ? p : q;
    size_t sent = (theirs.to - theirs.from) * s->sent_size;
    size_t received = (b->mine.to - b->mine.from) * s->sent_size;
    char *out = b->x + theirs.from * s->size, *in = b->in;
    if (b->out != NULL) {
        bc_bf16_narrow((uint16_t *)(void *)b->out, (float *)(void *)out, theirs.to - theirs.from);
        out = b->out;
    } else if (!halving) {
        in = b->x + b->mine.from * s->size;
    }
    b->began = true;
    b->receiving = received > 0;
    if (received > 0)
        rc = mpi.Irecv(in, (int)received, own.byte, partner, b->tag, own.world, &b->receive);
    if (rc != 0) return fail(rc, "receive", e);
    b->sending = sent > 0;
    if (sent > 0) rc = mpi.Isend(out, (int)sent, own.byte, partner, b->tag, own.world, &b->send);
    if (rc != 0) return fail(rc, "send", e);
    own.sent += sent;
    return BC_OK;
}

static void end_exchange(const bc_mpi_sum *s, block *b) {
    char *x = b->x + b->mine.from * s->size;
    const void *in = b->in;
    size_t n = b->mine.to - b->mine.from;
    if (b->done >= s->steps) {
        if (s->number == BC_MPI_BF16) bc_bf16_widen((float *)(void *)x, in, n);
    } else if (s->number == BC_MPI_BF16) {
        bc_bf16_add((float *)(void *)x, in, n);
    } else if (s->number == BC_MPI_F32) {
        for (size_t i = 0; i < n; i++) ((float *)(void *)x)[i] += ((const float *)in)[i];
    } else {
        for (size_t i = 0; i < n; i++) ((double *)(void *)x)[i] += ((const double *)in)[i];
    }
}

/* As far as it comes without waiting. */
static int advance(bc_mpi_sum *s, block *b, bc_error *e) {
    for (; b->done < 2 * s->steps; b->done++, b->began = false) {
        int rc = BC_OK;
        if (!b->began) rc = begin_exchange(s, b, e);
        if (rc == BC_OK && b->receiving) rc = test(&b->receive, &b->receiving, "receive", e);
        if (rc == BC_OK && b->sending) rc = test(&b->send, &b->sending, "send", e);
        if (rc != BC_OK || b->receiving || b->sending) return rc;
        end_exchange(s, b);
    }
    free(b->in);
    b->in = NULL;
    s->finished++;
    return BC_OK;
}

int bc_mpi_sum_ready(bc_mpi_sum *s, size_t from, bc_error *e) {
    int rc = BC_OK;
    if (own.broken) return bc_fail(e, "MPI: ended by an error before");
    for (; rc == BC_OK && s->begun > 0 && (s->begun - 1) * BLOCK >= from; s->begun--)
        rc = begin_block(s, s->begun - 1);
    for (size_t i = s->blocks; rc == BC_OK && i-- > s->begun;)
        if (s->block[i].in != NULL) rc = advance(s, &s->block[i], e);
    if (rc != BC_OK) own.broken = true;
    return rc;
}

int bc_mpi_sum_wait(bc_mpi_sum *s, bc_error *e) {
    double start = clock_s();
    int rc = bc_mpi_sum_ready(s, 0, e);
    for (int tries = 0; rc == BC_OK && s->finished < s->blocks; tries++) {
        rest(tries);
        rc = bc_interrupted() ? BC_STOPPED : bc_mpi_sum_ready(s, 0, e);
    }
    own.waited += clock_s() - start;
    if (rc != BC_OK) own.broken = true;
    return rc;
}

/* Where a sum is not finished, the library may still write into its rooms: they stay. */
void bc_mpi_sum_free(bc_mpi_sum *s) {
    if (s->begun < s->blocks && s->finished < s->blocks) own.broken = true;
    for (size_t i = s->begun; i < s->blocks; i++)
        if (s->block[i].receiving) mpi.Cancel(&s->block[i].receive);
    free(s);
}
