/* SPDX-License-Identifier: Apache-2.0 */
/* json_scan.h - where a JSON value begins and ends, and whether it is one
 *
 * Checks text against RFC 8259's grammar exactly, strings being valid UTF-8 (no
 * overlong forms, no surrogates), without building or changing anything: huge numbers,
 * duplicate keys, key order and escapes (a lone "\ud800" included) pass as they stand.
 * The scan takes its text in pieces cut anywhere, does not recurse, allocates nothing
 * and looks at each byte once.
 *
 * json_text.h has what is needed for a document that is in memory as a whole.
 *
 * Pure; a struct belongs to one thread at a time.
 * Source: RFC 8259, RFC 3629.
 */
#ifndef CORTEX_COMMON_JSON_SCAN_H
#define CORTEX_COMMON_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 512 /* arrays and objects inside one another */

enum json_scan_result {
    JSON_SCAN_VALUE,      /* one value ended */
    JSON_SCAN_INCOMPLETE, /* good so far */
    JSON_SCAN_BAD,        /* not JSON; reason says why */
};

/* Where a scan stands; only `reason` is for others. */
struct json_scan {
    const char *reason;  /* static: "expected ',' or '}'" */
    const char *literal; /* what is left of true, false or null */
    unsigned state;
    unsigned depth;
    bool in_key;
    unsigned char need; /* bytes a UTF-8 sequence, digits a \u escape still lacks */
    unsigned char low;  /* bounds of the next UTF-8 byte */
    unsigned char high;
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit per level: object or array */
};

void json_scan_init(struct json_scan *scan);

/* Takes the next piece of the text of one value; whitespace before it is skipped.
 * *out_used is how many bytes were taken: up to the value's end (VALUE), all
 * (INCOMPLETE), or up to the byte at fault (BAD). A number that nothing encloses ends
 * only with the byte behind it or with json_scan_finish. */
enum json_scan_result
json_scan_feed(struct json_scan *scan, const char *text, size_t size, size_t *out_used);

/* After INCOMPLETE with no more to come: true if that was a whole number after all.
 * Otherwise the text is cut off. */
bool json_scan_finish(const struct json_scan *scan);

#endif
