/* inspect.c: what the passes of a network write, looked at one by one. */
#include "inspect.h"

#include <math.h>
#include <stdlib.h>

#include "../graph/pass.h"
#include "own.h"

#define BLOCK 1024

static void look(nn_seen *s, double x, size_t sample) {
    double magnitude = fabs(x);
    if (!isfinite(x) && s->bad == NN_NONE) s->bad = sample;
    if (isfinite(x) && magnitude > s->most) s->most = magnitude;
    s->over += magnitude > 65504;
    s->under += magnitude > 0 && magnitude < 0x1p-25;
}

/* count values at `from`: planes of `plane`, n samples of each channel in a row. */
static void look_at(nn_seen *s, const void *from, enum nn_storage stored, size_t count,
                    size_t plane, size_t n) {
    float room[BLOCK];
    s->count = count;
    for (size_t at = 0; at < count; at += BLOCK) {
        size_t end = smaller(count - at, BLOCK);
        if (stored != NN_AS_F64)
            nn_widen(room, (const char *)from + at * nn_storage_size(stored), stored, end);
        for (size_t i = 0; i < end; i++)
            look(s, stored == NN_AS_F64 ? ((const double *)from)[at + i] : (double)room[i],
                 (at + i) / plane % n);
    }
}

static nn_seen *new_seen(nn_inspector *i, size_t layer, int what) {
    if (i->count == i->room) {
        size_t more = i->room == 0 ? 256 : 2 * i->room;
        nn_seen *bigger = realloc(i->seen, more * sizeof *bigger);
        if (bigger == NULL) {
            i->failed = true;
            return NULL;
        }
        i->seen = bigger;
        i->room = more;
    }
    nn_seen *s = &i->seen[i->count++];
    *s = (nn_seen){.layer = layer, .bad = NN_NONE, .first = 0};
    s->what = what;
    return s;
}

static void see(nn_inspector *i, const nn_network *net, size_t layer, int what, size_t offset) {
    if (offset == NN_NONE) return;
    nn_seen *s = new_seen(i, layer, what);
    nn_shape shape = net->g->layer[layer].shape;
    size_t n = net->here->plan->o.n;
    if (s == NULL) return;
    s->first = net->here->first;
    look_at(s, net->here->arena + offset, net->here->plan->stored[layer], n * nn_volume(shape),
            shape.h * shape.w, n);
    if (s->bad != NN_NONE) s->bad += net->here->first;
}

static void see_weights(nn_inspector *i, const nn_network *net, size_t layer) {
    const nn_layer *l = &net->g->layer[layer];
    enum nn_storage stored = nn_is_double(net->o.precision) ? NN_AS_F64 : NN_AS_F32;
    for (int k = 0; k < 5; k++) {
        void *gradient = nn_network_memory(net, l->tensor[k], NN_GRADIENT);
        if (gradient == NULL) continue;
        nn_seen *s = new_seen(i, layer, NN_SEEN_WEIGHTS);
        if (s == NULL) return;
        look_at(s, gradient, stored, net->g->tensor[l->tensor[k]].count, 1, 1);
    }
}

static void watch(void *watcher, const nn_network *net, size_t k) {
    nn_inspector *i = watcher;
    const nn_step *step = &net->here->plan->step[k];
    const nn_node *node = &net->here->plan->node[step->value];
    if (step->pass == NN_FORWARD_PASS) see(i, net, step->value, NN_SEEN_VALUE, step->out);
    if (step->pass == NN_LOSS) see(i, net, step->value, NN_SEEN_GRADIENT, step->grad_out);
    if (step->pass != NN_BACKWARD_PASS) return;
    see_weights(i, net, (size_t)node->layer);
    for (int j = 0; j < node->inputs; j++)
        see(i, net, (size_t)node->input[j], NN_SEEN_GRADIENT, step->grad_in[j]);
}

void nn_network_inspect(nn_network *net, nn_inspector *i) {
    net->watch = i == NULL ? NULL : watch;
    net->watcher = i;
}
