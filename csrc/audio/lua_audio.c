/* lua_audio.c: the module bclua.audio. */
/***
Sound files in and out.

Samples are f32 arrays as the decoder gives them: no gain, no clipping. A
file that cannot be read gives `nil, message`; the message begins with the path.
@module bclua.audio
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/file.h"
#include "../support/lua_support.h"
#include "ffmpeg.h"
#include "lua_audio.h"

#define READER "bclua.audio.reader"

/* Samples that are read straight into an array. Longer ones, and those of
 * unknown length, grow as the file gives them: a header may lie. */
enum { DIRECT = 1 << 24 };

static const char *const format_names[] = {"wav", "flac", "ogg", NULL};

int bc_audio_check_rate(lua_State *L, int arg) {
    lua_Integer rate = luaL_checkinteger(L, arg);
    if (rate < 1 || rate > BC_AUDIO_MAX_RATE)
        bc_arg_error(L, arg, "sample rate must be 1 to %d Hz, got %I", BC_AUDIO_MAX_RATE, rate);
    return (int)rate;
}

static double time_option(lua_State *L, int arg, const char *name, double fallback) {
    double t = bc_opt_number(L, arg, name, fallback);
    if (!(t >= 0) || (t > 1e9 && t != fallback))
        bc_arg_error(L, arg, "option '%s' must be 0 s or more, got %f", name, t);
    return t;
}

/* "mix" (all channels), "left", "right", or a number from 1. */
static int channel_option(lua_State *L, int arg) {
    static const char *const words[] = {"mix", "left", "right", NULL};
    int type = bc_push_option(L, arg, "channel");
    lua_pop(L, 1);
    if (type == LUA_TSTRING) return bc_opt_choice(L, arg, "channel", 0, words);
    return type == LUA_TNIL ? 0 : (int)bc_opt_integer_in(L, arg, "channel", 1, 1, 1024);
}

static void read_options(lua_State *L, int arg, bc_audio_options *o) {
    lua_Integer rate = bc_opt_integer(L, arg, "sample_rate", 0);
    if (rate < 0 || rate > BC_AUDIO_MAX_RATE || (rate == 0 && bc_has_option(L, arg, "sample_rate")))
        bc_arg_error(L, arg, "option 'sample_rate' must be 1 to %d Hz, got %I", BC_AUDIO_MAX_RATE,
                     rate);
    o->sample_rate = (int)rate;
    o->channel = channel_option(L, arg);
    o->mono = bc_opt_boolean(L, arg, "mono", true);
    if (!o->mono && o->channel > 0)
        bc_arg_error(L, arg, "option 'channel' gives one row: 'mono = false' is for all");
    o->strict = bc_opt_boolean(L, arg, "strict", false);
}

/* Buffers that a kernel fills before Lua has an array for them belong to the
 * reader, so that no error of Lua's can leak them. */
typedef struct {
    bc_audio *audio; /* NULL: closed */
    bc_pieces *pieces;
    bc_tags *tags;
} reader;

static reader *push_reader(lua_State *L) {
    reader *r = lua_newuserdatauv(L, sizeof *r, 0);
    memset(r, 0, sizeof *r); /* born closed: collectable from here */
    luaL_setmetatable(L, READER);
    return r;
}

static void close_reader(reader *r) {
    bc_audio_close(r->audio);
    bc_pieces_free(r->pieces);
    if (r->tags != NULL) bc_tags_free(r->tags);
    free(r->tags);
    memset(r, 0, sizeof *r);
}

/* Push the next n samples (< 0: all) as an array. */
static int push_samples(lua_State *L, reader *r, int64_t n, int64_t *got, bc_error *e) {
    int rc, rows = bc_audio_rows(r->audio);
    bc_array *y;
    if (n >= 0 && n * rows <= DIRECT) {
        y = bc_push_matrix(L, BC_F32, rows, n);
        rc = bc_audio_read(r->audio, y->data, n, n, got, e);
        if (rc != BC_OK) return rc;
    } else {
        rc = bc_pieces_read(&r->pieces, got, r->audio, n, e);
        if (rc != BC_OK) return rc;
        y = bc_push_matrix(L, BC_F32, rows, *got);
        bc_pieces_join(y->data, *got, r->pieces);
        bc_pieces_free(r->pieces);
        r->pieces = NULL;
    }
    if (*got < n) bc_array_slice(bc_push_empty(L), y, 1, 0, *got);
    if (bc_audio_is_mono(r->audio)) {
        y = bc_check_array(L, -1);
        bc_array_select(bc_push_empty(L), y, 0, 0);
    }
    return BC_OK;
}

