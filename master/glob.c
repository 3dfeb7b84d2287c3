/* SPDX-License-Identifier: Apache-2.0 */
/* glob.c - whether a URL is one that `includes` or `excludes` means
 *
 * A pattern becomes a small program for a machine that is in several places at once
 * (Thompson's construction), so no pattern makes it go back. */
#include "master/glob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/utf8.h"

#define SEPARATOR '/'
#define NOWHERE   UINT16_MAX
// A ',' is two instructions, everything else at most one, and there is one for the end.
#define PROGRAM_MAX (2 * GLOB_PATTERN_SIZE_MAX + 1)
#define SET_WORDS   ((PROGRAM_MAX + 63) / 64)

enum op {
    OP_CHARACTER, // `code`
    OP_SINGLE,    // any but the separator
    OP_STAR,      // any number of OP_SINGLE
    OP_SUPER,     // any number of any
    OP_SET,   // one of, or with `negated` none of, the `count` codes from `first` on
    OP_RANGE, // the same for low..high
    OP_SPLIT, // goes on behind itself and at `target`, if that is not NOWHERE
    OP_JUMP,  // goes on at `target`
    OP_MATCH,
};

struct instruction {
    enum op op;
    bool negated;
    uint16_t target;
    union {
        uint32_t code;
        struct {
            uint32_t low;
            uint32_t high;
        } range;
        struct {
            uint32_t first; // in glob.codes
            uint32_t count;
        } set;
    } as;
};

struct glob {
    struct instruction *program;
    uint16_t count;
    uint32_t *codes; // of all sets
    uint32_t codes_count;
};

// A pair of braces under way: its newest split, and its jumps, linked by `target`.
struct brace {
    uint16_t split;
    uint16_t jumps;
};

struct compiler {
    struct glob *glob;
    const char *at;
    const char *end;
    size_t character; // number of the one read last
    struct brace braces[GLOB_PATTERN_SIZE_MAX];
    size_t depth;
    struct error *err;
};

static bool peek(const struct compiler *c, uint32_t *out_code, size_t *out_length)
{
    if (c->at == c->end) {
        return false;
    }
    *out_length = utf8_decode(c->at, (size_t)(c->end - c->at), out_code);
    if (*out_length == 0) {
        *out_code = UTF8_REPLACEMENT;
        *out_length = 1;
    }
    return true;
}

static bool take(struct compiler *c, uint32_t *out_code)
{
    size_t length = 0;

    if (!peek(c, out_code, &length)) {
        return false;
    }
    c->at += length;
    c->character++;
    return true;
}

static bool take_if(struct compiler *c, uint32_t wanted)
{
    uint32_t code = 0;
    size_t length = 0;

    return peek(c, &code, &length) && code == wanted && take(c, &code);
}

static struct instruction *emit(struct compiler *c, enum op op)
{
    struct instruction *instruction = &c->glob->program[c->glob->count++];

    instruction->op = op;
    instruction->target = NOWHERE;
    return instruction;
}

static int syntax_error(struct compiler *c, const char *reason)
{
    return error_set(c->err,
                     ERROR_INVALID_ARGUMENT,
                     "%s at character %zu of the pattern",
                     reason,
                     c->character);
}

static int close_set(struct compiler *c, const char *reason)
{
    uint32_t code = 0;

    if (!take(c, &code)) {
        return syntax_error(c, "expected ']' to close the '[', the pattern ends");
    }
    return code == ']' ? 0 : syntax_error(c, reason);
}

static int compile_range(struct compiler *c, struct instruction *set, uint32_t low)
{
    uint32_t high = 0;

    if (!take(c, &high)) {
        return syntax_error(c, "expected the end of a range, the pattern ends");
    }
    if (high < low) {
        return syntax_error(c, "the range in '[...]' is reversed");
    }
    set->op = OP_RANGE;
    set->as.range.low = low;
    set->as.range.high = high;
    return close_set(c, "expected ']', a class holds one range only,");
}

static int compile_codes(struct compiler *c, struct instruction *set)
{
    struct glob *glob = c->glob;
    uint32_t code = 0;
    size_t length = 0;

    set->as.set.first = glob->codes_count;
    while (peek(c, &code, &length) && code != ']') {
        (void)take(c, &code);
        if (code == '\\' && !take(c, &code)) {
            break;
        }
        glob->codes[glob->codes_count++] = code;
    }
    set->as.set.count = glob->codes_count - set->as.set.first;
    if (set->as.set.count == 0 && c->at < c->end) {
        return syntax_error(c, "a class '[]' needs a character");
    }
    return close_set(c, "expected ']'");
}

static int compile_class(struct compiler *c)
{
    struct instruction *set = emit(c, OP_SET);
    const char *start = NULL;
    size_t character = 0;
    uint32_t low = 0;

    set->negated = take_if(c, '!');
    start = c->at;
    character = c->character;
    if (take(c, &low) && take_if(c, '-')) {
        return compile_range(c, set, low);
    }
    c->at = start;
    c->character = character;
    return compile_codes(c, set);
}

static void open_alternative(struct compiler *c, struct brace *brace)
{
    brace->split = c->glob->count;
    (void)emit(c, OP_SPLIT);
}

static void close_alternative(struct compiler *c, struct brace *brace)
{
    uint16_t jump = c->glob->count;

    emit(c, OP_JUMP)->target = brace->jumps;
    brace->jumps = jump;
    c->glob->program[brace->split].target = c->glob->count;
}

