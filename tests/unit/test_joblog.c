/* SPDX-License-Identifier: Apache-2.0 */
/* test_joblog.c - is a log read as it was written, late or while one waits? */
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "master/joblog.h"

#define JOB     UINT64_C(0x69d6faf82e4660d3)
#define FOREVER 100000 /* ms; a test that waits so long hangs */

struct fixture {
    char folder[32];
    struct joblog *log;
};

/* An answer, and that it has come. */
struct answer {
    sem_t come;
    struct buffer bytes;
    uint64_t offset;
    uint64_t next;
    bool end;
    struct error err;
};

static void open_log(struct fixture *fixture)
{
    assert_int_equal(joblog_create(fixture->folder, &fixture->log, NULL), 0);
}

static int setup(void **state)
{
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));

    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/joblog-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    open_log(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    joblog_destroy(fixture->log);
    (void)fs_remove_tree(fixture->folder, NULL);
    free(fixture);
    return 0;
}

static void answer_init(struct answer *answer)
{
    *answer = (struct answer){0};
    sem_init(&answer->come, 0, 0);
}

static void answer_fini(struct answer *answer)
{
    sem_destroy(&answer->come);
    buffer_fini(&answer->bytes);
}

static void read_done(void *arg,
                      const void *data,
                      size_t size,
                      uint64_t offset,
                      uint64_t next_offset,
                      bool end,
                      const struct error *err)
{
    struct answer *answer = arg;

    buffer_add(&answer->bytes, data, size);
    answer->offset = offset;
    answer->next = next_offset;
    answer->end = end;
    (void)error_copy(&answer->err, err);
    sem_post(&answer->come);
}

static void append_done(void *arg, const struct error *err)
{
    struct answer *answer = arg;

    (void)error_copy(&answer->err, err);
    sem_post(&answer->come);
}

static void append(struct fixture *fixture, uint64_t job_id, const char *text)
{
    joblog_append(fixture->log, job_id, text, strlen(text), NULL, NULL);
}

// Reads without waiting; the bytes must be those.
static void expect(struct fixture *fixture,
                   uint64_t job_id,
                   uint64_t offset,
                   bool closed,
                   const char *text,
                   bool end)
{
    struct answer answer;

    answer_init(&answer);
    joblog_read(fixture->log, job_id, offset, 0, closed, read_done, &answer);
    sem_wait(&answer.come);
    assert_string_equal(buffer_text(&answer.bytes), text);
    assert_int_equal(answer.next, answer.offset + strlen(text));
    assert_int_equal(answer.end, end);
    assert_int_equal(answer.err.code, ERROR_OK);
    answer_fini(&answer);
}

static void what_was_appended_is_read_from_any_offset(void **state)
{
    struct fixture *fixture = *state;

    append(fixture, JOB, "first line\n");
    append(fixture, JOB, "second\n");
    expect(fixture, JOB, 0, false, "first line\nsecond\n", false);
    expect(fixture, JOB, 11, false, "second\n", false);
    expect(fixture, JOB, 18, false, "", false);
    expect(fixture, JOB, 18, true, "", true);
    expect(fixture, JOB, 11, true, "second\n", true);
    expect(fixture, JOB, 5000, true, "", true);
}

static void jobs_have_logs_of_their_own(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < 3; i++) {
        append(fixture, 1, "a");
        append(fixture, 2, "b");
    }
    expect(fixture, 1, 0, false, "aaa", false);
    expect(fixture, 2, 0, false, "bbb", false);
    expect(fixture, 3, 0, false, "", false);
}

static void a_log_goes_on_behind_a_restart(void **state)
{
    struct fixture *fixture = *state;

    append(fixture, JOB, "before\n");
    joblog_destroy(fixture->log); // does what is queued
    open_log(fixture);
    append(fixture, JOB, "behind\n");
    expect(fixture, JOB, 0, false, "before\nbehind\n", false);
}

static void who_appends_is_told_when_it_is_in_the_file(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    struct buffer text = BUFFER_INIT;
    char *path = fs_join(fixture->folder, "69d6faf82e4660d3/log.00000000");

    answer_init(&answer);
    joblog_append(fixture->log, JOB, "line\n", 5, append_done, &answer);
    sem_wait(&answer.come);
    assert_int_equal(answer.err.code, ERROR_OK);
    assert_int_equal(fs_read(path, 100, &text, NULL), 0);
    assert_string_equal(buffer_text(&text), "line\n");
    buffer_fini(&text);
    answer_fini(&answer);
    free(path);
}

