/* SPDX-License-Identifier: Apache-2.0 */
/* logs.c - `cortex logs`: a job's log, to its end */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/command.h"
#include "client/cli/connection.h"
#include "client/cli/get.h"
#include "client/cli/output.h"
#include "common/clock.h"

#define WAIT_MS        5000   /* parked at the master, between looks at our reader */
#define RETRY_PAUSE_MS 250    /* after an answer that another try may better */
#define PATIENCE_MS    300000 /* without an answer: a restart of the master */

static const char *env_name;

static const struct option_row rows[] = {
    CONNECTION_OPTION(&env_name),
    {0},
};

struct reading {
    const char *api_name;
    uint64_t job_id;
    uint64_t offset;
    int64_t answered_ms; /* when the master last answered */
    bool lost;           /* and the user was told that it does not */
};

// Nobody reads any more, and the job may be silent for hours: end as writing would.
static void leave_if_unread(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    if (poll(&out, 1, 0) == 1 && (out.revents & POLLERR)) {
        (void)raise(SIGPIPE);
    }
}

static int take_failure(struct reading *reading, struct error *err)
{
    const struct timespec pause = {.tv_nsec = RETRY_PAUSE_MS * 1000000L};

    if (!error_code_retryable(err->code) ||
        clock_monotonic_ms() - reading->answered_ms >= PATIENCE_MS) {
        return -1;
    }
    if (!reading->lost) {
        output_hint("the master does not answer; trying again");
    }
    reading->lost = true;
    (void)nanosleep(&pause, NULL);
    return 0;
}

static int
take_piece(struct reading *reading, const struct client_log *log, struct error *err)
{
    reading->answered_ms = clock_monotonic_ms();
    reading->lost = false;
    if (log->offset > reading->offset) {
        output_hint("%" PRIu64 " bytes of the log are not kept any more",
                    log->offset - reading->offset);
    }
    reading->offset = log->next_offset;
    return log->size > 0 ? output_write(log->data, log->size, err) : 0;
}

static int
read_to_end(struct client_api *api, struct reading *reading, struct error *err)
{
    struct client_log log = {0};

    while (!log.end) {
        int result = client_api_read_log(api,
                                         reading->api_name,
                                         reading->job_id,
                                         reading->offset,
                                         WAIT_MS,
                                         &log,
                                         err);
        result =
            result == 0 ? take_piece(reading, &log, err) : take_failure(reading, err);
        if (result != 0) {
            return -1;
        }
        leave_if_unread();
    }
    return 0;
}

static int logs_run(char **positional, int count, struct error *err)
{
    struct connection connection;
    struct reading reading = {.api_name = positional[0]};

    if (count < 2) {
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "which job's? `cortex get %s` lists the jobs, `cortex logs %s "
                         "JOB_ID` prints the log of one",
                         positional[0],
                         positional[0]);
    }
    if (get_read_job_id(positional[1], &reading.job_id, err) != 0 ||
        connection_open(env_name, &connection, err) != 0) {
        return -1;
    }
    reading.answered_ms = clock_monotonic_ms();
    int result = read_to_end(connection.api, &reading, err);
    connection_fini(&connection);
    return result;
}

const struct command command_logs = {
    .name = "logs",
    .usage = "[OPTION]... API JOB_ID",
    .brief = "print the log of a job and follow it to its end",
    .summary =
        "Prints what a job and its workers have logged, and what they log from now on,"
        "\nuntil the job has ended. The log of a job that has ended is printed "
        "whole.\n\n"
        "Leaving it (Ctrl-C) leaves the job alone; to stop a job, see `cortex delete`.",
    .examples = "cortex logs image-classifier 69d6faf82e4660d3\n"
                "cortex logs image-classifier 69d6faf82e4660d3 | grep ERROR",
    .rows = rows,
    .positional_min = 1,
    .positional_max = 2,
    .run = logs_run,
};
