/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - how `cortex get --watch` goes on until there is nothing left to watch */
#include "client/cli/watch.h"

#include <string.h>
#include <time.h>

#include "client/cli/output.h"
#include "client/cli/progress.h"
#include "client/cli/screen.h"
#include "common/clock.h"

#define PERIOD_MS   1000
#define ANSWER_MS   5000   /* for an answer, then the user is told */
#define PATIENCE_MS 300000 /* without an answer */
#define BARS_MAX    10     /* jobs of one API with a bar of their own */

struct bar {
    uint64_t job_id;
    struct progress progress;
};

struct watch {
    const struct get_question *question;
    bool draws;          /* on a terminal */
    int64_t answered_ms; /* when the master last answered */
    struct bar bars[BARS_MAX];
};

static void
add_heading(struct buffer *out, const struct get_question *question, unsigned width)
{
    char job_id[ID_JOB_TEXT_SIZE];
    char now[64];
    struct tm local;
    time_t seconds = time(NULL);
    size_t start = out->size;

    buffer_add_text(out, "$ cortex get");
    if (question->api_name) {
        buffer_add_format(out, " %s", question->api_name);
    }
    if (question->has_job) {
        id_job_format(question->job_id, job_id);
        buffer_add_format(out, " %s", job_id);
    }
    if (question->env_name) {
        buffer_add_format(out, " --env %s", question->env_name);
    }
    (void)localtime_r(&seconds, &local);
    size_t size = strftime(now, sizeof(now), "%H:%M:%S %Z", &local);
    do {
        buffer_add_char(out, ' ');
    } while (out->size - start + size < width);
    buffer_add_format(out, "%.*s\n\n", (int)size, now);
}

// The job's own bar, or the first that no job in progress has.
static struct bar *find_bar(struct watch *watch, uint64_t job_id)
{
    struct bar *spare = NULL;

    for (struct bar *bar = watch->bars; bar < watch->bars + BARS_MAX; bar++) {
        if (bar->job_id == job_id) {
            return bar;
        }
        spare = !spare && bar->job_id == 0 ? bar : spare;
    }
    if (spare) {
        *spare = (struct bar){.job_id = job_id};
    }
    return spare;
}

static void add_bar(struct watch *watch,
                    struct buffer *out,
                    const struct client_job *job,
                    bool named)
{
    char job_id[ID_JOB_TEXT_SIZE];
    struct bar *bar = find_bar(watch, job->job_id);

    if (!bar) {
        return;
    }
    if (client_job_state_terminal(job->state)) {
        bar->job_id = 0; // somebody else's from now on
        return;
    }
    progress_add(&bar->progress, clock_monotonic_ms(), job->succeeded + job->failed);
    if (named) {
        id_job_format(job->job_id, job_id);
        buffer_add_format(out, "%s   ", job_id);
    }
    progress_render(out, &bar->progress, job->total);
    buffer_add_char(out, '\n');
}

static void
add_bars(struct watch *watch, struct buffer *out, const struct get_answer *answer)
{
    if (watch->question->has_job) {
        add_bar(watch, out, &answer->job, false);
    }
    for (size_t i = 0; i < answer->detail.job_count; i++) {
        add_bar(watch, out, &answer->detail.jobs[i], true);
    }
}

// The heading, then the bars, which a low window must not cut, then all the rest.
static void
add_frame(struct watch *watch, struct buffer *out, const struct get_answer *answer)
{
    size_t bars = out->size;

    if (!watch->question->json) {
        add_bars(watch, out, answer);
    }
    if (out->size > bars) {
        buffer_add_char(out, '\n');
    }
    get_render(out, watch->question, answer);
}

// answer NULL: there is none, and why is a sentence.
static int draw(struct watch *watch,
                const struct get_answer *answer,
                const char *why,
                struct error *err)
{
    struct buffer frame = BUFFER_INIT;

    if (!watch->draws) {
        return 0;
    }
    add_heading(&frame, watch->question, screen_width());
    if (answer) {
        add_frame(watch, &frame, answer);
    } else {
        buffer_add_format(&frame, "%s; trying again\n", why);
    }
    int result = screen_draw(&frame, err);
    buffer_fini(&frame);
    return result;
}

static int
print_last(struct watch *watch, const struct get_answer *answer, struct error *err)
{
    struct buffer text = BUFFER_INIT;

    screen_close();
    get_render(&text, watch->question, answer);
    return output_take(&text, err);
}

// Until one second after the last look.
static void pause_until(int64_t at_ms)
{
    int64_t left_ms = at_ms - clock_monotonic_ms();
    struct timespec pause = {.tv_sec = left_ms / 1000,
                             .tv_nsec = left_ms % 1000 * 1000000};

    if (left_ms > 0) {
        (void)nanosleep(&pause, NULL);
    }
}

static bool bears(const struct watch *watch, const struct error *err)
{
    return error_code_retryable(err->code) &&
           clock_monotonic_ms() - watch->answered_ms < PATIENCE_MS;
}

// One look; *out_over says whether it was the last.
static int
look(struct watch *watch, struct client_api *api, bool *out_over, struct error *err)
{
    struct get_answer answer;

    if (get_ask(api, watch->question, &answer, err) != 0) {
        struct error why = *err;
        return bears(watch, err) ? draw(watch, NULL, why.message, err) : -1;
    }
    watch->answered_ms = clock_monotonic_ms();
    *out_over = get_is_over(watch->question, &answer);
    int result =
        *out_over ? print_last(watch, &answer, err) : draw(watch, &answer, NULL, err);
    get_answer_fini(&answer);
    return result;
}

int watch_run(struct client_api *api,
              const struct get_question *question,
              struct error *err)
{
    struct watch watch = {.question = question,
                          .draws = output_is_terminal(),
                          .answered_ms = clock_monotonic_ms()};
    bool over = false;
    int result = 0;

    client_api_set_timeout(api, ANSWER_MS);
    if (watch.draws) {
        screen_open();
    }
    while (result == 0 && !over) {
        int64_t next_ms = clock_monotonic_ms() + PERIOD_MS;
        result = look(&watch, api, &over, err);
        if (result == 0 && !over) {
            pause_until(next_ms);
        }
    }
    screen_close();
    return result;
}
