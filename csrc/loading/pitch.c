/* pitch.c: the pitch of a sound, by SoundTouch through its C interface, which is
 * looked for when it is first needed. For 5 s at 32 kHz it takes 6 to 10 ms,
 * Debian's Rubber Band 91 to 175. */
#include <dlfcn.h>
#include <fenv.h>
#include <pthread.h>
#include <string.h>

#include "augment.h"

/* As in SoundTouchDLL.h of version 2.1 and later. */
typedef struct library {
    void *(*create)(void);
    void (*destroy)(void *h);
    const char *(*version)(void);
    int (*set_channels)(void *h, unsigned n);
    int (*set_rate)(void *h, unsigned hz);
    void (*set_pitch)(void *h, float semitones);
    int (*put)(void *h, const float *y, unsigned n);
    int (*flush)(void *h);
    unsigned (*receive)(void *h, float *y, unsigned most);
} library;

static library soundtouch; /* create is NULL: there is none */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* SoundTouch is linked with -ffast-math, whose start-up code makes the thread that
 * loads it take denormals for zero: the thread gets its environment back. */
static void *load(void) {
    fenv_t before;
    fegetenv(&before);
    void *so = dlopen("libSoundTouchDll.so.1", RTLD_NOW | RTLD_LOCAL);
    if (so == NULL) so = dlopen("libSoundTouchDll.so", RTLD_NOW | RTLD_LOCAL);
    fesetenv(&before);
    return so;
}

static void open_library(void) {
    void *so = load();
    if (so == NULL) return;
    library l;
    struct {
        const char *name;
        void *to;
    } wanted[] = {{"createInstance", &l.create},    {"destroyInstance", &l.destroy},
                  {"getVersionString", &l.version}, {"setChannels", &l.set_channels},
                  {"setSampleRate", &l.set_rate},   {"setPitchSemiTones", &l.set_pitch},
                  {"putSamples", &l.put},           {"flush", &l.flush},
                  {"receiveSamples", &l.receive}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char name[64] = "soundtouch_";
        void *f = dlsym(so, strncat(name, wanted[i].name, sizeof name - strlen(name) - 1));
        if (f == NULL) {
            dlclose(so);
            return;
        }
        memcpy(wanted[i].to, &f, sizeof f); /* ISO C knows no cast from data to code */
    }
    soundtouch = l;
}

const char *bc_pitch_library(void) {
    pthread_once(&once, open_library);
    return soundtouch.create == NULL ? NULL : soundtouch.version();
}

int bc_pitch(float *y, int64_t n, int sample_rate, double semitones, bc_error *e) {
    if (n == 0) return BC_OK;
    if (bc_pitch_library() == NULL)
        return bc_fail(e, "pitch: SoundTouch is missing (install libsoundtouch1)");
    void *h = soundtouch.create();
    if (h == NULL) return BC_NOMEM;
    soundtouch.set_channels(h, 1);
    soundtouch.set_rate(h, (unsigned)sample_rate);
    soundtouch.set_pitch(h, (float)semitones);
    soundtouch.put(h, y, (unsigned)n);
    soundtouch.flush(h);
    int64_t got = 0;
    for (unsigned k = 1; got < n && k > 0; got += k)
        k = soundtouch.receive(h, y + got, (unsigned)(n - got));
    memset(y + got, 0, (size_t)(n - got) * sizeof *y);
    soundtouch.destroy(h);
    return BC_OK;
}
