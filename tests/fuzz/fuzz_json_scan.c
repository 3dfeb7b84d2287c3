/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json_scan.c - is just RFC 8259 taken, however the text is cut? */
#include "common/json_scan.h"
#include "common/json_text.h"
#include "tests/fuzz/fuzz.h"

/* The grammar once more, as its rules stand in the RFC. */
struct grammar {
    const char *at;
    const char *end;
};

static bool take(struct grammar *g, const char *characters)
{
    if (g->at == g->end || *g->at == '\0' || !strchr(characters, *g->at)) {
        return false;
    }
    g->at++;
    return true;
}

static void space(struct grammar *g)
{
    while (take(g, " \t\r\n")) {
    }
}

static bool digits(struct grammar *g)
{
    bool any = false;

    while (take(g, "0123456789")) {
        any = true;
    }
    return any;
}

static bool number(struct grammar *g)
{
    (void)take(g, "-");
    if (!take(g, "0") && !digits(g)) {
        return false;
    }
    if (take(g, ".") && !digits(g)) {
        return false;
    }
    if (take(g, "eE")) {
        (void)take(g, "+-");
        return digits(g);
    }
    return true;
}

static bool escape(struct grammar *g)
{
    if (!take(g, "u")) {
        return take(g, "\"\\/bfnrt");
    }
    for (int i = 0; i < 4; i++) {
        if (!take(g, "0123456789abcdefABCDEF")) {
            return false;
        }
    }
    return true;
}

static bool string(struct grammar *g)
{
    uint32_t code;

    while (!take(g, "\"")) {
        size_t size = utf8_decode(g->at, (size_t)(g->end - g->at), &code);
        if (size == 0 || code < 0x20) {
            return false;
        }
        g->at += size;
        if (code == '\\' && !escape(g)) {
            return false;
        }
    }
    return true;
}

static bool word(struct grammar *g, const char *text)
{
    size_t size = strlen(text);

    if ((size_t)(g->end - g->at) < size || memcmp(g->at, text, size) != 0) {
        return false;
    }
    g->at += size;
    return true;
}

static bool value(struct grammar *g, unsigned depth);

static bool elements(struct grammar *g, unsigned depth, const char *close)
{
    space(g);
    if (take(g, close)) {
        return true;
    }
    do {
        space(g);
        if (*close == '}') {
            if (!take(g, "\"") || !string(g)) {
                return false;
            }
            space(g);
            if (!take(g, ":")) {
                return false;
            }
        }
        if (!value(g, depth)) {
            return false;
        }
        space(g);
    } while (take(g, ","));
    return take(g, close);
}

static bool value(struct grammar *g, unsigned depth)
{
    space(g);
    if (take(g, "{")) {
        return depth < JSON_DEPTH_MAX && elements(g, depth + 1, "}");
    }
    if (take(g, "[")) {
        return depth < JSON_DEPTH_MAX && elements(g, depth + 1, "]");
    }
    if (take(g, "\"")) {
        return string(g);
    }
    return word(g, "true") || word(g, "false") || word(g, "null") || number(g);
}

static enum json_scan_result scan(
    const char *text, size_t size, size_t step, struct json_scan *out, size_t *out_used)
{
    enum json_scan_result result = JSON_SCAN_INCOMPLETE;

    json_scan_init(out);
    *out_used = 0;
    for (size_t at = 0; at < size && result == JSON_SCAN_INCOMPLETE; at += step) {
        size_t used = 0;
        result =
            json_scan_feed(out, text + at, size - at < step ? size - at : step, &used);
        *out_used += used;
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    size_t step = fuzz_take_byte(&input) % 19 + 1;
    const char *text = fuzz_rest(&input);
    struct json_scan whole;
    struct json_scan cut;
    size_t whole_used;
    size_t cut_used;
    struct error err = {0};

    enum json_scan_result result =
        scan(text, input.size, input.size + 1, &whole, &whole_used);
    fuzz_check(scan(text, input.size, step, &cut, &cut_used) == result &&
                   cut_used == whole_used,
               "a scan ends the same however it is cut");
    if (result == JSON_SCAN_BAD) {
        fuzz_check(strcmp(whole.reason, cut.reason) == 0, "for the same reason");
    }

    struct grammar g = {text, text + input.size};
    bool good = value(&g, 0);
    space(&g);
    good = good && g.at == g.end;
    int checked = json_check(text, input.size, &err);
    fuzz_check((checked == 0) == good, "json_check takes what the grammar does");
    if (checked != 0) {
        fuzz_check_error(&err);
    }
    return 0;
}
