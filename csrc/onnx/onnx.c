/* onnx.c: onnxruntime's C API. Neither Debian 12 nor npm's package has its header: this is what we
 * use of version 1 of it (onnxruntime_c_api.h). It is a table of functions that has only ever grown
 * at its end, so that every library since 1.0 has these at these places. */
#include "onnx.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/beside.h"
#include "../support/interrupt.h"

/* All objects of the library, which we only hand back to it. */
typedef void object;

enum { API_VERSION = 1, LOG_FATAL = 4, DEVICE_ALLOCATOR = 0, DEFAULT_MEMORY = 0, FLOAT = 1 };

/* name, place in the table, what it returns (a status: NULL is success), arguments */
#define FUNCTIONS(F)                                                                         \
    F(GetErrorMessage, 2, const char *, (const object *))                                    \
    F(CreateEnv, 3, object *, (int, const char *, object **))                                \
    F(CreateSession, 7, object *, (const object *, const char *, const object *, object **)) \
    F(Run, 9, object *,                                                                      \
      (object *, const object *, const char *const *, const object *const *, size_t,         \
       const char *const *, size_t, object **))                                              \
    F(CreateSessionOptions, 10, object *, (object **))                                       \
    F(SetIntraOpNumThreads, 24, object *, (object *, int))                                   \
    F(SessionGetInputCount, 30, object *, (const object *, size_t *))                        \
    F(SessionGetOutputCount, 31, object *, (const object *, size_t *))                       \
    F(SessionGetInputTypeInfo, 33, object *, (const object *, size_t, object **))            \
    F(SessionGetOutputTypeInfo, 34, object *, (const object *, size_t, object **))           \
    F(SessionGetInputName, 36, object *, (const object *, size_t, object *, char **))        \
    F(SessionGetOutputName, 37, object *, (const object *, size_t, object *, char **))       \
    F(CreateTensorWithDataAsOrtValue, 49, object *,                                          \
      (const object *, void *, size_t, const int64_t *, size_t, int, object **))             \
    F(IsTensor, 50, object *, (const object *, int *))                                       \
    F(GetTensorMutableData, 51, object *, (object *, void **))                               \
    F(CastTypeInfoToTensorInfo, 55, object *, (const object *, const object **))             \
    F(GetTensorElementType, 60, object *, (const object *, int *))                           \
    F(GetDimensionsCount, 61, object *, (const object *, size_t *))                          \
    F(GetDimensions, 62, object *, (const object *, int64_t *, size_t))                      \
    F(GetTensorTypeAndShape, 65, object *, (const object *, object **))                      \
    F(CreateCpuMemoryInfo, 69, object *, (int, int, object **))                              \
    F(AllocatorFree, 76, object *, (object *, void *))                                       \
    F(GetAllocatorWithDefaultOptions, 78, object *, (object **))                             \
    F(ReleaseStatus, 93, void, (object *))                                                   \
    F(ReleaseSession, 95, void, (object *))                                                  \
    F(ReleaseValue, 96, void, (object *))                                                    \
    F(ReleaseTypeInfo, 98, void, (object *))                                                 \
    F(ReleaseTensorTypeAndShapeInfo, 99, void, (object *))                                   \
    F(ReleaseSessionOptions, 100, void, (object *))

#define DECLARE(name, place, returns, arguments) returns(*name) arguments;
static struct { FUNCTIONS(DECLARE) } ort;

struct onnx_session {
    object *session, *value; /* value: of the last run */
    char *path;
    onnx_value *inputs, *outputs;
    size_t input_count, output_count;
};

/* ---- the library ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bc_error load_error; /* empty text: it is there */
static const char *version;
static object *environment, *memory, *allocator;

/* BC_OK, or BC_FAIL with what a status says; the status is freed. */
static int check(object *status, const char *path, bc_error *e) {
    if (status == NULL) return BC_OK;
    bc_fail(e, "%s: %s", path, ort.GetErrorMessage(status));
    ort.ReleaseStatus(status);
    return BC_FAIL;
}