/* seconds as a whole number of samples, at most limit (< 0: none). */
static int64_t samples_of(double seconds, int rate, int64_t limit) {
    double n = floor(seconds * rate + 0.5);
    if (limit >= 0 && n >= (double)limit) return limit;
    return n >= 0x1p62 ? -1 : (int64_t)n;
}

static int read_range(lua_State *L, reader *r, double start_s, double seconds, bc_error *e) {
    int rate = bc_audio_rate(r->audio);
    int64_t length = bc_audio_length(r->audio), got;
    int64_t first = samples_of(start_s, rate, length);
    int64_t n = samples_of(seconds, rate, length < 0 ? -1 : length - first);
    int rc = first > 0 ? bc_audio_seek(r->audio, first, e) : BC_OK;
    return rc == BC_OK ? push_samples(L, r, n, &got, e) : rc;
}

/***
Decode a file, or a part of it.
All that can be decoded is used, whatever the header says of the length; of a file that is
truncated (an Ogg stream without its last page, a WAV without all of its data) or damaged
what is in front of that. What there is to say about it is the third result. A sample that
is NaN or infinite is 0. A part past the end is cut, to no sample if need be.
@function load
@string path
@tparam[opt] table options `sample_rate` in Hz (default: the file's; another is
  converted to by soxr HQ, and gives ceil(n * to / from) samples; less than 65536
  times as much or as little), `start_s`
  (0), `seconds` (all), `mono` (true: arithmetic mean of the channels), `channel` ("mix":
  `mono` decides; "left", "right", or a number from 1: only this one, an error where the file
  has fewer), `strict` (false: true refuses what is truncated, damaged, longer or shorter than its
  header says, or has samples that are NaN or infinite)
@treturn bclua.array f32 (samples), or (channels, samples) if not mono
@treturn integer sample rate
@treturn ?string a warning: "its header says 1.000 s, 2.000 s are there", "truncated after
  1.500 s", "damaged after 1.500 s" ...
@return[2] nil
@treturn[2] string message
*/
static int l_load(lua_State *L) {
    static const char *const names[] = {"sample_rate", "start_s", "seconds", "mono",
                                        "channel",     "strict",  NULL};
    const char *path = luaL_checkstring(L, 1);
    bc_check_options(L, 2, names);
    bc_audio_options o;
    read_options(L, 2, &o);
    double start_s = time_option(L, 2, "start_s", 0);
    double seconds = time_option(L, 2, "seconds", INFINITY);

    bc_error e = {""};
    reader *r = push_reader(L);
    int rc = bc_audio_open(&r->audio, path, &o, &e);
    if (rc == BC_OK) rc = read_range(L, r, start_s, seconds, &e);
    if (rc != BC_OK) {
        close_reader(r); /* now: a program that hangs is not left to the collector */
        return bc_failure(L, rc, &e);
    }
    lua_pushinteger(L, bc_audio_rate(r->audio));
    lua_pushstring(L, bc_audio_warning(r->audio)); /* nil for NULL */
    close_reader(r);
    return 3;
}

static void push_info(lua_State *L, const bc_audio_info *info) {
    lua_createtable(L, 0, 7);
    if (info->frames >= 0) {
        lua_pushinteger(L, info->frames);
        lua_setfield(L, -2, "frames");
    }
    if (info->ends_s >= 0) {
        lua_pushnumber(L, info->ends_s);
        lua_setfield(L, -2, "seconds");
    }
    lua_pushinteger(L, info->channels);
    lua_setfield(L, -2, "channels");
    lua_pushinteger(L, info->sample_rate);
    lua_setfield(L, -2, "sample_rate");
    lua_pushstring(L, info->format);
    lua_setfield(L, -2, "format");
    lua_pushstring(L, info->subtype);
    lua_setfield(L, -2, "subtype");
    lua_pushboolean(L, info->complete);
    lua_setfield(L, -2, "complete");
    if (info->claimed_s < 0) return;
    lua_pushnumber(L, info->claimed_s);
    lua_setfield(L, -2, "claimed_s");
}

