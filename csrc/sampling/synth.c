/* synth.c: tones and filtered noises. */
#include "synth.h"

#include <math.h>

#include "../support/error.h"
#include "../support/interrupt.h"

static const double two_pi = 6.283185307179586476925;

/* Raised cosine over the first and last fade seconds of 0..length. */
static double envelope(double t, double length, double fade) {
    if (2 * fade > length) fade = length / 2;
    double edge = t < length - t ? t : length - t;
    if (edge >= fade) return 1;
    return edge <= 0 ? 0 : 0.5 - 0.5 * cos(two_pi / 2 * edge / fade);
}

/* Sum of weight^(h-1) sin(h phase), h = 1..count, by the angle-sum recurrence. */
static double stack(double phase, int count, double weight) {
    double s = sin(phase), c = count > 1 ? 2 * cos(phase) : 0, before = 0, now = s, sum = s, w = 1;
    for (int h = 2; h <= count; h++) {
        double next = c * now - before;
        before = now;
        now = next;
        w *= weight;
        sum += w * now;
    }
    return sum;
}

/* Pitch at t, in Hz. */
static double pitch(const bc_syllable *s, double octaves, double t) {
    double glide = octaves * pow(t / s->seconds, s->bend);
    if (s->vibrato_semitones > 0)
        glide += s->vibrato_semitones / 12 * sin(two_pi * s->vibrato_hz * t);
    return s->start_hz * exp2(glide);
}

int bc_synth_syllable(float *y, int64_t n, double sample_rate, const bc_syllable *s) {
    enum { HOLD = 16 }; /* samples for which a pitch is kept: half a millisecond */
    double octaves = log2(s->end_hz / s->start_hz), phase = 0, step = 0;
    double first = ceil(s->start_s * sample_rate), count = floor(s->seconds * sample_rate);
    int harmonics = 0;
    for (int64_t k = 0; k < (int64_t)count; k++) {
        double t = (double)k / sample_rate, at = first + (double)k;
        if (at >= (double)n) break;
        if (k % (1 << 16) == 0 && bc_interrupted()) return BC_STOPPED;
        if (k % HOLD == 0) {
            double hz = pitch(s, octaves, t);
            step = two_pi * hz / sample_rate;
            harmonics = (int)(0.45 * sample_rate / hz); /* none may fold back */
            if (harmonics > s->harmonics) harmonics = s->harmonics;
        }
        phase += step;
        if (at < 0 || harmonics < 1) continue;
        double strength = s->level * envelope(t, s->seconds, s->fade_s);
        if (s->pulse_depth > 0)
            strength *= 1 - s->pulse_depth * (0.5 - 0.5 * cos(two_pi * s->pulse_hz * t));
        y[(int64_t)at] += (float)(strength * stack(phase, harmonics, s->rolloff));
    }
    return BC_OK;
}

/* A slow random curve in 0..1: smooth steps to a new value every `every` samples. */
typedef struct curve {
    double from, to, at, every;
} curve;

static curve curve_new(double every, bc_random *r) {
    double from = bc_random_uniform(r), to = bc_random_uniform(r);
    return (curve){from, to, 0, every};
}

static double curve_next(curve *c, double samples, bc_random *r) {
    if (c->at >= c->every) {
        c->from = c->to;
        c->to = bc_random_uniform(r);
        c->at -= c->every;
    }
    double u = c->at / c->every;
    c->at += samples;
    return c->from + (c->to - c->from) * u * u * (3 - 2 * u);
}

/* Two-pole resonator x = drive*e + c1 x' + c2 x'' of white noise e; x has unit
 * variance. */
typedef struct resonator {
    double c1, c2, drive, x1, x2;
} resonator;

static void resonator_tune(resonator *q, double hz, double width_hz, double sample_rate) {
    double rho = exp(-two_pi / 2 * width_hz / sample_rate);
    q->c1 = 2 * rho * cos(two_pi * hz / sample_rate);
    q->c2 = -rho * rho;
    q->drive = sqrt((1 + q->c2) * ((1 - q->c2) * (1 - q->c2) - q->c1 * q->c1) / (1 - q->c2));
}

static double resonator_next(resonator *q, bc_random *r) {
    double x = q->drive * bc_random_normal(r) + q->c1 * q->x1 + q->c2 * q->x2;
    q->x2 = q->x1;
    return q->x1 = x;
}

void bc_synth_wind(float *y, int64_t n, double sample_rate, double level, bc_random *r) {
    enum { HOLD = 64 };
    curve gust = curve_new(1.7 * sample_rate, r), pitch = curve_new(3.1 * sample_rate, r);
    resonator q = {0};
    double strength = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i % HOLD == 0) {
            double hz = 70 * exp2(1.3 * curve_next(&pitch, HOLD, r));
            resonator_tune(&q, hz, 0.05 * hz, sample_rate);
            strength = level * (0.15 + 0.85 * curve_next(&gust, HOLD, r));
        }
        y[i] += (float)(strength * resonator_next(&q, r));
    }
}

void bc_synth_rain(float *y, int64_t n, double sample_rate, double level, double rate,
                   bc_random *r) {
    double mean = sample_rate / rate;
    for (double at = 0;;) {
        at -= mean * log(1 - bc_random_uniform(r));
        if (!(at < (double)n)) return;
        double hz = 1000 * exp2(2.585 * bc_random_uniform(r)); /* up to 6 kHz */
        double strength = bc_random_uniform(r), decay = 0.001 + 0.003 * bc_random_uniform(r);
        int64_t length = (int64_t)(6 * decay * sample_rate);
        for (int64_t k = 0; k < length && (int64_t)at + k < n; k++) {
            double t = (double)k / sample_rate;
            y[(int64_t)at + k] +=
                (float)(level * strength * strength * exp(-t / decay) * sin(two_pi * hz * t));
        }
    }
}

void bc_synth_insects(float *y, int64_t n, double sample_rate, double level, double hz,
                      double chirp_hz, bc_random *r) {
    resonator q = {0};
    resonator_tune(&q, hz, 300, sample_rate);
    double phase = two_pi * bc_random_uniform(r);
    for (int64_t i = 0; i < n; i++) {
        double chirp = 0.5 + 0.5 * sin(phase + two_pi * chirp_hz * (double)i / sample_rate);
        /* root mean square of the chirp is sqrt(3/8) */
        y[i] += (float)(level * resonator_next(&q, r) * chirp / 0.61237243569579447);
    }
}
