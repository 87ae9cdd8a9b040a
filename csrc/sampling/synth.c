/* synth.c: tones and filtered noises. */
#include "synth.h"

#include <math.h>

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
    double s = sin(phase), c = 2 * cos(phase), before = 0, now = s, sum = s, w = 1;
    for (int h = 2; h <= count; h++) {
        double next = c * now - before;
        before = now;
        now = next;
        w *= weight;
        sum += w * now;
    }
    return sum;
}

void bc_synth_syllable(float *y, int64_t n, double sample_rate, const bc_syllable *s) {
    double octaves = log2(s->end_hz / s->start_hz), phase = 0;
    double first = ceil(s->start_s * sample_rate), count = floor(s->seconds * sample_rate);
    for (int64_t k = 0; k < (int64_t)count; k++) {
        double t = (double)k / sample_rate;
        double glide = octaves * pow(t / s->seconds, s->bend);
        double sway = s->vibrato_semitones / 12 * sin(two_pi * s->vibrato_hz * t);
        double hz = s->start_hz * exp2(glide + sway);
        phase += two_pi * hz / sample_rate;
        double at = first + (double)k;
        if (at < 0 || at >= (double)n) continue;
        int heard = (int)(0.45 * sample_rate / hz); /* no harmonic may fold back */
        double pulse = 1 - s->pulse_depth * (0.5 - 0.5 * cos(two_pi * s->pulse_hz * t));
        y[(int64_t)at] += (float)(s->level * envelope(t, s->seconds, s->fade_s) * pulse *
                                  (heard < 1 ? 0
                                             : stack(phase, heard < s->harmonics ? heard : s->harmonics,
                                                     s->rolloff)));
    }
}

/* A slow random curve in 0..1: cosine steps between a new value every `every`
 * samples. */
typedef struct curve {
    double from, to, at, every;
} curve;

static double curve_next(curve *c, bc_random *r) {
    if (c->at >= c->every) {
        c->from = c->to;
        c->to = bc_random_uniform(r);
        c->at -= c->every;
    }
    double u = 0.5 - 0.5 * cos(two_pi / 2 * c->at / c->every);
    c->at += 1;
    return c->from + (c->to - c->from) * u;
}

void bc_synth_wind(float *y, int64_t n, double sample_rate, double level, bc_random *r) {
    double pole = exp(-two_pi * 120 / sample_rate), gain = 1 - pole, a = 0, b = 0;
    /* root mean square of white noise through both poles */
    double p2 = pole * pole, power = gain * gain * gain * gain * (1 + p2) /
                                     ((1 - p2) * (1 - p2) * (1 - p2));
    curve gust = {bc_random_uniform(r), bc_random_uniform(r), 0, 1.7 * sample_rate};
    for (int64_t i = 0; i < n; i++) {
        a += gain * (bc_random_normal(r) - a);
        b += gain * (a - b);
        double strength = 0.15 + 0.85 * curve_next(&gust, r);
        y[i] += (float)(level * strength * b / sqrt(power));
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
    /* two-pole resonator 300 Hz wide; its power gain for white noise */
    double rho = exp(-two_pi * 150 / sample_rate), theta = two_pi * hz / sample_rate;
    double c1 = 2 * rho * cos(theta), c2 = -rho * rho, y1 = 0, y2 = 0;
    double power = (1 - c2) / ((1 + c2) * ((1 - c2) * (1 - c2) - c1 * c1));
    double phase = two_pi * bc_random_uniform(r);
    for (int64_t i = 0; i < n; i++) {
        double x = bc_random_normal(r) + c1 * y1 + c2 * y2;
        y2 = y1;
        y1 = x;
        double chirp = 0.5 + 0.5 * sin(phase + two_pi * chirp_hz * (double)i / sample_rate);
        /* root mean square of the chirp is sqrt(3/8) */
        y[i] += (float)(level * x / sqrt(power) * chirp / 0.61237243569579447);
    }
}