static void push_tags(lua_State *L, const bc_tags *tags) {
    lua_createtable(L, 0, (int)tags->count);
    for (size_t i = 0; i < tags->count; i++) {
        lua_pushlstring(L, tags->list[i].text, tags->list[i].bytes);
        lua_setfield(L, -2, tags->list[i].name);
    }
}

/***
What a file holds, without decoding.
@function info
@string path
@treturn table `frames` and `seconds` (nil where only decoding can tell; a
  truncated Ogg has no `frames`), `channels`, `sample_rate`, `format` ("ogg",
  "wav" ...), `subtype` ("vorbis", "pcm16" ...), `complete` (false: truncated), `claimed_s`
  (the length by the header, in seconds, where that is wrong), `tags`: what it says of itself, as
  texts by name, in the file's own encoding: `comment`, `artist`, `date`, `title`, `software` ...; of Vorbis
  comments all, of ID3 `year`, `day_month`, `time`, too; of WAV also `bext_description`, `bext_originator`,
  `bext_originator_reference`, `bext_date`, `bext_time`, and `guano`, `wamd`: these chunks as they are. 64 of at most
  65536 bytes
@return[2] nil
@treturn[2] string message
*/
static int l_info(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    bc_audio_options o = {0};
    bc_error e = {""};
    reader *r = push_reader(L);
    int rc = bc_audio_open(&r->audio, path, &o, &e);
    if (rc == BC_OK) {
        r->tags = calloc(1, sizeof *r->tags);
        rc = r->tags == NULL ? BC_NOMEM : bc_audio_tags(r->audio, r->tags);
    }
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    push_info(L, bc_audio_info_of(r->audio));
    push_tags(L, r->tags);
    lua_setfield(L, -2, "tags");
    close_reader(r);
    return 1;
}

/***
Who reads a file, by its first bytes alone.
@function kind
@string path
@treturn[1] string `own`: the libraries that bclua is built with, and ffmpeg what they cannot; `ffmpeg`: only ffmpeg
(see `ffmpeg`)
@treturn[1] string the format: "wav", "mp4", "asf", "matroska" ...
@treturn[2] nil it is no regular file, cannot be read, or looks like no sound
*/
static int l_kind(lua_State *L) {
    bc_kind kind = bc_kind_of_path(luaL_checkstring(L, 1));
    lua_pushstring(L, kind.reader == BC_OWN ? "own" : kind.reader == BC_BY_FFMPEG ? "ffmpeg" : NULL);
    lua_pushstring(L, kind.name);
    return kind.reader == BC_NO_READER ? 1 : 2;
}

/***
Is there a program `ffmpeg` in `PATH`? Sound that only it can decode (AAC in `.m4a` and `.3gp`, WMA, WavPack ...) is
read through a pipe from it.
@function ffmpeg
@treturn boolean
*/
static int l_ffmpeg(lua_State *L) {
    lua_pushboolean(L, bc_ffmpeg_is_there());
    return 1;
}

/* The samples at arg: (samples) or (channels, samples), all finite. */
static const bc_array *check_samples(lua_State *L, int arg, int *channels, int64_t *n) {
    const bc_array *y = bc_check_as(L, arg, BC_F32, 0);
    if (y->ndim > 2)
        bc_arg_error(L, arg, "expected (samples) or (channels, samples), got %d axes", y->ndim);
    *channels = y->ndim == 2 ? (int)(y->shape[0] < 9999 ? y->shape[0] : 9999) : 1;
    *n = y->shape[y->ndim - 1];
    return y;
}

void bc_audio_check_finite(lua_State *L, int arg, const bc_array *y) {
    int64_t bad = bc_audio_first_bad(y->data, bc_array_count(y));
    if (bad >= 0)
        bc_arg_error(L, arg, "sample %I is not finite", (lua_Integer)(bad % y->shape[y->ndim - 1]));
}

