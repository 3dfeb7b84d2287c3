/* SPDX-License-Identifier: Apache-2.0 */
/* quantity.c - how much "200m", "0.5" or "512Mi" is */
#include "master/quantity.h"

#include <string.h>

#define WHOLE_DIGITS_MAX    12 // so that all below fits into 127 bits
#define FRACTION_DIGITS_MAX 9
#define FRACTION_SCALE      1000000000

struct suffix {
    const char *text;
    int64_t factor;
    int divisor;
};

static const struct suffix suffixes[] = {
    {"", 1, 1},
    {"m", 1, 1000},
    {"k", 1000, 1},
    {"K", 1000, 1},
    {"M", 1000000, 1},
    {"G", 1000000000, 1},
    {"T", 1000000000000, 1},
    {"Ki", INT64_C(1) << 10, 1},
    {"Mi", INT64_C(1) << 20, 1},
    {"Gi", INT64_C(1) << 30, 1},
    {"Ti", INT64_C(1) << 40, 1},
};

static const struct suffix *find_suffix(const char *text)
{
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (strcmp(text, suffixes[i].text) == 0) {
            return &suffixes[i];
        }
    }
    return NULL;
}

static int64_t read_digits(const char *text, size_t count)
{
    int64_t number = 0;

    for (size_t i = 0; i < count; i++) {
        number = 10 * number + (text[i] - '0');
    }
    return number;
}

bool quantity_read(const char *text, int scale, int64_t *out)
{
    size_t whole = strspn(text, "0123456789");
    const char *fraction_text = text + whole + (text[whole] == '.');
    size_t fraction = text[whole] == '.' ? strspn(fraction_text, "0123456789") : 0;
    const struct suffix *suffix = find_suffix(fraction_text + fraction);

    if (whole + fraction == 0 || whole > WHOLE_DIGITS_MAX ||
        fraction > FRACTION_DIGITS_MAX || !suffix) {
        return false;
    }
    __extension__ __int128 value = read_digits(text, whole);
    int64_t part = read_digits(fraction_text, fraction);
    for (size_t i = fraction; i < FRACTION_DIGITS_MAX; i++) {
        part *= 10;
    }
    value = (value * FRACTION_SCALE + part) * suffix->factor * scale;
    int64_t divisor = (int64_t)FRACTION_SCALE * suffix->divisor;
    value = (value + divisor - 1) / divisor;
    if (value > INT64_MAX) {
        return false;
    }
    *out = (int64_t)value;
    return true;
}