static void an_append_that_fails_says_so_and_the_next_may_succeed(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    char *path = fs_join(fixture->folder, "0000000000000007");

    answer_init(&answer);
    assert_int_equal(fs_write_durable(path, "in the way", 10, 0600, NULL), 0);
    joblog_append(fixture->log, 7, "line\n", 5, append_done, &answer);
    sem_wait(&answer.come);
    assert_int_not_equal(answer.err.code, ERROR_OK);
    assert_non_null(strstr(answer.err.message, path));
    assert_int_equal(fs_remove(path, NULL), 0);
    answer.err.code = ERROR_OK;
    joblog_append(fixture->log, 7, "line\n", 5, append_done, &answer);
    sem_wait(&answer.come);
    assert_int_equal(answer.err.code, ERROR_OK);
    expect(fixture, 7, 0, false, "line\n", false);
    answer_fini(&answer);
    free(path);
}

static void a_reader_that_waits_is_answered_by_the_next_line_of_its_job(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;

    answer_init(&answer);
    append(fixture, JOB, "old\n");
    joblog_read(fixture->log, JOB, 4, FOREVER, false, read_done, &answer);
    append(fixture, 5, "another job's\n");
    expect(fixture, 5, 0, false, "another job's\n", false);
    assert_int_equal(sem_trywait(&answer.come), -1);
    append(fixture, JOB, "new\n");
    sem_wait(&answer.come);
    assert_string_equal(buffer_text(&answer.bytes), "new\n");
    assert_int_equal(answer.offset, 4);
    answer_fini(&answer);
}

static void a_reader_that_waits_is_told_that_the_log_is_closed(void **state)
{
    struct fixture *fixture = *state;
    struct answer answers[2];

    append(fixture, JOB, "all\n");
    for (int i = 0; i < 2; i++) {
        answer_init(&answers[i]);
        joblog_read(fixture->log, JOB, 4, FOREVER, false, read_done, &answers[i]);
    }
    joblog_close(fixture->log, JOB);
    for (int i = 0; i < 2; i++) {
        sem_wait(&answers[i].come);
        assert_true(answers[i].end);
        assert_int_equal(answers[i].bytes.size, 0);
        answer_fini(&answers[i]);
    }
}

static void a_wait_ends_with_nothing_when_its_time_is_up(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;

    answer_init(&answer);
    joblog_read(fixture->log, JOB, 0, 20, false, read_done, &answer);
    sem_wait(&answer.come);
    assert_int_equal(answer.bytes.size, 0);
    assert_false(answer.end);
    answer_fini(&answer);
}

static void nobody_is_left_waiting_once_the_log_is_released(void **state)
{
    struct fixture *fixture = *state;
    struct answer answers[2]; // one waits, the other comes afterwards

    answer_init(&answers[0]);
    answer_init(&answers[1]);
    joblog_read(fixture->log, JOB, 0, FOREVER, false, read_done, &answers[0]);
    joblog_release(fixture->log);
    sem_wait(&answers[0].come);
    joblog_read(fixture->log, JOB, 0, FOREVER, false, read_done, &answers[1]);
    sem_wait(&answers[1].come);
    answer_fini(&answers[0]);
    answer_fini(&answers[1]);
}

static void nobody_is_left_waiting_when_the_log_ends(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;

    answer_init(&answer);
    joblog_read(fixture->log, JOB, 0, FOREVER, false, read_done, &answer);
    joblog_destroy(fixture->log);
    assert_int_equal(sem_trywait(&answer.come), 0);
    open_log(fixture);
    answer_fini(&answer);
}

static void a_forgotten_log_is_gone_and_its_readers_know(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer;
    char *path = fs_join(fixture->folder, "69d6faf82e4660d3");

    answer_init(&answer);
    append(fixture, JOB, "line\n");
    joblog_read(fixture->log, JOB, 5, FOREVER, false, read_done, &answer);
    joblog_forget(fixture->log, JOB);
    sem_wait(&answer.come);
    assert_true(answer.end);
    assert_false(fs_exists(path));
    expect(fixture, JOB, 0, true, "", true);
    append(fixture, JOB, "anew\n");
    expect(fixture, JOB, 0, false, "anew\n", false);
    answer_fini(&answer);
    free(path);
}

