/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - what time it is, and how times are written
 *
 * Two clocks. The monotonic one (milliseconds since boot) measures every duration,
 * timeout and lease, so that a jump of the wall clock expires nothing early. The wall
 * clock (since 1970, UTC) only dates things. Pure modules never call these: they take
 * the time as an argument. Nothing here fails; thread-safe. */
#ifndef CORTEX_COMMON_CLOCK_H
#define CORTEX_COMMON_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t clock_monotonic_ms(void);
int64_t clock_wall_ms(void);
int64_t clock_wall_ns(void);

/* Names the boot since which the monotonic clock counts: only times of the same boot
 * can be compared. "" if the kernel does not tell. Reads a file of /proc. */
#define CLOCK_BOOT_ID_SIZE 37
void clock_boot_id(char out[CLOCK_BOOT_ID_SIZE]);

/* Big enough for every text below, with NUL. */
#define CLOCK_TEXT_SIZE 48

/* "20 Jul 2020 01:07:44 UTC" */
void clock_format_display(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);

/* RFC 3339 in UTC with nanoseconds: "2020-07-20T01:07:44.123000000Z" */
void clock_format_rfc3339(int64_t wall_ns, char out[CLOCK_TEXT_SIZE]);

/* The log's form: "2020-08-07 14:44:05.557598" */
void clock_format_log(int64_t wall_us, char out[CLOCK_TEXT_SIZE]);

/* A duration cut to whole seconds, as Go writes it: "0s", "3m26s", "49h3m0s". */
void clock_format_duration(int64_t duration_ms, char out[CLOCK_TEXT_SIZE]);

/* A duration to the millisecond, trailing zeros dropped: "250ms", "1.5s", "1m2.25s",
 * "0s". */
void clock_format_average(int64_t duration_ms, char out[CLOCK_TEXT_SIZE]);

/* How long ago: "42s", "3m26s" under an hour, "5h12m" under 48 hours, "3d4h". */
void clock_format_ago(int64_t duration_ms, char out[CLOCK_TEXT_SIZE]);

/* A time in UTC as people write it, "2027-01-31T12:00:00Z"; false for anything else. */
bool clock_parse_utc(const char *text, int64_t *out_wall_ms);

/* When something ends: such a time, or a day, "2027-01-31", whose end is meant. */
bool clock_parse_end(const char *text, int64_t *out_wall_ms);

#endif
