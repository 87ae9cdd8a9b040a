/* build.c: what the kinds of layers have in common when they are built. */
#include "build.h"

#include <math.h>

const nn_option nn_no_options[] = {NN_END};

/* Whole windows in an extent; 0 if not even one fits. */
static size_t windows(size_t extent, size_t kernel, size_t stride, size_t padding) {
    return extent + 2 * padding < kernel ? 0 : (extent + 2 * padding - kernel) / stride + 1;
}

int nn_build_window(nn_layer *l, size_t co, nn_conv w, bc_error *e) {
    w.ci = l->in.c, w.h = l->in.h, w.w = l->in.w, w.co = co;
    w.oh = windows(w.h, w.kh, w.sh, w.ph);
    w.ow = windows(w.w, w.kw, w.sw, w.pw);
    if (w.oh == 0 || w.ow == 0)
        return bc_fail(e, "layer '%s': a %zu x %zu window does not fit into %zu x %zu", l->name,
                       w.kh, w.kw, w.h, w.w);
    l->window = w;
    l->shape = (nn_shape){co, w.oh, w.ow};
    return BC_OK;
}

int nn_build_weights(nn_graph *g, nn_layer *l, int ndim, const int64_t *shape, bool bias,
                     bc_error *e) {
    const nn_conv *w = &l->window;
    double bound = 1 / sqrt((double)(w->ci * w->kh * w->kw));
    int rc = nn_graph_tensor(g, l, NN_WEIGHT, "weight", NN_TRAINED, ndim, shape, bound, 0, e);
    if (rc == BC_OK && bias)
        rc = nn_graph_tensor(g, l, NN_BIAS, "bias", NN_TRAINED, 1, shape, bound, 0, e);
    return rc;
}

int nn_build_same(nn_graph *g, nn_layer *l, bc_error *e) {
    l->shape = l->in;
    for (int i = 1; i < l->kind->inputs; i++) {
        nn_shape s = g->layer[l->input[i]].shape;
        if (s.c != l->in.c || s.h != l->in.h || s.w != l->in.w)
            return bc_fail(e, "layer '%s': its inputs are %zu x %zu x %zu and %zu x %zu x %zu",
                           l->name, l->in.c, l->in.h, l->in.w, s.c, s.h, s.w);
    }
    return BC_OK;
}

int nn_check_audio(const nn_layer *l, size_t n_fft, bc_error *e) {
    if (l->in.c != 1 || l->in.h != 1)
        return bc_fail(e, "layer '%s': %s takes audio, got %zu x %zu x %zu", l->name, l->kind->name,
                       l->in.c, l->in.h, l->in.w);
    if (l->trained)
        return bc_fail(e, "layer '%s': %s hands no gradient to what is before it", l->name,
                       l->kind->name);
    /* shorter, every frame would be mostly a mirror image of itself */
    if (l->in.w <= n_fft / 2)
        return bc_fail(e, "layer '%s': %zu samples are too few for n_fft %zu (at least %zu)",
                       l->name, l->in.w, n_fft, n_fft / 2 + 1);
    return BC_OK;
}