static void a_long_log_is_read_whole_over_its_chunks(void **state)
{
    struct fixture *fixture = *state;
    size_t size = 3 * (size_t)JOBLOG_CHUNK_SIZE + 77;
    char *text = memory_zalloc(size);
    uint64_t offset = 0;

    for (size_t i = 0; i < size; i++) {
        text[i] = (char)('a' + i % 23);
    }
    joblog_append(fixture->log, JOB, text, size, NULL, NULL);
    while (offset < size) {
        struct answer answer;
        answer_init(&answer);
        joblog_read(fixture->log, JOB, offset, 0, true, read_done, &answer);
        sem_wait(&answer.come);
        assert_int_equal(answer.offset, offset);
        assert_in_range(answer.bytes.size, 1, JOBLOG_READ_SIZE_MAX);
        assert_memory_equal(answer.bytes.data, text + offset, answer.bytes.size);
        offset = answer.next;
        assert_int_equal(answer.end, offset == size);
        answer_fini(&answer);
    }
    free(text);
}

static char *chunk_path(struct fixture *fixture, uint64_t chunk)
{
    return memory_format("%s/%016llx/log.%08llu",
                         fixture->folder,
                         (unsigned long long)JOB,
                         (unsigned long long)chunk);
}

static void the_start_and_the_last_64_mib_of_a_log_are_kept(void **state)
{
    struct fixture *fixture = *state;
    char *megabytes = memory_zalloc(JOBLOG_CHUNK_SIZE);
    const uint64_t chunks = JOBLOG_CHUNKS_MAX + 4;

    memset(megabytes, 'x', JOBLOG_CHUNK_SIZE);
    for (uint64_t i = 0; i < chunks; i++) {
        joblog_append(fixture->log, JOB, megabytes, JOBLOG_CHUNK_SIZE, NULL, NULL);
    }
    append(fixture, JOB, "the end\n");
    expect(fixture, JOB, chunks * JOBLOG_CHUNK_SIZE, true, "the end\n", true);
    for (uint64_t chunk = 0; chunk <= chunks; chunk++) {
        char *path = chunk_path(fixture, chunk);
        assert_int_equal(fs_exists(path),
                         chunk == 0 || chunk > chunks - JOBLOG_CHUNKS_MAX);
        free(path);
    }
    // Who asks for what was dropped is taken to what is left behind it.
    struct answer answer;
    answer_init(&answer);
    joblog_read(fixture->log, JOB, JOBLOG_CHUNK_SIZE + 5, 0, false, read_done, &answer);
    sem_wait(&answer.come);
    assert_int_equal(answer.err.code, ERROR_OK);
    assert_int_equal(answer.offset,
                     (chunks - JOBLOG_CHUNKS_MAX + 1) * JOBLOG_CHUNK_SIZE);
    assert_int_equal(answer.bytes.data[0], 'x');
    answer_fini(&answer);
    free(megabytes);
}

// As a log of 200 MiB is found by a master that starts: the first chunk, a gap, the
// rest.
static void a_log_with_a_wide_gap_goes_on_behind_its_end(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t last = 3 * JOBLOG_CHUNKS_MAX;

    append(fixture, JOB, "x");
    expect(fixture, JOB, 0, false, "x", false);
    joblog_destroy(fixture->log);
    for (uint64_t chunk = 0; chunk <= last; chunk++) {
        if (chunk > 0 && chunk <= last - JOBLOG_CHUNKS_MAX) {
            continue;
        }
        char *path = chunk_path(fixture, chunk);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, chunk == last ? 10 : JOBLOG_CHUNK_SIZE), 0);
        (void)close(fd);
        free(path);
    }
    open_log(fixture);
    append(fixture, JOB, "the end\n");
    expect(fixture, JOB, last * JOBLOG_CHUNK_SIZE + 10, true, "the end\n", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_was_appended_is_read_from_any_offset, setup, teardown),
        cmocka_unit_test_setup_teardown(jobs_have_logs_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_log_goes_on_behind_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(
            who_appends_is_told_when_it_is_in_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(
            an_append_that_fails_says_so_and_the_next_may_succeed, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_reader_that_waits_is_answered_by_the_next_line_of_its_job,
            setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            a_reader_that_waits_is_told_that_the_log_is_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_wait_ends_with_nothing_when_its_time_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(
            nobody_is_left_waiting_once_the_log_is_released, setup, teardown),
        cmocka_unit_test_setup_teardown(
            nobody_is_left_waiting_when_the_log_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_forgotten_log_is_gone_and_its_readers_know, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_long_log_is_read_whole_over_its_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_start_and_the_last_64_mib_of_a_log_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_log_with_a_wide_gap_goes_on_behind_its_end, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