static void load(void) {
    char near[4096];
    const char *path = getenv("ORT_LIB");
    bool is_given = path != NULL && path[0] != '\0';
    if (!is_given)
        path = bc_beside(near, sizeof near, "libonnxruntime.so.1") ? near : "libonnxruntime.so.1";
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *why = dlerror();
        bc_fail(&load_error,
                "onnxruntime, which computes ONNX networks, cannot be loaded (%s): "
                "`make onnxruntime` fetches it, or say where it is with "
                "ORT_LIB=/path/libonnxruntime.so",
                why);
        return;
    }
    typedef struct {
        void *const *(*table)(uint32_t);
        const char *(*version)(void);
    } base;
    const base *(*get)(void);
    void *symbol = dlsym(library, "OrtGetApiBase");
    memcpy(&get, &symbol, sizeof get); /* ISO C knows no cast from data to code */
    void *const *table = symbol != NULL ? get()->table(API_VERSION) : NULL;
    if (table == NULL) {
        bc_fail(&load_error, "%s: is not onnxruntime (ORT_LIB)", path);
        return;
    }
#define FIND(name, place, returns, arguments) memcpy(&ort.name, table + place, sizeof ort.name);
    FUNCTIONS(FIND)
    if (check(ort.CreateEnv(LOG_FATAL, "bclua", &environment), path, &load_error) != BC_OK ||
        check(ort.CreateCpuMemoryInfo(DEVICE_ALLOCATOR, DEFAULT_MEMORY, &memory), path,
              &load_error) != BC_OK ||
        check(ort.GetAllocatorWithDefaultOptions(&allocator), path, &load_error) != BC_OK)
        return;
    version = get()->version();
}

const char *onnx_version(bc_error *e) {
    pthread_once(&once, load);
    if (version == NULL) bc_fail(e, "%s", load_error.text);
    return version;
}

/* ---- what a network takes and gives ---- */

static const char *type_name(int type) {
    static const char *const names[] = {"undefined", "f32",    "u8",   "i8",  "u16", "i16", "i32",
                                        "i64",       "string", "bool", "f16", "f64", "u32", "u64"};
    return type >= 0 && (size_t)type < sizeof names / sizeof *names ? names[type] : "another type";
}

static int describe(onnx_value *v, const object *tensor, const char *path, bc_error *e) {
    size_t axes;
    int type;
    int rc = check(ort.GetTensorElementType(tensor, &type), path, e);
    if (rc == BC_OK) rc = check(ort.GetDimensionsCount(tensor, &axes), path, e);
    if (rc != BC_OK) return rc;
    if (axes > ONNX_MOST_AXES)
        return bc_fail(e, "%s: '%s' has %zu axes, %d are known", path, v->name, axes,
                       ONNX_MOST_AXES);
    v->type = type_name(type);
    v->axes = (int)axes;
    return check(ort.GetDimensions(tensor, v->extent, axes), path, e);
}

/* Input or output i of a session. */
static int read_value(onnx_value *v, const onnx_session *s, size_t i, bool is_input, bc_error *e) {
    char *name = NULL;
    object *info = NULL;
    const object *tensor = NULL;
    int rc = check((is_input ? ort.SessionGetInputName : ort.SessionGetOutputName)(
                       s->session, i, allocator, &name),
                   s->path, e);
    if (rc != BC_OK) return rc;
    v->name = strdup(name);
    v->type = "no tensor";
    rc = check(ort.AllocatorFree(allocator, name), s->path, e);
    if (v->name == NULL) return BC_NOMEM;
    if (rc == BC_OK)
        rc = check((is_input ? ort.SessionGetInputTypeInfo : ort.SessionGetOutputTypeInfo)(
                       s->session, i, &info),
                   s->path, e);
    if (rc != BC_OK) return rc;
    rc = check(ort.CastTypeInfoToTensorInfo(info, &tensor), s->path, e);
    if (rc == BC_OK && tensor != NULL) rc = describe(v, tensor, s->path, e);
    ort.ReleaseTypeInfo(info);
    return rc;
}

/* count is set as soon as *list is there. */
static int read_values(onnx_value **list, size_t *count, const onnx_session *s, bool is_input,
                       bc_error *e) {
    size_t n;
    int rc =
        check((is_input ? ort.SessionGetInputCount : ort.SessionGetOutputCount)(s->session, &n),
              s->path, e);
    if (rc != BC_OK) return rc;
    *list = calloc(n + 1, sizeof **list);
    if (*list == NULL) return BC_NOMEM;
    *count = n;
    for (size_t i = 0; i < n && rc == BC_OK; i++) rc = read_value(*list + i, s, i, is_input, e);
    return rc;
}

/* ---- sessions ---- */

