/* loading.c: batches of triplets, made by threads ahead of who takes them. */
#include "loading.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../support/interrupt.h"

/* A batch in the making: rows are given to threads one by one. */
typedef struct {
    bc_batch batch;
    int64_t given, done;
    int rc; /* of the first row that failed */
    int64_t failed;
    bc_error error;
} slot;

struct bc_loading {
    bc_loading_options o;
    pthread_mutex_t lock;
    pthread_cond_t work, ready; /* something to do; something done */
    pthread_t *threads;
    int started;
    bool quit, paused;
    int active;      /* rows in the making */
    slot *slots;     /* a ring of o.prefetch */
    int head, count; /* the next to hand out; slots in use */
    uint64_t seed;
    int64_t taken, planned; /* triplets handed out, and given to slots */
    uint32_t *order;
    int64_t round; /* that order is of; -1: none */
    int64_t n;     /* triplets of a round */
    int64_t rows;  /* of a batch that are made */
    bc_array recycled[BC_RECYCLED][BC_ROLES];
    double waited;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int bc_loading_new(bc_loading **to, const bc_loading_options *o) {
    bc_loading *l = calloc(1, sizeof *l);
    *to = l;
    if (l == NULL) return BC_NOMEM;
    l->o = *o;
    l->seed = o->seed;
    l->round = -1;
    l->n = o->sampler.triplets;
    l->rows = o->batch_size / o->parts;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->ready, &clock);
    pthread_condattr_destroy(&clock);
    l->slots = calloc((size_t)o->prefetch, sizeof *l->slots);
    l->threads = calloc((size_t)o->workers, sizeof *l->threads);
    l->order = malloc((size_t)l->n * sizeof *l->order);
    if (l->slots != NULL && l->threads != NULL && l->order != NULL) return BC_OK;
    bc_loading_free(l);
    *to = NULL;
    return BC_NOMEM;
}

const bc_sampler *bc_loading_sampler(const bc_loading *l) {
    return &l->o.sampler;
}

void bc_batch_release(bc_batch *b) {
    for (int role = 0; role < BC_ROLES; role++) bc_array_release(&b->data[role]);
    for (bc_read_failure *m = b->read_failures, *next; m != NULL; m = next) {
        next = m->next;
        free(m);
    }
    free(b->rows);
    memset(b, 0, sizeof *b);
}

void bc_loading_free(bc_loading *l) {
    if (l == NULL) return;
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->started; i++) pthread_join(l->threads[i], NULL);
    for (int i = 0; l->slots != NULL && i < l->o.prefetch; i++)
        bc_batch_release(&l->slots[i].batch);
    for (int i = 0; i < BC_RECYCLED; i++)
        for (int role = 0; role < BC_ROLES; role++) bc_array_release(&l->recycled[i][role]);
    pthread_cond_destroy(&l->ready);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    free(l->slots);
    free(l->threads);
    free(l->order);
    free(l);
}

/* ---- Plans: under the lock ---- */

static int set_round(bc_loading *l, int64_t round) {
    bc_random r;
    if (round == l->round) return BC_OK;
    bc_random_seed(&r, l->seed, (uint64_t)round);
    int rc = BC_OK;
    if (l->o.sampler.walk)
        rc = bc_order_walk(l->order, l->o.first, l->o.recordings, l->o.open, &r);
    else
        bc_order_shuffle(l->order, l->n, &r);
    l->round = rc == BC_OK ? round : -1;
    return rc;
}

static bool came_back(const bc_array *data) {
    for (int role = 0; role < BC_ROLES; role++)
        if (!bc_array_alone(&data[role])) return false;
    return true;
}

/* Memory for a batch: of one that was handed out and that nobody looks at any
 * more, else new. */
static int take_memory(bc_loading *l, bc_batch *b) {
    for (int i = 0; i < BC_RECYCLED; i++)
        if (came_back(l->recycled[i])) {
            memcpy(b->data, l->recycled[i], sizeof b->data);
            memset(l->recycled[i], 0, sizeof l->recycled[i]);
            return BC_OK;
        }
    int64_t shape[2] = {l->rows, l->o.sampler.samples};
    int rc = BC_OK;
    for (int role = 0; role < BC_ROLES && rc == BC_OK; role++)
        rc = bc_array_new(&b->data[role], BC_F32, 2, shape);
    return rc;
}

