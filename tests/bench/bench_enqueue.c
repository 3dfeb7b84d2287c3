/* SPDX-License-Identifier: Apache-2.0 */
/* bench_enqueue.c - how many MB/s of a delimited file become batches
 *
 *   bench_enqueue [MB] [items per batch] [folder]
 *
 * Generates a file of so many MB (200), enqueues it from and to the folder (/var/tmp)
 * in batches of so many items (100), segments durable as in a master, and prints the
 * rate. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/json_scan.h"
#include "master/enqueuer.h"

static void generate(const char *path, size_t size)
{
    FILE *file = fopen(path, "we");
    size_t written = 0;

    if (!file) {
        perror(path);
        exit(1);
    }
    for (size_t i = 0; written < size; i++) {
        int got =
            fprintf(file,
                    "{\"id\": %zu, \"url\": \"https://images.example.com/set/%zu/"
                    "img_%zu.jpg\", \"label\": \"class %zu\", \"score\": 0.%zu}\n",
                    i,
                    i % 97,
                    i,
                    i % 10,
                    i % 1000 + 1);
        written += got > 0 ? (size_t)got : size;
    }
    (void)fclose(file);
}

static int take_segment(void *arg,
                        const struct payload_segment *segment,
                        const struct enqueuer_position *after,
                        struct error *err)
{
    (void)after;
    (void)err;
    *(uint64_t *)arg += segment->bytes;
    return 0;
}

static void take_line(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void print_scan(const char *path)
{
    struct buffer text = BUFFER_INIT;
    struct json_scan scan;
    size_t used = 0;
    struct error err = {0};

    if (fs_read(path, SIZE_MAX, &text, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        return;
    }
    int64_t start_ns = clock_wall_ns();
    for (size_t at = 0; at < text.size; at += used) {
        json_scan_init(&scan);
        (void)json_scan_feed(&scan, text.data + at, text.size - at, &used);
    }
    double seconds = (double)(clock_wall_ns() - start_ns) / 1e9;
    printf("scan alone: %.0f MB/s\n", (double)text.size / 1e6 / seconds);
    buffer_fini(&text);
}

static int enqueue(const char *folder, const char *body, size_t megabytes)
{
    static const struct object_options file_options = {.allow_file = true};
    struct object_store *store = NULL;
    uint64_t bytes = 0;
    uint64_t batches = 0;
    struct error err = {0};
    char *prefix = memory_format("file://%s/payloads", folder);
    const struct enqueuer_sink sink = {&bytes, take_segment, take_line, never};

    if (object_store_create(&file_options, &store, &err) == 0) {
        const struct enqueuer_options options = {
            .body = body,
            .body_size = strlen(body),
            .limits = SUBMISSION_LIMITS_DEFAULT,
            .inputs = store,
            .payloads = store,
            .payload_prefix_url = prefix,
        };
        int64_t start_ms = clock_monotonic_ms();
        if (enqueuer_run(&options, &sink, &batches, &err) == 0) {
            double seconds = (double)(clock_monotonic_ms() - start_ms) / 1000;
            printf("enqueue: %.0f MB/s, %" PRIu64 " batches in %.2f s, %" PRIu64
                   " MB of segments\n",
                   (double)megabytes / seconds,
                   batches,
                   seconds,
                   bytes / 1000000);
        }
        object_store_destroy(store);
    }
    free(prefix);
    if (err.code != ERROR_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t megabytes = argc > 1 ? strtoul(argv[1], NULL, 10) : 200;
    unsigned long items = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
    char *folder =
        memory_format("%s/bench-enqueue-XXXXXX", argc > 3 ? argv[3] : "/var/tmp");
    struct error err = {0};

    if (!mkdtemp(folder) || megabytes == 0) {
        perror(folder);
        return 1;
    }
    char *path = fs_join(folder, "items.json");
    char *body = memory_format("{\"workers\":1,\"delimited_files\":{\"batch_size\":%lu,"
                               "\"s3_paths\":[\"file://%s\"]}}",
                               items,
                               path);
    generate(path, megabytes * 1000000);
    print_scan(path);
    int status = enqueue(folder, body, megabytes);
    (void)fs_remove_tree(folder, &err);
    free(body);
    free(path);
    free(folder);
    return status;
}