void bc_audio_check_encoding(lua_State *L, int arg, int format, bc_audio_encoding *how) {
    static const char *const subtypes[] = {"pcm16", "pcm24", "float", NULL};
    how->format = (enum bc_audio_format)bc_opt_choice(L, arg, "format", format, format_names);
    how->subtype = (enum bc_audio_subtype)bc_opt_choice(L, arg, "subtype", BC_AUDIO_PCM16, subtypes);
    how->quality = bc_opt_number(L, arg, "quality", -1);
    const char *name = format_names[how->format];
    if (how->format == BC_OGG && bc_has_option(L, arg, "subtype"))
        bc_arg_error(L, arg, "option 'subtype' is not for ogg");
    if (how->format == BC_FLAC && how->subtype == BC_AUDIO_FLOAT)
        bc_arg_error(L, arg, "option 'subtype' must be pcm16 or pcm24 for %s, got 'float'", name);
    if (!bc_has_option(L, arg, "quality")) return;
    if (how->format == BC_WAV) bc_arg_error(L, arg, "option 'quality' is not for wav");
    if (!(how->quality >= 0 && how->quality <= 1))
        bc_arg_error(L, arg, "option 'quality' must be 0 to 1, got %f", how->quality);
}

static const char *const encoding_names[] = {"format", "subtype", "quality", NULL};

/* wav, flac or ogg by the extension of path, -1 for another. */
static int format_of(const char *path) {
    const char *dot = strrchr(path, '.');
    for (int i = 0; dot != NULL && format_names[i] != NULL; i++)
        if (strcasecmp(dot + 1, format_names[i]) == 0) return i;
    return -1;
}

int bc_audio_check_path(lua_State *L, int arg, int options) {
    int format = format_of(luaL_checkstring(L, arg));
    if (format < 0 && !bc_has_option(L, options, "format"))
        bc_arg_error(L, arg, "expected a path that ends in .wav, .flac or .ogg, or option 'format'");
    return format;
}

/***
Write a sound file, whole or not at all.
The same samples give the same bytes. Samples that are NaN or infinite raise.
@function save
@string path
@tparam bclua.array y (samples) or (channels, samples)
@tparam integer sample_rate
@tparam[opt] table options `format` ("wav", "flac" or "ogg"; default: by the
  path's extension), `subtype` ("pcm16", "pcm24", or "float" in wav; default
  pcm16; integers saturate at full scale), `quality` (0 to 1: of Vorbis, or
  the effort of FLAC)
@treturn boolean true
@return[2] nil
@treturn[2] string message
*/
static int l_save(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    int channels, rate = bc_audio_check_rate(L, 3);
    int64_t n;
    const bc_array *y = check_samples(L, 2, &channels, &n);
    bc_audio_check_finite(L, 2, y);
    bc_check_options(L, 4, encoding_names);
    bc_audio_encoding how;
    bc_audio_check_encoding(L, 4, bc_audio_check_path(L, 1, 4), &how);

    unsigned char *bytes;
    size_t size;
    bc_error e = {""};
    int rc = bc_audio_encode(&bytes, &size, y->data, channels, n, rate, &how, path, &e);
    if (rc == BC_OK) {
        rc = bc_file_write(path, bytes, size, &e);
        free(bytes);
    }
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    lua_pushboolean(L, 1);
    return 1;
}

