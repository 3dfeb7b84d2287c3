/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_clock.c - can any time and any id be written, and read again? */
#include "common/clock.h"
#include "common/id.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char text[CLOCK_TEXT_SIZE];
    char name[ID_JOB_TEXT_SIZE];
    int64_t number = 0;
    uint64_t job_id = 0;

    for (int i = 0; i < 8; i++) {
        number = (int64_t)((uint64_t)number << 8 | fuzz_take_byte(&input));
    }
    clock_format_display(number, text);
    fuzz_check(*text != '\0', "a time is written");
    clock_format_rfc3339(number, text);
    clock_format_log(number, text);
    clock_format_duration(number, text);
    clock_format_average(number, text);
    clock_format_ago(number, text);

    id_job_format((uint64_t)number, name);
    fuzz_check(id_job_parse(name, &job_id) && job_id == (uint64_t)number,
               "an id is read");
    (void)id_job_time_ns(job_id);
    (void)id_job_at(number);
    char *sent = fuzz_take_text(&input);
    if (id_job_parse(sent, &job_id)) {
        id_job_format(job_id, name);
        fuzz_check(strcmp(name, sent) == 0, "an id has one spelling");
    }
    free(sent);
    return 0;
}
