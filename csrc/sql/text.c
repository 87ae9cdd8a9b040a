/* text.c: dates, times, intervals and UUIDs as text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "column.h"

enum { SIZE = 80 };

/* Rounds down, so that the rest is never negative. */
static int64_t split(int64_t value, int64_t unit, int64_t *rest) {
    int64_t n = value / unit;
    *rest = value % unit;
    if (*rest < 0) {
        *rest += unit;
        n--;
    }
    return n;
}

/* Year, month and day of a day number (1970-01-01 is 0) in the proleptic
 * Gregorian calendar, by eras of 400 years that begin on 1 March (H. Hinnant,
 * "chrono-compatible low-level date algorithms", civil_from_days). */
static int put_date(char *to, int64_t days) {
    int64_t day_of_era;
    int64_t era = split(days + 719468, 146097, &day_of_era);
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */
    int64_t day = day_of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    /* Years before 1 are counted back from 1 BC. */
    return snprintf(to, SIZE, "%04" PRId64 "-%02d-%02d%s", year > 0 ? year : 1 - year,
                    (int)month, (int)day, year > 0 ? "" : " (BC)");
}

/* HH:MM:SS and the fraction without its last zeros. units: of a second. */
static int put_time(char *to, int64_t value, int64_t units, int digits) {
    int64_t fraction, second, minute;
    int64_t hour = split(split(split(value, units, &fraction), 60, &second), 60, &minute);
    int n = snprintf(to, SIZE, "%02" PRId64 ":%02d:%02d", hour, (int)minute, (int)second);
    if (fraction == 0) return n;
    n += snprintf(to + n, SIZE - 24, ".%0*" PRId64, digits, fraction);
    while (to[n - 1] == '0') to[--n] = '\0';
    return n;
}

static void put_timestamp(char *to, int64_t value, int64_t units, int digits, const char *zone) {
    if (value == INT64_MAX || value == -INT64_MAX) {
        strcpy(to, value > 0 ? "infinity" : "-infinity");
        return;
    }
    int64_t rest, days = split(value, 86400 * units, &rest);
    int n = put_date(to, days);
    to[n++] = ' ';
    n += put_time(to + n, rest, units, digits);
    strcpy(to + n, zone);
}

static int put_count(char *to, int64_t n, const char *unit) {
    if (n == 0) return 0;
    return snprintf(to, SIZE / 4, "%" PRId64 " %s%s ", n, unit, n == 1 || n == -1 ? "" : "s");
}

static void put_interval(char *to, duck_interval v) {
    int n = put_count(to, v.months / 12, "year");
    n += put_count(to + n, v.months % 12, "month");
    n += put_count(to + n, v.days, "day");
    if (v.micros == 0 && n > 0) {
        to[n - 1] = '\0';
        return;
    }
    if (v.micros < 0) to[n++] = '-';
    put_time(to + n, v.micros < 0 ? -v.micros : v.micros, 1000000, 6);
}

static void put_uuid(char *to, duck_hugeint h) {
    /* The first bit is turned over, so that UUIDs sort as integers. */
    uint64_t upper = (uint64_t)h.upper ^ UINT64_C(1) << 63;
    snprintf(to, SIZE, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
             upper >> 32, upper >> 16 & 0xffff, upper & 0xffff, h.lower >> 48,
             h.lower & UINT64_C(0xffffffffffff));
}

/* The upper 40 bits are the time, the lower 24 the offset: 16 hours less it. */
static void put_time_tz(char *to, uint64_t bits) {
    int n = put_time(to, (int64_t)(bits >> 24), 1000000, 6);
    int offset = 16 * 3600 - 1 - (int)(bits & 0xffffff), size = abs(offset);
    n += snprintf(to + n, SIZE / 4, "%c%02d", offset < 0 ? '-' : '+', size / 3600);
    if (size % 3600 != 0) n += snprintf(to + n, SIZE / 4, ":%02d", size / 60 % 60);
    if (size % 60 != 0) snprintf(to + n, SIZE / 4, ":%02d", size % 60);
}

bool bc_sql_text(char to[SIZE], const bc_sql_column *c, uint64_t row) {
    int64_t value = 0;
    switch (c->type) {
    case DUCK_TIME:
    case DUCK_TIMESTAMP:
    case DUCK_TIMESTAMP_S:
    case DUCK_TIMESTAMP_MS:
    case DUCK_TIMESTAMP_NS:
    case DUCK_TIMESTAMP_TZ:
    case DUCK_TIME_TZ: value = ((const int64_t *)c->data)[row]; break;
    default: break;
    }
    switch (c->type) {
    case DUCK_DATE:
        value = ((const int32_t *)c->data)[row];
        if (value == INT32_MAX || value == -INT32_MAX)
            strcpy(to, value > 0 ? "infinity" : "-infinity");
        else
            put_date(to, value);
        return true;
    case DUCK_TIME: put_time(to, value, 1000000, 6); return true;
    case DUCK_TIMESTAMP: put_timestamp(to, value, 1000000, 6, ""); return true;
    case DUCK_TIMESTAMP_S: put_timestamp(to, value, 1, 0, ""); return true;
    case DUCK_TIMESTAMP_MS: put_timestamp(to, value, 1000, 3, ""); return true;
    case DUCK_TIMESTAMP_NS: put_timestamp(to, value, 1000000000, 9, ""); return true;
    case DUCK_TIMESTAMP_TZ: put_timestamp(to, value, 1000000, 6, "+00"); return true;
    case DUCK_TIME_TZ: put_time_tz(to, (uint64_t)value); return true;
    case DUCK_INTERVAL: put_interval(to, ((const duck_interval *)c->data)[row]); return true;
    case DUCK_UUID: put_uuid(to, ((const duck_hugeint *)c->data)[row]); return true;
    default: return false;
    }
}
