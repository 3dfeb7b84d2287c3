/* SPDX-License-Identifier: Apache-2.0 */
/* test_runner.c - are frames of runners read and written right, whatever comes; and are
 * the rules of a predictor's signature held */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/home.h"
#include "agent/runner.h"
#include "common/fs.h"

static void add_result(struct buffer *out, int status, const char *text)
{
    uint32_t size = (uint32_t)(1 + 17 + strlen(text));
    unsigned char head[22] = {size & 255, size >> 8 & 255, 0, 0, RUNNER_RESULT};

    head[5] = (unsigned char)status;
    head[6] = 0x40; // start: 1,000,000 us
    head[7] = 0x42;
    head[8] = 0x0F;
    head[14] = 7; // duration
    buffer_add(out, head, sizeof(head));
    buffer_add_text(out, text);
}

static void a_batch_is_written_as_the_runner_expects_it(void **state)
{
    struct buffer out = BUFFER_INIT;

    (void)state;
    runner_write_batch(&out, "c9136381-6dcc-45bd-bd97-cc9c66ccc6d6", "[1]", 3);
    assert_int_equal(out.size, 44);
    assert_memory_equal(
        out.data, "\x28\0\0\0\2c9136381-6dcc-45bd-bd97-cc9c66ccc6d6[1]", 44);
    buffer_fini(&out);
}

static void a_result_is_read_at_every_cut(void **state)
{
    struct buffer whole = BUFFER_INIT;
    struct runner_frame frame;
    size_t at = 0;

    (void)state;
    add_result(&whole, RUNNER_VALUE, "{\"a\":1}");
    for (size_t size = 0; size < whole.size; size++) {
        struct buffer part = {.data = whole.data, .size = size};

        assert_int_equal(runner_read(&part, &at, &frame, NULL), 0);
        assert_int_equal(at, 0);
    }
    assert_int_equal(runner_read(&whole, &at, &frame, NULL), 1);
    assert_int_equal(at, whole.size);
    assert_int_equal(frame.status, RUNNER_VALUE);
    assert_int_equal(frame.start_ms, 1000);
    assert_int_equal(frame.duration_us, 7);
    assert_int_equal(frame.text_size, 7);
    assert_memory_equal(frame.text, "{\"a\":1}", 7);
    buffer_fini(&whole);
}

static void what_no_runner_sends_is_refused(void **state)
{
    const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\x01\0\0\0\x02", 5},         // the agent's own type
        {"\x01\0\0\0\xff", 5},         // no type
        {"\0\0\0\0\x13", 5},           // no room for the type
        {"\x05\0\0\0\x12\0\0\0\0", 9}, // a result without its numbers
        {"\xff\xff\xff\xff\x12", 5},   // 4 GiB to come
        {"\x12\0\0\0\x12\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22}, // status 3
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer in = BUFFER_INIT;
        struct runner_frame frame;
        struct error err = {0};
        size_t at = 0;

        buffer_add(&in, cases[i].bytes, cases[i].size);
        assert_int_equal(runner_read(&in, &at, &frame, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        buffer_fini(&in);
    }
}

static void two_frames_in_one_read_are_both_there(void **state)
{
    struct buffer in = BUFFER_INIT;
    struct runner_frame frame;
    size_t at = 0;

    (void)state;
    add_result(&in, RUNNER_NOTHING, "");
    add_result(&in, RUNNER_FAILED, "why");
    assert_int_equal(runner_read(&in, &at, &frame, NULL), 1);
    assert_int_equal(frame.status, RUNNER_NOTHING);
    assert_int_equal(runner_read(&in, &at, &frame, NULL), 1);
    assert_int_equal(frame.status, RUNNER_FAILED);
    assert_int_equal(runner_read(&in, &at, &frame, NULL), 0);
    buffer_fini(&in);
}

/* Python's side is Python's to check: the tables are in the scripts. */
static void check_in_python(const char *script)
{
    char template[] = "/tmp/cortex-test-XXXXXX";
    char *folder = mkdtemp(template);
    char *runner = fs_join(folder, "runner");
    int status = -1;
    pid_t pid;

    assert_int_equal(home_write_runner(folder, NULL), 0);
    pid = fork();
    if (pid == 0) {
        (void)execl("/usr/bin/python3", "python3", "-B", script, runner, NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    free(runner);
    assert_int_equal(fs_remove_tree(folder, NULL), 0);
}

static void every_rule_of_a_predictors_signature_is_held(void **state)
{
    (void)state;
    check_in_python(TEST_SOURCE_DIR "/tests/unit/predictor_rules.py");
}

static void a_runner_ends_in_good_order_when_its_agent_talks_nonsense(void **state)
{
    (void)state;
    check_in_python(TEST_SOURCE_DIR "/tests/unit/runner_frames.py");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_written_as_the_runner_expects_it),
        cmocka_unit_test(a_result_is_read_at_every_cut),
        cmocka_unit_test(what_no_runner_sends_is_refused),
        cmocka_unit_test(two_frames_in_one_read_are_both_there),
        cmocka_unit_test(every_rule_of_a_predictors_signature_is_held),
        cmocka_unit_test(a_runner_ends_in_good_order_when_its_agent_talks_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
