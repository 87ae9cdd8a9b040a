/* pool.c: worker threads that take items off one shared counter. */
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "error.h"

struct bc_pool {
    int threads; /* workers that exist, the caller included */
    pthread_t *thread;
    pthread_mutex_t lock;
    pthread_cond_t start, finish;
    unsigned long round; /* counts runs, so that a worker knows a new one */
    bool open;           /* to workers that come; nobody waits for one that other work keeps away */
    int busy;            /* workers in this round */
    bool quit;
    bc_task *task;
    void *context;
    size_t n;
    atomic_size_t next;
};

struct seat {
    bc_pool *pool;
    int worker;
};

static void take_items(bc_pool *p, int worker) {
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= p->n) return;
        p->task(p->context, i, worker);
    }
}

static void *work(void *argument) {
    struct seat seat = *(struct seat *)argument;
    free(argument);
    bc_pool *p = seat.pool;
    unsigned long seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while ((!p->open || p->round == seen) && !p->quit) pthread_cond_wait(&p->start, &p->lock);
        if (p->quit) break;
        seen = p->round;
        p->busy++;
        pthread_mutex_unlock(&p->lock);
        take_items(p, seat.worker);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0) pthread_cond_signal(&p->finish);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static int start_worker(bc_pool *p, int worker) {
    struct seat *seat = malloc(sizeof *seat);
    if (seat == NULL) return BC_NOMEM;
    *seat = (struct seat){p, worker};
    if (pthread_create(&p->thread[worker], NULL, work, seat) != 0) {
        free(seat);
        return BC_NOMEM;
    }
    return BC_OK;
}

int bc_pool_new(bc_pool **pool, int threads) {
    if (threads < 1) threads = 1;
    bc_pool *p = calloc(1, sizeof *p);
    if (p == NULL) return BC_NOMEM;
    p->thread = calloc((size_t)threads, sizeof *p->thread);
    if (p->thread == NULL) {
        free(p);
        return BC_NOMEM;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->finish, NULL);
    p->threads = 1;
    /* Signals are the main thread's: a worker would run the handler beside Lua. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (p->threads < threads && start_worker(p, p->threads) == BC_OK) p->threads++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    *pool = p; /* fewer threads than asked still give the same results */
    return BC_OK;
}

void bc_pool_free(bc_pool *p) {
    if (p == NULL) return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i < p->threads; i++) pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->finish);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->lock);
    free(p->thread);
    free(p);
}

int bc_pool_threads(const bc_pool *p) { return p->threads; }

void bc_pool_run(bc_pool *p, bc_task *task, void *context, size_t n) {
    if (p->threads == 1 || n < 2) {
        for (size_t i = 0; i < n; i++) task(context, i, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->context = context;
    p->n = n;
    atomic_store(&p->next, 0);
    p->open = true;
    p->round++;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    take_items(p, 0);
    pthread_mutex_lock(&p->lock);
    p->open = false;
    while (p->busy > 0) pthread_cond_wait(&p->finish, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static atomic_int wanted;

int bc_processors(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n;
}

int bc_threads(void) {
    int n = atomic_load(&wanted);
    if (n > 0) return n;
    const char *text = getenv("BCLUA_THREADS");
    n = text != NULL ? atoi(text) : 0;
    if (n < 1) n = bc_processors();
    return n < BC_MOST_THREADS ? n : BC_MOST_THREADS;
}

void bc_set_threads(int n) { atomic_store(&wanted, n < 0 ? 0 : n); }