/***
Encode a sound file into a string, to embed it.
@function encode
@tparam bclua.array y (samples) or (channels, samples)
@tparam integer sample_rate
@tparam[opt] table options as for `save`; `format` defaults to "ogg"
@treturn string the file's bytes
@return[2] nil
@treturn[2] string message
*/
static int l_encode(lua_State *L) {
    int channels, rate = bc_audio_check_rate(L, 2);
    int64_t n;
    const bc_array *y = check_samples(L, 1, &channels, &n);
    bc_audio_check_finite(L, 1, y);
    bc_check_options(L, 3, encoding_names);
    bc_audio_encoding how;
    bc_audio_check_encoding(L, 3, BC_OGG, &how);

    unsigned char *bytes;
    size_t size;
    bc_error e = {""};
    int rc = bc_audio_encode(&bytes, &size, y->data, channels, n, rate, &how,
                             format_names[how.format], &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    bc_push_bytes(L, bytes, size);
    return 1;
}

/***
Convert to another sample rate: soxr HQ, no gain.
A constant stays one but for its ends, beyond which there is silence. No
sample gives none, equal rates a copy.
@function resample
@tparam bclua.array y f32 (samples) or (channels, samples)
@tparam integer from sample rate of y
@tparam integer to sample rate wanted
@treturn bclua.array the same with ceil(n * to / from) samples
@raise if these are more than 2^40, or one rate is 65536 times the other or more
*/
static int l_resample(lua_State *L) {
    int channels, from = bc_audio_check_rate(L, 2), to = bc_audio_check_rate(L, 3);
    int64_t n;
    const bc_array *y = check_samples(L, 1, &channels, &n);
    int64_t m = bc_resample_length(n, from, to), shape[2] = {y->shape[0], m};
    if (m > (int64_t)1 << 40)
        bc_arg_error(L, 3, "%I samples at %d Hz would become %I at %d Hz: too many", (lua_Integer)n,
                     from, (lua_Integer)m, to);
    if (!bc_resample_can(from, to))
        bc_arg_error(L, 3, "%d Hz is 65536 times %d Hz or more", from > to ? from : to,
                     from > to ? to : from);
    bc_array *out = bc_push_array(L, BC_F32, y->ndim, y->ndim == 2 ? shape : &m);
    bc_error e = {""};
    for (int64_t c = 0; c < (y->ndim == 2 ? y->shape[0] : 1); c++) {
        int rc = bc_resample((float *)out->data + c * m, (const float *)y->data + c * n, n, from,
                             to, &e);
        if (rc != BC_OK) return bc_failure(L, rc, &e);
    }
    return 1;
}

/***
Open a file for reading in blocks, in little memory.
@function open
@string path
@tparam[opt] table options `sample_rate`, `mono`, `channel`, `strict` as for `load`
@treturn reader
@return[2] nil
@treturn[2] string message
*/
static int l_open(lua_State *L) {
    static const char *const names[] = {"sample_rate", "mono", "channel", "strict", NULL};
    const char *path = luaL_checkstring(L, 1);
    bc_check_options(L, 2, names);
    bc_audio_options o;
    read_options(L, 2, &o);
    bc_error e = {""};
    reader *r = push_reader(L);
    int rc = bc_audio_open(&r->audio, path, &o, &e);
    return rc == BC_OK ? 1 : bc_failure(L, rc, &e);
}

/* A file open for reading, from `open`. `local r <close> = audio.open(path)`
 * closes it at the end of the block. */

static reader *check_open(lua_State *L) {
    reader *r = luaL_checkudata(L, 1, READER);
    if (r->audio == NULL) luaL_error(L, "attempt to use a closed recording");
    return r;
}

/***
The next samples.
@function reader:read
@tparam integer n how many at most
@treturn bclua.array f32 (samples) or (channels, samples); shorter at the end
@return[2] nil at the end, and a message if the file is damaged there
*/
static int r_read(lua_State *L) {
    reader *r = check_open(L);
    lua_Integer n = luaL_checkinteger(L, 2);
    if (n < 1 || n > INT64_C(1) << 40)
        bc_arg_error(L, 2, "expected 1 sample or more, got %I", n);
    int64_t length = bc_audio_length(r->audio), left = length - bc_audio_tell(r->audio), got = 0;
    if (length >= 0 && n > left) n = left;
    if (n > 0) {
        bc_error e = {""};
        int rc = push_samples(L, r, n, &got, &e);
        if (rc != BC_OK) return bc_failure(L, rc, &e);
    }
    if (got == 0) luaL_pushfail(L);
    return 1;
}

/***
Continue at a time.
@function reader:seek_s
@tparam number seconds from the start; past the end is the end
@treturn number the time of the next sample
@return[2] nil
@treturn[2] string message
*/
static int r_seek_s(lua_State *L) {
    bc_audio *a = check_open(L)->audio;
    double seconds = luaL_checknumber(L, 2);
    if (!(seconds >= 0 && seconds <= 1e9))
        bc_arg_error(L, 2, "expected 0 s or more, got %f", seconds);
    bc_error e = {""};
    int rc = bc_audio_seek(a, samples_of(seconds, bc_audio_rate(a), bc_audio_length(a)), &e);
    if (rc != BC_OK) return bc_failure(L, rc, &e);
    lua_pushnumber(L, (double)bc_audio_tell(a) / bc_audio_rate(a));
    return 1;
}

/***
Number of samples before the next one.
@function reader:tell
@treturn integer
*/
static int r_tell(lua_State *L) {
    lua_pushinteger(L, bc_audio_tell(check_open(L)->audio));
    return 1;
}

/***
What the header says, as `info`, and what `read` gives.
@function reader:info
@treturn table as from `info`, and `read_rate` (Hz), `read_rows` (channels),
  `read_length` (samples, nil if unknown)
*/
static int r_info(lua_State *L) {
    bc_audio *a = check_open(L)->audio;
    push_info(L, bc_audio_info_of(a));
    lua_pushinteger(L, bc_audio_rate(a));
    lua_setfield(L, -2, "read_rate");
    lua_pushinteger(L, bc_audio_rows(a));
    lua_setfield(L, -2, "read_rows");
    if (bc_audio_length(a) >= 0) {
        lua_pushinteger(L, bc_audio_length(a));
        lua_setfield(L, -2, "read_length");
    }
    return 1;
}

/***
What there is to say about the file so far: the third result of `load`, or nil.
@function reader:warning
@treturn ?string */
static int r_warning(lua_State *L) {
    lua_pushstring(L, bc_audio_warning(check_open(L)->audio));
    return 1;
}

/***
Close the file; a second time does nothing.
@function reader:close
*/
static int r_close(lua_State *L) {
    close_reader(luaL_checkudata(L, 1, READER));
    return 0;
}

static int r_tostring(lua_State *L) {
    reader *r = luaL_checkudata(L, 1, READER);
    if (r->audio == NULL) {
        lua_pushliteral(L, "bclua.audio.reader (closed)");
    } else {
        const bc_audio_info *info = bc_audio_info_of(r->audio);
        lua_pushfstring(L, "bclua.audio.reader (%s, %d channels, %d Hz)", info->format,
                        info->channels, info->sample_rate);
    }
    return 1;
}

/***
The libraries underneath.
@function version
@treturn string as in "libsndfile-1.2.0, libsoxr-0.1.3"
*/
static int l_version(lua_State *L) {
    lua_pushfstring(L, "%s, %s", bc_audio_libraries(), bc_resampler_library());
    return 1;
}

/***
Play samples through whatever player the system has, and wait for the end;
Ctrl-C stops it. See `bclua.play`.
@function play
@tparam bclua.array y (samples) or (channels, samples), all finite; beyond
  -1..1 they are cut off
@tparam integer sample_rate Hz
@treturn boolean true
@return[2] nil
@treturn[2] string message: there is no player, or what the player said
*/
static int l_play(lua_State *L) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "bclua.play");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "play");
    lua_replace(L, -2);
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

BC_EXPORT int luaopen_bclua_audio(lua_State *L);
BC_EXPORT int luaopen_bclua_audio(lua_State *L) {
    static const luaL_Reg functions[] = {{"load", l_load},         {"info", l_info}, {"version", l_version},
                                         {"kind", l_kind},         {"ffmpeg", l_ffmpeg},
                                         {"save", l_save},         {"encode", l_encode},
                                         {"resample", l_resample}, {"open", l_open},
                                         {"create", bc_audio_create}, {"play", l_play},
                                         {NULL, NULL}};
    static const luaL_Reg methods[] = {{"read", r_read}, {"seek_s", r_seek_s}, {"tell", r_tell},
                                       {"info", r_info}, {"warning", r_warning},
                                       {"close", r_close}, {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__gc", r_close}, {"__close", r_close}, {"__tostring", r_tostring}, {NULL, NULL}};
    luaL_newmetatable(L, READER);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    bc_audio_push_writer(L);
    luaL_newlib(L, functions);
    return 1;
}
