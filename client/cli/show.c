/* SPDX-License-Identifier: Apache-2.0 */
/* show.c - how APIs and jobs are shown to people */
#include "client/cli/show.h"

#include <inttypes.h>
#include <stdlib.h>

#include "client/cli/render.h"
#include "client/json_writer.h"
#include "common/clock.h"

#define NS_PER_MS   1000000
#define NONE        "-"
#define COLUMNS_MAX 8

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The texts of a table, which it frees. */

struct cells {
    char **texts;
    size_t count;
    size_t capacity;
};

static void cells_take(struct cells *cells, char *text)
{
    if (cells->count == cells->capacity) {
        cells->capacity = cells->capacity > 0 ? 2 * cells->capacity : 4 * COLUMNS_MAX;
        cells->texts =
            memory_realloc(cells->texts, cells->capacity * sizeof(*cells->texts));
    }
    cells->texts[cells->count++] = text;
}

static void cells_add(struct cells *cells, const char *text)
{
    cells_take(cells, memory_strdup(text));
}

static void cells_add_number(struct cells *cells, uint64_t number)
{
    cells_take(cells, memory_format("%" PRIu64, number));
}

static void cells_print(struct cells *cells,
                        struct buffer *out,
                        const struct render_column *columns,
                        size_t column_count,
                        bool bold)
{
    render_table(
        out, columns, column_count, cells->texts, cells->count / column_count, bold);
    for (size_t i = 0; i < cells->count; i++) {
        free(cells->texts[i]);
    }
    free(cells->texts);
    *cells = (struct cells){0};
}

/* Times */

static void format_time(int64_t wall_ns, char out[CLOCK_TEXT_SIZE])
{
    if (wall_ns == 0) {
        out[0] = '-';
        out[1] = '\0';
        return;
    }
    clock_format_display(wall_ns / NS_PER_MS, out);
}

static void
format_duration(const struct client_job *job, int64_t now_ns, char out[CLOCK_TEXT_SIZE])
{
    int64_t end_ns = job->end_ns != 0 ? job->end_ns : now_ns;

    clock_format_duration((end_ns - job->start_ns) / NS_PER_MS, out);
}

static void format_ago(int64_t wall_ns, int64_t now_ns, char out[CLOCK_TEXT_SIZE])
{
    clock_format_ago((now_ns - wall_ns) / NS_PER_MS, out);
}

/* All APIs */

static void
add_listed(struct cells *cells, const struct client_listed *listed, int64_t now_ns)
{
    char ago[CLOCK_TEXT_SIZE];
    char job_id[ID_JOB_TEXT_SIZE];

    cells_add(cells, listed->definition.name);
    cells_add_number(cells, listed->definition.jobs_in_progress);
    if (listed->has_latest_job) {
        id_job_format(listed->latest_job.job_id, job_id);
        format_ago(listed->latest_job.start_ns, now_ns, ago);
        cells_take(cells, memory_format("%s (submitted %s ago)", job_id, ago));
    } else {
        cells_add(cells, NONE);
    }
    format_ago(listed->definition.updated_ns, now_ns, ago);
    cells_add(cells, ago);
}

void show_apis(struct buffer *out,
               const struct show *show,
               const char *env_name,
               const struct client_listing *listing)
{
    const struct render_column columns[] = {
        {"env", .hidden = !env_name},
        {"batch api"},
        {"running jobs"},
        {"latest job id"},
        {"last update"},
    };
    struct cells cells = {0};

    if (listing->count == 0) {
        buffer_add_text(out, "no apis are deployed\n");
        return;
    }
    for (size_t i = 0; i < listing->count; i++) {
        cells_add(&cells, env_name ? env_name : "");
        add_listed(&cells, &listing->apis[i], show->now_ns);
    }
    cells_print(&cells, out, columns, COUNT(columns), show->bold);
}

/* One API */

static void
add_job_row(struct cells *cells, const struct client_job *job, int64_t now_ns)
{
    char job_id[ID_JOB_TEXT_SIZE];
    char start[CLOCK_TEXT_SIZE];
    char duration[CLOCK_TEXT_SIZE];

    id_job_format(job->job_id, job_id);
    format_time(job->start_ns, start);
    format_duration(job, now_ns, duration);
    cells_add(cells, job_id);
    cells_add(cells, client_job_state_words(job->state));
    cells_take(cells,
               memory_format("%" PRIu64 "/%" PRIu64, job->succeeded, job->total));
    cells_add_number(cells, job->failed);
    cells_add(cells, start);
    cells_add(cells, duration);
}

static bool none_failed(const struct client_detail *detail)
{
    for (size_t i = 0; i < detail->job_count; i++) {
        if (detail->jobs[i].failed > 0) {
            return false;
        }
    }
    return true;
}

static void show_jobs(struct buffer *out,
                      const struct show *show,
                      const struct client_detail *detail)
{
    const struct render_column columns[] = {
        {"job id"},
        {"status"},
        {"progress"},
        {"failed", .hidden = none_failed(detail)},
        {"start time"},
        {"duration"},
    };
    struct cells cells = {0};

    if (detail->job_count == 0) {
        buffer_add_text(out, "no submitted jobs\n");
        return;
    }
    for (size_t i = 0; i < detail->job_count; i++) {
        add_job_row(&cells, &detail->jobs[i], show->now_ns);
    }
    cells_print(&cells, out, columns, COUNT(columns), show->bold);
}

static void show_versions(struct buffer *out,
                          const struct show *show,
                          const struct client_detail *detail)
{
    static const struct render_column columns[] = {{"api id"}, {"last deployed"}};
    struct cells cells = {0};
    char ago[CLOCK_TEXT_SIZE];

    for (size_t i = 0; i < detail->version_count; i++) {
        format_ago(detail->versions[i].deployed_ns, show->now_ns, ago);
        cells_add(&cells, detail->versions[i].api_id);
        cells_take(&cells, memory_format("%s ago", ago));
    }
    buffer_add_char(out, '\n');
    cells_print(&cells, out, columns, COUNT(columns), show->bold);
}