static void close_braces(struct compiler *c)
{
    struct instruction *program = c->glob->program;
    struct brace *brace = &c->braces[--c->depth];

    for (uint16_t jump = brace->jumps; jump != NOWHERE;) {
        uint16_t next = program[jump].target;
        program[jump].target = c->glob->count;
        jump = next;
    }
}

static int compile_one(struct compiler *c, uint32_t code)
{
    struct brace *brace = c->depth ? &c->braces[c->depth - 1] : NULL;

    if (code == '{') {
        brace = &c->braces[c->depth++];
        brace->jumps = NOWHERE;
        open_alternative(c, brace);
    } else if (code == ',' && brace) {
        close_alternative(c, brace);
        open_alternative(c, brace);
    } else if (code == '}' && brace) {
        close_braces(c);
    } else if (code == '[') {
        return compile_class(c);
    } else if (code == '?') {
        (void)emit(c, OP_SINGLE);
    } else if (code == '*') {
        (void)emit(c, take_if(c, '*') ? OP_SUPER : OP_STAR);
    } else if (code != '\\' || take(c, &code)) {
        emit(c, OP_CHARACTER)->as.code = code;
    }
    return 0;
}

static int compile(struct compiler *c)
{
    uint32_t code = 0;

    while (take(c, &code)) {
        if (compile_one(c, code) != 0) {
            return -1;
        }
    }
    while (c->depth > 0) {
        close_braces(c);
    }
    (void)emit(c, OP_MATCH);
    return 0;
}

int glob_create(const char *pattern, struct glob **out_glob, struct error *err)
{
    size_t size = strlen(pattern);

    if (size > GLOB_PATTERN_SIZE_MAX) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "the pattern has %zu bytes, at most %d are allowed",
                         size,
                         GLOB_PATTERN_SIZE_MAX);
    }
    struct glob *glob = memory_zalloc(sizeof(*glob));
    glob->program = memory_zalloc((2 * size + 1) * sizeof(glob->program[0]));
    glob->codes = memory_zalloc(size * sizeof(glob->codes[0]));
    struct compiler compiler = {
        .glob = glob, .at = pattern, .end = pattern + size, .err = err};
    if (compile(&compiler) != 0) {
        glob_destroy(glob);
        return -1;
    }
    *out_glob = glob;
    return 0;
}

void glob_destroy(struct glob *glob)
{
    if (glob) {
        free(glob->program);
        free(glob->codes);
        free(glob);
    }
}

// The places the machine is in; each once.
struct places {
    uint16_t list[PROGRAM_MAX];
    size_t count;
    uint64_t seen[SET_WORDS];
};

static void places_clear(struct places *places, uint16_t program_count)
{
    places->count = 0;
    memset(places->seen, 0, (program_count / 64 + 1u) * sizeof(places->seen[0]));
}

// Adds a place to the list of those to be gone through; it grows while that is done.
static void places_add(struct places *places, uint16_t place)
{
    uint64_t bit = (uint64_t)1 << (place % 64);

    if (place != NOWHERE && !(places->seen[place / 64] & bit)) {
        places->seen[place / 64] |= bit;
        places->list[places->count++] = place;
    }
}

// Adds all places that can be reached from those in the list without a character.
static void places_spread(const struct glob *glob, struct places *places)
{
    for (size_t i = 0; i < places->count; i++) {
        uint16_t place = places->list[i];
        const struct instruction *at = &glob->program[place];
        if (at->op == OP_SPLIT || at->op == OP_JUMP) {
            places_add(places, at->target);
        }
        if (at->op == OP_SPLIT || at->op == OP_STAR || at->op == OP_SUPER) {
            places_add(places, (uint16_t)(place + 1));
        }
    }
}

static bool
takes_code(const struct glob *glob, const struct instruction *at, uint32_t code)
{
    switch (at->op) {
    case OP_CHARACTER:
        return at->as.code == code;
    case OP_SINGLE:
    case OP_STAR:
        return code != SEPARATOR;
    case OP_SUPER:
        return true;
    case OP_RANGE:
        return (code >= at->as.range.low && code <= at->as.range.high) != at->negated;
    case OP_SET:
        for (uint32_t i = 0; i < at->as.set.count; i++) {
            if (glob->codes[at->as.set.first + i] == code) {
                return !at->negated;
            }
        }
        return at->negated;
    case OP_SPLIT:
    case OP_JUMP:
    case OP_MATCH:
        break;
    }
    return false;
}

static void places_step(const struct glob *glob,
                        const struct places *from,
                        struct places *to,
                        uint32_t code)
{
    places_clear(to, glob->count);
    for (size_t i = 0; i < from->count; i++) {
        uint16_t place = from->list[i];
        const struct instruction *at = &glob->program[place];
        if (takes_code(glob, at, code)) {
            bool stays = at->op == OP_STAR || at->op == OP_SUPER;
            places_add(to, stays ? place : (uint16_t)(place + 1));
        }
    }
    places_spread(glob, to);
}

bool glob_match(const struct glob *glob, const char *text, size_t size)
{
    struct places sets[2];
    struct places *now = &sets[0];
    struct places *next = &sets[1];

    places_clear(now, glob->count);
    places_add(now, 0);
    places_spread(glob, now);
    while (size && now->count) {
        uint32_t code = 0;
        size_t length = utf8_decode(text, size, &code);
        if (length == 0) {
            code = UTF8_REPLACEMENT;
            length = 1;
        }
        places_step(glob, now, next, code);
        struct places *swap = now;
        now = next;
        next = swap;
        text += length;
        size -= length;
    }
    uint16_t end = (uint16_t)(glob->count - 1);
    return size == 0 && now->seen[end / 64] >> (end % 64) & 1;
}
