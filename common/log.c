/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - what a daemon tells its operator */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *log_program = "cortex";
static enum log_level log_level_min = LOG_INFO;

void log_init(const char *program, enum log_level level)
{
    log_program = program;
    log_level_min = level;
}

bool log_level_parse(const char *text, enum log_level *out)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};

    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static size_t put_prefix(char *line, size_t size, enum log_level level)
{
    static const char *const names[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
    struct timespec now;
    struct tm utc;
    char stamp[32];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &utc);
    int length = snprintf(line,
                          size,
                          "%s.%03ld %s %s: ",
                          stamp,
                          now.tv_nsec / 1000000,
                          names[level],
                          log_program);
    return (size_t)length;
}

// A message is one line: what would break it is shown as \xNN.
static size_t put_escaped(char *line, size_t size, const char *text)
{
    size_t used = 0;

    for (; *text && used + 5 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7F) {
            used += (size_t)snprintf(line + used, size - used, "\\x%02x", c);
        } else {
            line[used++] = (char)c;
        }
    }
    return used;
}

void log_write(enum log_level level, const char *format, ...)
{
    int saved = errno;
    char message[LOG_LINE_SIZE];
    char line[LOG_LINE_SIZE];
    va_list args;

    if (level < log_level_min) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    size_t used = put_prefix(line, sizeof(line), level);
    used += put_escaped(line + used, sizeof(line) - used - 1, message);
    line[used++] = '\n';
    // A daemon whose log cannot be written has nobody to tell.
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written;
    errno = saved;
}
