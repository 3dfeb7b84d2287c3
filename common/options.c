/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - how a program's command line is read and explained */
#include "common/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/version.h"

#define OPTION_ID_FIRST   256 /* behind every letter */
#define OPTION_ID_HELP    1000
#define OPTION_ID_VERSION 1001
#define OPTION_ROWS_MAX   128

struct unit {
    const char *suffix;
    int64_t factor;
};

static bool read_scaled(const char *text, const struct unit *units, int64_t *out)
{
    char *end;

    if (*text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    for (; units->suffix; units++) {
        int64_t scaled;
        if (strcmp(end, units->suffix) == 0) {
            if (__builtin_mul_overflow(number, units->factor, &scaled)) {
                return false;
            }
            *out = scaled;
            return true;
        }
    }
    return false;
}

bool options_read_number(const char *text, int64_t *out)
{
    static const struct unit units[] = {{"", 1}, {NULL, 0}};

    return read_scaled(text, units, out);
}

bool options_read_size(const char *text, int64_t *out)
{
    static const struct unit units[] = {
        {"", 1},
        {"K", 1 << 10},
        {"M", 1 << 20},
        {"G", 1 << 30},
        {"Ki", 1 << 10},
        {"Mi", 1 << 20},
        {"Gi", 1 << 30},
        {NULL, 0},
    };

    return read_scaled(text, units, out);
}

bool options_read_duration(const char *text, int64_t *out_ms)
{
    static const struct unit units[] = {
        {"", 1000},
        {"ms", 1},
        {"s", 1000},
        {"m", 60000},
        {"h", 3600000},
        {NULL, 0},
    };

    return read_scaled(text, units, out_ms);
}

static int bad_value(const struct option_row *row,
                     const char *text,
                     const char *expected,
                     struct error *err)
{
    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     "--%s: got \"%s\", expected %s (see --help)",
                     row->name,
                     text,
                     expected);
}

static int store_scaled(const struct option_row *row,
                        const char *text,
                        bool (*read)(const char *, int64_t *),
                        const char *expected,
                        struct error *err)
{
    int64_t value;
    int64_t max = row->min == 0 && row->max == 0 ? INT64_MAX : row->max;

    if (!read(text, &value)) {
        return bad_value(row, text, expected, err);
    }
    if (value < row->min || value > max) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "--%s: got \"%s\", expected %" PRId64 " to %" PRId64
                         " (see --help)",
                         row->name,
                         text,
                         row->min,
                         max);
    }
    *(int64_t *)row->target = value;
    return 0;
}

static int
store_value(const struct option_row *row, const char *text, struct error *err)
{
    switch (row->type) {
    case OPTION_FLAG:
        *(bool *)row->target = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)row->target = text;
        return 0;
    case OPTION_NUMBER:
        return store_scaled(row, text, options_read_number, "a whole number", err);
    case OPTION_SIZE:
        return store_scaled(
            row, text, options_read_size, "a size such as 512, 64K, 10M or 2G", err);
    case OPTION_DURATION:
        return store_scaled(
            row, text, options_read_duration, "a time such as 500ms, 10s or 5m", err);
    }
    return 0;
}

static size_t row_count(const struct options *options)
{
    size_t count = 0;

    while (options->rows[count].name) {
        count++;
    }
    return count;
}

// getopt's own tables, made of ours.
static void
fill_getopt(const struct options *options, struct option *longs, char *letters)
{
    size_t at = 0;
    size_t n = row_count(options);

    letters[at++] = ':'; // errors are ours to word
    for (size_t i = 0; i < n; i++) {
        const struct option_row *row = &options->rows[i];
        int has = row->type == OPTION_FLAG ? no_argument : required_argument;
        longs[i] = (struct option){row->name, has, NULL, OPTION_ID_FIRST + (int)i};
        if (row->letter) {
            letters[at++] = row->letter;
            if (has) {
                letters[at++] = ':';
            }
        }
    }
    letters[at++] = 'h';
    letters[at] = '\0';
    longs[n] = (struct option){"help", no_argument, NULL, OPTION_ID_HELP};
    longs[n + 1] = (struct option){"version", no_argument, NULL, OPTION_ID_VERSION};
    longs[n + 2] = (struct option){NULL, 0, NULL, 0};
}

static const struct option_row *find_row(const struct options *options, int id)
{
    if (id >= OPTION_ID_FIRST) {
        return &options->rows[id - OPTION_ID_FIRST];
    }
    for (const struct option_row *row = options->rows; row->name; row++) {
        if (row->letter == id) {
            return row;
        }
    }
    return NULL;
}

// getopt knows the letter of an option among several, else it is a word of its own.
static int refuse(int id, const char *word, struct error *err)
{
    char letter[] = {'-', (char)optopt, '\0'};
    bool unknown_letter = id == '?' && optopt > 0 && optopt < OPTION_ID_FIRST;

    return error_set(err,
                     ERROR_INVALID_ARGUMENT,
                     id == '?' ? "unknown option \"%s\" (see --help)"
                               : "\"%s\" needs a value (see --help)",
                     unknown_letter ? letter : word);
}

static int parse_all(const struct options *options,
                     int argc,
                     char **argv,
                     const char *letters,
                     const struct option *longs,
                     struct error *err)
{
    optind = 0; // GNU: start anew
    opterr = 0;
    for (;;) {
        int id = getopt_long(argc, argv, letters, longs, NULL);
        if (id == -1) {
            return 0;
        }
        if (id == 'h' || id == OPTION_ID_HELP) {
            options_help(options);
            exit(0);
        }
        if (id == OPTION_ID_VERSION) {
            printf("%s %s\n", options->program, version_text());
            exit(0);
        }
        if (id == '?' || id == ':') {
            return refuse(id, argv[optind - 1], err);
        }
        if (store_value(find_row(options, id), optarg, err) != 0) {
            return -1;
        }
    }
}

int options_parse(const struct options *options,
                  int argc,
                  char **argv,
                  int *out_positional,
                  struct error *err)
{
    struct option longs[OPTION_ROWS_MAX + 3];
    char letters[2 * OPTION_ROWS_MAX + 3];

    fill_getopt(options, longs, letters);
    if (parse_all(options, argc, argv, letters, longs, err) != 0) {
        return -1;
    }
    int given = argc - optind;
    if (given < options->positional_min) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "too few arguments; usage: %s %s",
                         options->program,
                         options->usage);
    }
    if (given > options->positional_max) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "unexpected argument \"%s\"; usage: %s %s",
                         argv[optind + options->positional_max],
                         options->program,
                         options->usage);
    }
    *out_positional = optind;
    return 0;
}

void options_help(const struct options *options)
{
    printf("usage: %s %s\n\n%s\n\noptions:\n",
           options->program,
           options->usage,
           options->summary);
    for (const struct option_row *row = options->rows; row->name; row++) {
        char left[96];
        char letter[8] = "    ";
        if (row->letter) {
            (void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
        }
        (void)snprintf(left,
                       sizeof(left),
                       "%s--%s%s%s",
                       letter,
                       row->name,
                       row->value ? " " : "",
                       row->value ? row->value : "");
        printf("  %-32s %s\n", left, row->help);
    }
    printf("  %-32s %s\n", "-h, --help", "show this help and exit");
    printf("  %-32s %s\n", "    --version", "show the release and exit");
}
