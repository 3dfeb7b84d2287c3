/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - what time it is, and how times are written */
#include "common/clock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY_MS 86400000

static int64_t now_ns(clockid_t which)
{
    struct timespec now;

    (void)clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_monotonic_ms(void)
{
    return now_ns(CLOCK_BOOTTIME) / 1000000;
}

int64_t clock_wall_ms(void)
{
    return now_ns(CLOCK_REALTIME) / 1000000;
}

int64_t clock_wall_ns(void)
{
    return now_ns(CLOCK_REALTIME);
}

void clock_boot_id(char out[CLOCK_BOOT_ID_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, out, CLOCK_BOOT_ID_SIZE - 1);

    out[size == CLOCK_BOOT_ID_SIZE - 1 ? size : 0] = '\0';
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void utc_of(int64_t wall_s, struct tm *out)
{
    time_t seconds = (time_t)wall_s;

    (void)gmtime_r(&seconds, out);
}

void clock_format_display(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
    struct tm utc;

    utc_of(wall_ms / 1000, &utc);
    (void)strftime(out, CLOCK_TEXT_SIZE, "%d %b %Y %H:%M:%S UTC", &utc);
}

void clock_format_rfc3339(int64_t wall_ns, char out[CLOCK_TEXT_SIZE])
{
    struct tm utc;
    char stamp[32];

    utc_of(wall_ns / 1000000000, &utc);
    (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(
        out, CLOCK_TEXT_SIZE, "%s.%09" PRId64 "Z", stamp, wall_ns % 1000000000);
}

void clock_format_log(int64_t wall_us, char out[CLOCK_TEXT_SIZE])
{
    struct tm utc;
    char stamp[32];

    utc_of(wall_us / 1000000, &utc);
    (void)strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &utc);
    (void)snprintf(out, CLOCK_TEXT_SIZE, "%s.%06" PRId64, stamp, wall_us % 1000000);
}

void clock_format_duration(int64_t duration_ms, char out[CLOCK_TEXT_SIZE])
{
    int64_t total = duration_ms > 0 ? duration_ms / 1000 : 0;
    int64_t hours = total / 3600;
    int64_t minutes = total / 60 % 60;
    int64_t seconds = total % 60;

    if (hours > 0) {
        (void)snprintf(out,
                       CLOCK_TEXT_SIZE,
                       "%" PRId64 "h%" PRId64 "m%" PRId64 "s",
                       hours,
                       minutes,
                       seconds);
    } else if (minutes > 0) {
        (void)snprintf(
            out, CLOCK_TEXT_SIZE, "%" PRId64 "m%" PRId64 "s", minutes, seconds);
    } else {
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%" PRId64 "s", seconds);
    }
}

void clock_format_average(int64_t duration_ms, char out[CLOCK_TEXT_SIZE])
{
    int64_t left = duration_ms > 0 ? duration_ms : 0;

    if (left == 0 || left % 1000 == 0) {
        clock_format_duration(left, out);
        return;
    }
    if (left < 1000) {
        (void)snprintf(out, CLOCK_TEXT_SIZE, "%" PRId64 "ms", left);
        return;
    }
    clock_format_duration(left, out);
    size_t length = strlen(out) - 1; // without the 's'
    char fraction[8];
    (void)snprintf(fraction, sizeof(fraction), "%03d", (int)(left % 1000));
    size_t digits = 3;
    while (fraction[digits - 1] == '0') {
        digits--;
    }
    (void)snprintf(
        out + length, CLOCK_TEXT_SIZE - length, ".%.*ss", (int)digits, fraction);
}

void clock_format_ago(int64_t duration_ms, char out[CLOCK_TEXT_SIZE])
{
    int64_t total = duration_ms > 0 ? duration_ms / 1000 : 0;
    int64_t hours = total / 3600;

    if (hours >= 48) {
        (void)snprintf(
            out, CLOCK_TEXT_SIZE, "%" PRId64 "d%" PRId64 "h", hours / 24, hours % 24);
    } else if (hours > 0) {
        (void)snprintf(
            out, CLOCK_TEXT_SIZE, "%" PRId64 "h%" PRId64 "m", hours, total / 60 % 60);
    } else {
        clock_format_duration(total * 1000, out);
    }
}

static bool parse(const char *format, const char *text, int64_t *out_wall_ms)
{
    struct tm utc = {.tm_sec = 0};
    const char *end = strptime(text, format, &utc);

    if (!end || *end != '\0') {
        return false;
    }
    *out_wall_ms = (int64_t)timegm(&utc) * 1000;
    return true;
}

bool clock_parse_utc(const char *text, int64_t *out_wall_ms)
{
    return parse("%Y-%m-%dT%H:%M:%SZ", text, out_wall_ms);
}

bool clock_parse_end(const char *text, int64_t *out_wall_ms)
{
    int64_t day_ms;

    if (parse("%Y-%m-%d", text, &day_ms)) {
        *out_wall_ms = day_ms + DAY_MS;
        return true;
    }
    return clock_parse_utc(text, out_wall_ms);
}
