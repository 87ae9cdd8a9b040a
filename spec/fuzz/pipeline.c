/* pipeline.c: libFuzzer target for decode -> CENS -> profile. Any bytes as a
 * sound file must end in an error or in results that keep their contracts.
 * `make fuzz` builds and runs it. */
#include <math.h>

#include "../../csrc/audio/audio.h"
#include "../../csrc/cens/cens.h"
#include "../../csrc/cens/cqt.h"
#include "../../csrc/cens/tuning.h"
#include "../../csrc/stomp/extremes.h"
#include "../../csrc/stomp/simple.h"
#include "../../csrc/stomp/znorm.h"
#include "fuzz.h"

/* What keeps a run quick: half a second of sound in short hops. */
enum { RATE = 32000, SAMPLES = 16000, HOP = 320, ROW = 200, EXTREMES = 3 };

static void *get(size_t count, size_t size) {
    void *p = calloc(count > 0 ? count : 1, size);
    PROMISE(p != NULL);
    return p;
}

/* Distances are 0 or more, or INFINITY without a neighbour; what the fast join
 * gives is what the definition gives. */
static void check_profile(const double *distance, const int64_t *index, const double *brute,
                          size_t n) {
    for (size_t i = 0; i < n; i++) {
        PROMISE(distance[i] >= 0);
        PROMISE(index[i] >= -1 && index[i] < (int64_t)n);
        PROMISE((index[i] < 0) == isinf(distance[i]));
        PROMISE(isinf(distance[i]) == isinf(brute[i]));
        if (isinf(brute[i])) continue;
        PROMISE(fabs(distance[i] - brute[i]) <= 1e-9 * brute[i] + 1e-12);
    }
}

static void check_extremes(const double *distance, const int64_t *index, size_t n, size_t zone) {
    int64_t at[EXTREMES], twin[EXTREMES];
    size_t found = 0;
    PROMISE(bc_motifs(at, twin, &found, distance, index, n, EXTREMES, (int64_t)zone, false) ==
            BC_OK);
    PROMISE(found <= EXTREMES);
    PROMISE(bc_discords(at, twin, &found, distance, index, n, EXTREMES, (int64_t)zone) == BC_OK);
    for (size_t i = 0; i < found; i++) PROMISE(at[i] >= 0 && at[i] < (int64_t)n);
}

static void profile(const double *x, size_t dims, size_t frames, size_t window) {
    if (frames < window) return;
    size_t n = frames - window + 1, zone = window / 2;
    bc_simple_options o = {.tick = NULL};
    double *distance = get(n, sizeof *distance), *brute = get(n, sizeof *brute);
    int64_t *index = get(n, sizeof *index), *nearest = get(n, sizeof *nearest);
    PROMISE(bc_simple_self_join(distance, index, NULL, x, dims, frames, window, zone, &o) ==
            BC_OK);
    PROMISE(bc_simple_brute(brute, nearest, x, frames, x, frames, dims, window, (ptrdiff_t)zone,
                            &o) == BC_OK);
    check_profile(distance, index, brute, n);
    check_extremes(distance, index, n, zone);
    free(distance), free(brute), free(index), free(nearest);
}

/* The samples themselves, z-normalised. */
static void row_profile(const float *y, size_t n, size_t window) {
    if (n > ROW) n = ROW;
    if (n < window) return;
    size_t windows = n - window + 1;
    bc_simple_options o = {.tick = NULL};
    double *x = get(n, sizeof *x), *distance = get(windows, sizeof *distance);
    int64_t *index = get(windows, sizeof *index);
    for (size_t i = 0; i < n; i++) x[i] = y[i];
    PROMISE(bc_znorm_self_join(distance, index, NULL, x, n, window, window / 4, &o) == BC_OK);
    for (size_t i = 0; i < windows; i++) {
        PROMISE(distance[i] >= 0);
        PROMISE(index[i] >= -1 && index[i] < (int64_t)windows);
    }
    free(x), free(distance), free(index);
}

static void features(const float *y, size_t n, double rate, size_t window) {
    cqt_options o = cqt_defaults(rate);
    o.hop = HOP;
    bc_error e;
    if (cqt_options_check(&o, &e) != BC_OK) return;
    PROMISE(tuning_estimate(&o.tuning, y, n, rate) == BC_OK);
    PROMISE(o.tuning >= -0.5 && o.tuning < 0.5);
    const cqt_plan *p;
    if (cqt_plan_get(&p, &o, &e) != BC_OK) return;
    size_t frames = cqt_frames(&o, n);
    float *c = get(12 * frames, sizeof *c);
    double *x = get(12 * frames, sizeof *x);
    cens_options how = cens_defaults();
    PROMISE(cqt_chroma(c, y, n, p) == BC_OK && cens_of_chroma(c, frames, &how) == BC_OK);
    cqt_plan_put(p);
    for (size_t i = 0; i < 12 * frames; i++) {
        PROMISE(c[i] >= 0 && c[i] <= 1.0001F);
        x[i] = c[i];
    }
    profile(x, 12, frames, window);
    free(c), free(x);
}

static float *read_some(bc_audio *a, int64_t *n) {
    bc_pieces *pieces = NULL;
    bc_error e;
    float *y = NULL;
    *n = 0;
    if (bc_pieces_read(&pieces, n, a, SAMPLES, &e) == BC_OK) {
        PROMISE(*n >= 0 && *n <= SAMPLES);
        y = get((size_t)*n * (size_t)bc_audio_rows(a), sizeof *y);
        bc_pieces_join(y, *n, pieces);
        PROMISE(bc_audio_first_bad(y, *n * bc_audio_rows(a)) < 0);
    }
    bc_pieces_free(pieces);
    return y;
}

static void again_from_the_middle(bc_audio *a) {
    int64_t length = bc_audio_length(a), n;
    bc_error e;
    if (length <= 0 || bc_audio_seek(a, length / 2, &e) != BC_OK) return;
    PROMISE(bc_audio_tell(a) == length / 2);
    free(read_some(a, &n));
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size) {
    const char *path = fuzz_file(bytes, size);
    setenv("PATH", "", 1); /* it is not ffmpeg that is to be fuzzed */

    /* the size chooses the options: no byte of the file is spent on them */
    bc_audio_options o = {.sample_rate = size & 1 ? RATE : 0, .mono = (size & 6) != 0,
                          .strict = (size & 8) == 0};
    size_t window = 1 + size / 16 % 12;
    bc_audio *a = NULL;
    bc_tags tags = {.count = 0};
    bc_error e;
    if (bc_audio_open(&a, path, &o, &e) != BC_OK) return 0;
    bc_audio_tags(a, &tags);
    bc_tags_free(&tags);
    int64_t n;
    float *y = read_some(a, &n);
    if (y != NULL && n > 0) {
        features(y, (size_t)n, bc_audio_rate(a), window);
        row_profile(y, (size_t)n, window);
    }
    free(y);
    again_from_the_middle(a);
    bc_audio_close(a);
    return 0;
}