static void show_title(struct buffer *out, const struct show *show, const char *title)
{
    buffer_add_char(out, '\n');
    render_bold(out, title, show->bold);
    buffer_add_char(out, '\n');
}

void show_api(struct buffer *out,
              const struct show *show,
              const struct client_detail *detail)
{
    show_jobs(out, show, detail);
    buffer_add_char(out, '\n');
    render_bold(out, "endpoint", show->bold);
    buffer_add_format(out, ": %s%s\n", show->bridge_url, detail->definition.endpoint);
    if (show->verbose) {
        show_versions(out, show, detail);
        show_title(out, show, "api configuration");
        render_json(out, detail->definition.spec);
    }
}

/* One job */

static void
show_times(struct buffer *out, const struct show *show, const struct client_job *job)
{
    char start[CLOCK_TEXT_SIZE];
    char end[CLOCK_TEXT_SIZE];
    char duration[CLOCK_TEXT_SIZE];

    format_time(job->start_ns, start);
    format_time(job->end_ns, end);
    format_duration(job, show->now_ns, duration);
    const struct render_pair pairs[] = {
        {"start time", start},
        {"end time", end},
        {"duration", duration},
    };
    buffer_add_char(out, '\n');
    render_pairs(out, pairs, COUNT(pairs), show->bold);
}

// Counts mean nothing while batches are still being made.
static void
show_batches(struct buffer *out, const struct show *show, const struct client_job *job)
{
    static const struct render_column columns[] = {
        {"total"}, {"succeeded"}, {"failed"}, {"avg time per batch"}};
    bool known = job->state != CLIENT_JOB_ENQUEUING;
    struct cells cells = {0};
    char average[CLOCK_TEXT_SIZE] = NONE;

    if (job->succeeded > 0) {
        clock_format_average((int64_t)(job->succeeded_us / job->succeeded / 1000),
                             average);
    }
    if (known) {
        cells_add_number(&cells, job->total);
        cells_add_number(&cells, job->succeeded);
        cells_add_number(&cells, job->failed);
    } else {
        cells_add(&cells, NONE);
        cells_add(&cells, NONE);
        cells_add(&cells, NONE);
    }
    cells_add(&cells, average);
    show_title(out, show, "batch stats");
    cells_print(&cells, out, columns, COUNT(columns), show->bold);
}

static void show_worker_counts(struct buffer *out,
                               const struct show *show,
                               const struct client_job *job)
{
    const struct render_column columns[] = {
        {"requested"},
        {"pending", .hidden = job->workers_pending == 0},
        {"initializing"},
        {"stalled", .hidden = job->workers_stalled == 0},
        {"running"},
        {"failed"},
        {"succeeded"},
    };
    const uint32_t counts[] = {
        job->workers,
        job->workers_pending,
        job->workers_initializing,
        job->workers_stalled,
        job->workers_running,
        job->workers_failed,
        job->workers_succeeded,
    };
    struct cells cells = {0};

    for (size_t i = 0; i < COUNT(counts); i++) {
        cells_add_number(&cells, counts[i]);
    }
    show_title(out, show, "worker stats");
    cells_print(&cells, out, columns, COUNT(columns), show->bold);
}

static void
show_workers(struct buffer *out, const struct show *show, const struct client_job *job)
{
    if (job->state == CLIENT_JOB_ENQUEUING) {
        buffer_add_text(out,
                        "\nworkers are started when all batches have been enqueued\n");
    } else if (client_job_state_terminal(job->state)) {
        buffer_add_text(out, "\nthe job has ended and has no workers any more\n");
    } else if (job->has_worker_counts) {
        show_worker_counts(out, show, job);
    } else {
        buffer_add_text(out, "\nworker stats are not available at the moment\n");
    }
}

static void
show_settings(struct buffer *out, const struct show *show, const struct client_job *job)
{
    struct buffer json = BUFFER_INIT;
    struct json_writer writer = {.out = &json};

    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "api_id", job->api_id);
    json_writer_number(&writer, "workers", job->workers);
    if (job->timeout_s > 0) {
        json_writer_number(&writer, "timeout", job->timeout_s);
    } else {
        json_writer_null(&writer, "timeout");
    }
    json_writer_number(&writer, "max_attempts", job->max_attempts);
    json_writer_text_or_null(&writer, "dead_letter_queue", job->dead_letter_arn);
    json_writer_raw(&writer, "config", job->config);
    json_writer_close(&writer, '}');
    show_title(out, show, "job configuration");
    render_json(out, buffer_text(&json));
    buffer_fini(&json);
}

void show_job(struct buffer *out,
              const struct show *show,
              const struct client_job *job,
              const struct client_definition *definition)
{
    char job_id[ID_JOB_TEXT_SIZE];

    id_job_format(job->job_id, job_id);
    const struct render_pair head[] = {
        {"job id", job_id},
        {"status", client_job_state_words(job->state)},
        {"reason", *job->reason ? job->reason : NULL},
    };
    render_pairs(out, head, COUNT(head), show->bold);
    show_times(out, show, job);
    show_batches(out, show, job);
    show_workers(out, show, job);
    buffer_add_char(out, '\n');
    render_bold(out, "job endpoint", show->bold);
    buffer_add_format(
        out, ": %s%s/%s\n", show->bridge_url, definition->endpoint, job_id);
    if (show->verbose) {
        show_settings(out, show, job);
        show_title(out, show, "api configuration");
        render_json(out, definition->spec);
    }
}