/* Begin the next batch; BC_OK or BC_NOMEM, which its taker will see. */
static void plan(bc_loading *l) {
    int64_t n = l->rows, first = l->planned + l->o.part * n;
    const bc_sampler *s = &l->o.sampler;
    slot *x = &l->slots[(l->head + l->count++) % l->o.prefetch];
    memset(x, 0, sizeof *x);
    x->failed = n;
    x->rc = take_memory(l, &x->batch);
    x->batch.rows = calloc((size_t)n, sizeof *x->batch.rows);
    if (x->batch.rows == NULL) x->rc = BC_NOMEM;
    for (int64_t i = 0; i < n && x->rc == BC_OK; i++) {
        bc_row *row = &x->batch.rows[i];
        row->position = first + i;
        x->rc = set_round(l, row->position / l->n);
        if (x->rc != BC_OK) break;
        uint32_t t = l->order[row->position % l->n];
        row->triplet = s->subset == NULL ? t : s->subset[t];
    }
    l->planned += l->o.batch_size;
    if (x->rc == BC_OK && s->walk) bc_sampler_pair(s, l->seed, x->batch.rows, n);
    if (x->rc != BC_OK) x->given = x->done = n;
    if (x->done == n) pthread_cond_signal(&l->ready);
}

static slot *find_work(bc_loading *l) {
    if (l->paused) return NULL;
    for (int i = 0; i < l->count; i++) {
        slot *x = &l->slots[(l->head + i) % l->o.prefetch];
        if (x->given < l->rows) return x;
    }
    if (l->count == l->o.prefetch) return NULL;
    plan(l);
    return find_work(l);
}

/* ---- Threads ---- */

typedef struct {
    bc_read_failure *list;
    int64_t row;
} read_failures;

static void note_read_failure(void *context, int64_t source, const char *text) {
    read_failures *m = context;
    size_t size = strlen(text) + 1;
    bc_read_failure *x = malloc(sizeof *x + size);
    if (x == NULL) return;
    x->next = m->list;
    x->row = m->row;
    x->source = source;
    memcpy(x->text, text, size);
    m->list = x;
}

/* Into the list of the batch, in order of the rows and of their tries, which
 * are listed from the last to the first. */
static void add_read_failures(bc_batch *b, bc_read_failure *list) {
    bc_read_failure **at = &b->read_failures;
    while (list != NULL && *at != NULL && (*at)->row < list->row) at = &(*at)->next;
    while (list != NULL) {
        bc_read_failure *m = list;
        list = m->next;
        m->next = *at;
        *at = m;
    }
}

/* Ctrl-C stops the decoder in every thread. The row is made when the flag is
 * down again: the user may only have stopped a line at the prompt. */
static void wait_out_interrupt(bc_loading *l) {
    struct timespec pause = {0, 10000000};
    bool stay = true;
    while (stay && bc_interrupted()) {
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&l->lock);
        stay = !l->quit && !l->paused;
        pthread_mutex_unlock(&l->lock);
    }
}

static bool given_up(bc_loading *l) {
    pthread_mutex_lock(&l->lock);
    bool up = l->quit || l->paused;
    pthread_mutex_unlock(&l->lock);
    return up;
}

static void make_row(bc_loading *l, slot *x, int64_t i, bc_scratch *scratch) {
    bc_error e = {""};
    read_failures m = {NULL, i};
    float *out[BC_ROLES];
    for (int role = 0; role < BC_ROLES; role++)
        out[role] = (float *)x->batch.data[role].data + i * l->o.sampler.samples;
    bc_row planned = x->batch.rows[i];
    int rc;
    for (;;) {
        rc = bc_sampler_row(&l->o.sampler, l->seed, &x->batch.rows[i], out, scratch,
                            l->o.replace ? note_read_failure : NULL, &m, &e);
        if (rc != BC_STOPPED) break;
        wait_out_interrupt(l);
        if (given_up(l)) break;
        x->batch.rows[i] = planned;
        for (bc_read_failure *next; m.list != NULL; m.list = next) {
            next = m.list->next;
            free(m.list);
        }
    }
    pthread_mutex_lock(&l->lock);
    add_read_failures(&x->batch, m.list);
    if (rc != BC_OK && i < x->failed) {
        x->failed = i;
        x->rc = rc;
        x->error = e;
    }
    x->done++;
    l->active--;
    pthread_cond_signal(&l->ready);
    pthread_mutex_unlock(&l->lock);
}