/* Its threads start with all signals blocked: these are the main thread's. */
static int create(onnx_session *s, int threads, bc_error *e) {
    object *options = NULL;
    sigset_t all, old;
    int rc = check(ort.CreateSessionOptions(&options), s->path, e);
    if (rc == BC_OK) rc = check(ort.SetIntraOpNumThreads(options, threads), s->path, e);
    if (rc == BC_OK) {
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        rc = check(ort.CreateSession(environment, s->path, options, &s->session), s->path, e);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (options != NULL) ort.ReleaseSessionOptions(options);
    return rc;
}

int onnx_open(onnx_session **out, const char *path, int threads, bc_error *e) {
    if (onnx_version(e) == NULL) return BC_FAIL;
    onnx_session *s = calloc(1, sizeof *s);
    if (s == NULL) return BC_NOMEM;
    s->path = strdup(path);
    int rc = s->path == NULL ? BC_NOMEM : create(s, threads, e);
    if (rc == BC_OK) rc = read_values(&s->inputs, &s->input_count, s, true, e);
    if (rc == BC_OK) rc = read_values(&s->outputs, &s->output_count, s, false, e);
    if (rc == BC_OK)
        *out = s;
    else
        onnx_close(s);
    return rc;
}

static void free_values(onnx_value *list, size_t n) {
    for (size_t i = 0; i < n; i++) free(list[i].name);
    free(list);
}

void onnx_close(onnx_session *s) {
    if (s == NULL) return;
    onnx_forget(s);
    if (s->session != NULL) ort.ReleaseSession(s->session);
    free_values(s->inputs, s->input_count);
    free_values(s->outputs, s->output_count);
    free(s->path);
    free(s);
}

size_t onnx_inputs(const onnx_session *s, const onnx_value **list) {
    *list = s->inputs;
    return s->input_count;
}

size_t onnx_outputs(const onnx_session *s, const onnx_value **list) {
    *list = s->outputs;
    return s->output_count;
}

/* ---- running ---- */

/* What the value of the last run is. */
static int read_result(onnx_session *s, const char *output, onnx_result *r, bc_error *e) {
    int is_tensor;
    int rc = check(ort.IsTensor(s->value, &is_tensor), s->path, e);
    if (rc != BC_OK) return rc;
    if (!is_tensor) return bc_fail(e, "%s: output '%s' is no tensor", s->path, output);
    object *info;
    onnx_value v = {.name = (char *)(uintptr_t)output};
    rc = check(ort.GetTensorTypeAndShape(s->value, &info), s->path, e);
    if (rc != BC_OK) return rc;
    rc = describe(&v, info, s->path, e);
    ort.ReleaseTensorTypeAndShapeInfo(info);
    if (rc != BC_OK) return rc;
    if (strcmp(v.type, "f32") != 0)
        return bc_fail(e, "%s: output '%s' is %s, f32 is needed", s->path, output, v.type);
    r->axes = v.axes;
    r->count = 1;
    for (int i = 0; i < v.axes; i++) {
        r->extent[i] = v.extent[i];
        r->count *= (size_t)v.extent[i];
    }
    void *data;
    rc = check(ort.GetTensorMutableData(s->value, &data), s->path, e);
    r->data = data;
    return rc;
}

int onnx_run(onnx_session *s, const char *input, const float *x, int axes, const int64_t *extent,
             const char *output, onnx_result *r, bc_error *e) {
    if (bc_interrupted()) return BC_STOPPED;
    onnx_forget(s);
    size_t bytes = sizeof *x;
    for (int i = 0; i < axes; i++) bytes *= (size_t)extent[i];
    object *tensor = NULL;
    /* it is an input: nothing is written to it */
    int rc = check(ort.CreateTensorWithDataAsOrtValue(memory, (void *)(uintptr_t)x, bytes, extent,
                                                      (size_t)axes, FLOAT, &tensor),
                   s->path, e);
    if (rc != BC_OK) return rc;
    const object *const inputs[] = {tensor};
    rc = check(ort.Run(s->session, NULL, &input, inputs, 1, &output, 1, &s->value), s->path, e);
    ort.ReleaseValue(tensor);
    return rc == BC_OK ? read_result(s, output, r, e) : rc;
}

void onnx_forget(onnx_session *s) {
    if (s->value != NULL) ort.ReleaseValue(s->value);
    s->value = NULL;
}