static void *work(void *argument) {
    bc_loading *l = argument;
    bc_scratch scratch[2] = {{NULL, 0}, {NULL, 0}};
    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        slot *x = find_work(l);
        if (x == NULL) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        int64_t i = x->given++;
        l->active++;
        pthread_mutex_unlock(&l->lock);
        make_row(l, x, i, scratch);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    free(scratch[0].data);
    free(scratch[1].data);
    return NULL;
}

static int start(bc_loading *l, bc_error *e) {
    if (l->started > 0) return BC_OK;
    sigset_t all, old; /* signals are the main thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (l->started < l->o.workers && pthread_create(&l->threads[l->started], NULL, work, l) == 0)
        l->started++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (l->started > 0) return BC_OK;
    return bc_fail(e, "loader: no thread can be started (a limit on processes, as of ulimit -u?)");
}

/* ---- The taker ---- */

/* Under the lock: forget what was made ahead, and go on from `position` with the
 * next call of bc_loading_next, not before: the user may mend a file till then. */
static void rewind_to(bc_loading *l, int64_t position) {
    l->paused = true;
    while (l->active > 0) pthread_cond_wait(&l->ready, &l->lock);
    for (; l->count > 0; l->count--, l->head = (l->head + 1) % l->o.prefetch)
        bc_batch_release(&l->slots[l->head].batch);
    l->taken = l->planned = position;
}

void bc_loading_seek(bc_loading *l, uint64_t seed, int64_t position) {
    pthread_mutex_lock(&l->lock);
    rewind_to(l, position);
    if (seed != l->seed) l->round = -1;
    l->seed = seed;
    pthread_mutex_unlock(&l->lock);
}

/* Remember what is handed out, so that its memory can be used again. */
static void lend(bc_loading *l, const bc_batch *b) {
    int free_one = -1;
    for (int i = 0; i < BC_RECYCLED; i++) {
        if (l->recycled[i][0].storage == NULL) free_one = i;
    }
    if (free_one < 0) { /* the user keeps them: let one go */
        free_one = 0;
        for (int role = 0; role < BC_ROLES; role++) bc_array_release(&l->recycled[0][role]);
    }
    for (int role = 0; role < BC_ROLES; role++)
        bc_array_share(&l->recycled[free_one][role], &b->data[role]);
}

int bc_loading_held(bc_loading *l) {
    int n = 0;
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < BC_RECYCLED; i++)
        n += l->recycled[i][0].storage != NULL && !came_back(l->recycled[i]);
    pthread_mutex_unlock(&l->lock);
    return n;
}

static int hand_out(bc_loading *l, bc_batch *b, bc_error *e) {
    slot *x = &l->slots[l->head];
    int rc = x->rc;
    if (rc != BC_OK) {
        *e = x->error;
        rewind_to(l, l->taken);
        return rc;
    }
    *b = x->batch;
    memset(&x->batch, 0, sizeof x->batch);
    lend(l, b);
    l->head = (l->head + 1) % l->o.prefetch;
    l->count--;
    l->taken += l->o.batch_size;
    pthread_cond_broadcast(&l->work);
    return BC_OK;
}

int bc_loading_next(bc_loading *l, bc_batch *b, bc_error *e) {
    memset(b, 0, sizeof *b);
    double begin = now();
    int rc = start(l, e);
    if (rc != BC_OK) return rc;
    pthread_mutex_lock(&l->lock);
    if (l->paused) pthread_cond_broadcast(&l->work);
    l->paused = false;
    while (l->count == 0 || l->slots[l->head].done < l->rows) {
        if (bc_interrupted()) {
            rc = BC_STOPPED;
            break;
        }
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += 50000000;
        if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
        pthread_cond_timedwait(&l->ready, &l->lock, &t);
    }
    if (rc == BC_OK) rc = hand_out(l, b, e);
    l->waited += now() - begin;
    pthread_mutex_unlock(&l->lock);
    return rc;
}

int64_t bc_loading_position(const bc_loading *l) {
    return l->taken;
}
double bc_loading_waited(const bc_loading *l) {
    return l->waited;
}
