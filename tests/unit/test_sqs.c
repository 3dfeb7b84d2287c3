/* SPDX-License-Identifier: Apache-2.0 */
/* test_sqs.c - is a message put to its queue once, whole and signed, and is a refusal
 * told from a pause?
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/latch.h"
#include "common/sqs.h"
#include "tests/support/scripted_http.h"

#define ARN     "arn:aws:sqs:eu-west-1:123456789012:failed"
#define TAKEN   "{\"MessageId\":\"1\"}"
#define MISSING "com.amazonaws.sqs#QueueDoesNotExist"

/* A server with one reply for each of the first requests, the last one for all others,
 * and what came last. */
struct fixture {
    struct scripted_http *server;
    pthread_mutex_t lock; // what the server's threads did is seen once it was held
    struct sqs *sqs;
    struct step {
        int status;
        const char *body;
        bool reset;
        unsigned stall_ms;
        const char *headers;
    } steps[4];
    unsigned requests;
    char line[256]; // "METHOD target"
    char authorization[512];
    char date[64];
    char type[64];
    char target[64];
    char token[64];
    struct buffer body;
};

static void on_request(void *arg,
                       const struct scripted_request *request,
                       struct scripted_reply *reply)
{
    struct fixture *fixture = arg;
    const struct step *step = &fixture->steps[0];
    const struct {
        const char *name;
        char *out;
        size_t size;
    } rows[] = {
        {"authorization", fixture->authorization, sizeof(fixture->authorization)},
        {"x-amz-date", fixture->date, sizeof(fixture->date)},
        {"content-type", fixture->type, sizeof(fixture->type)},
        {"x-amz-target", fixture->target, sizeof(fixture->target)},
        {"x-amz-security-token", fixture->token, sizeof(fixture->token)},
    };

    pthread_mutex_lock(&fixture->lock);
    for (unsigned i = 0; i < fixture->requests && i < 3 && (step + 1)->status; i++) {
        step++;
    }
    fixture->requests++;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)scripted_header(request, rows[i].name, rows[i].out, rows[i].size);
    }
    (void)snprintf(fixture->line,
                   sizeof(fixture->line),
                   "%s %s",
                   request->method,
                   request->target);
    buffer_clear(&fixture->body);
    buffer_add(&fixture->body, request->body, request->body_size);
    reply->status = step->status;
    reply->reset = step->reset;
    reply->stall_ms = step->stall_ms;
    buffer_add_text(&reply->headers, step->headers ? step->headers : "");
    buffer_add_text(&reply->body, step->body ? step->body : "");
    pthread_mutex_unlock(&fixture->lock);
}

static int setup(void **state)
{
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));
    const struct sqs_options options = {.sends_max = 4, .backoff_ms = 1, .stall_s = 1};

    pthread_mutex_init(&fixture->lock, NULL);
    fixture->server = scripted_http_start(on_request, fixture);
    fixture->steps[0] = (struct step){.status = 200, .body = TAKEN};
    (void)setenv("AWS_ENDPOINT_URL_SQS", scripted_http_url(fixture->server), 1);
    (void)setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1); // the other one wins
    (void)setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    (void)setenv("AWS_SESSION_TOKEN", "session", 1);
    (void)setenv("AWS_REGION", "us-east-1", 1);
    (void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    (void)setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    (void)unsetenv("AWS_PROFILE");
    assert_int_equal(sqs_create(&options, &fixture->sqs, NULL), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    sqs_destroy(fixture->sqs);
    scripted_http_stop(fixture->server);
    buffer_fini(&fixture->body);
    pthread_mutex_destroy(&fixture->lock);
    free(fixture);
    return 0;
}

struct waiting {
    struct latch latch;
    enum sqs_outcome outcome;
};

static void on_done(void *arg, enum sqs_outcome outcome, const struct error *err)
{
    struct waiting *waiting = arg;

    waiting->outcome = outcome;
    latch_open(&waiting->latch, err);
}

static enum sqs_outcome send_bytes(struct fixture *fixture,
                                   const char *arn,
                                   const char *body,
                                   size_t size,
                                   struct error *err)
{
    const struct aws_sign_pair attributes[] = {{"api_name", "thing"},
                                               {"job_id", "0123456789abcdef"}};
    struct sqs_message message = {.id = "batch-id",
                                  .body = {body, size},
                                  .attributes = attributes,
                                  .attribute_count = 2};
    struct waiting waiting = {.latch = LATCH_INIT};

    assert_int_equal(sqs_arn_parse(arn, &message.queue, err), 0);
    sqs_send(fixture->sqs, &message, on_done, &waiting);
    int result = latch_wait(&waiting.latch, err);
    pthread_mutex_lock(&fixture->lock);
    pthread_mutex_unlock(&fixture->lock);
    assert_int_equal(result == 0, waiting.outcome == SQS_SENT);
    return waiting.outcome;
}

static enum sqs_outcome
send_text(struct fixture *fixture, const char *arn, const char *body, struct error *err)
{
    fixture->requests = 0;
    return send_bytes(fixture, arn, body, strlen(body), err);
}

// The signature made again from what came. Our signer passes AWS's own vectors.
static void assert_signed(const struct fixture *fixture)
{
    const char *host = scripted_http_url(fixture->server) + strlen("http://");
    char hash[AWS_SIGN_HASH_SIZE];
    struct tm tm = {0};
    struct aws_sign_result result = {0};
    const struct aws_sign_key key = {"AKID", "secret", "session"};
    const struct aws_sign_pair headers[] = {{"Host", host},
                                            {"Content-Type", fixture->type},
                                            {"X-Amz-Target", fixture->target}};

    assert_non_null(strptime(fixture->date, "%Y%m%dT%H%M%SZ", &tm));
    aws_sign_hash(fixture->body.data, fixture->body.size, hash);
    const struct aws_sign_request request = {.flags = AWS_SIGN_GENERIC,
                                             .method = "POST",
                                             .path = "/",
                                             .headers = headers,
                                             .header_count = 3,
                                             .payload_hash = hash,
                                             .region = "eu-west-1",
                                             .service = "sqs",
                                             .time_s = timegm(&tm)};
    aws_sign_header(&request, &key, &result);
    assert_string_equal(fixture->authorization, buffer_text(&result.authorization));
    aws_sign_result_fini(&result);
}

static void a_message_is_whole_and_signed_for_the_region_of_its_arn(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    char want[1024];

    assert_int_equal(
        send_text(fixture, ARN, "[\"\\u00e9\", 1.0,\t\"\xC3\xA9\"\n, 1e400]", &err),
        SQS_SENT);
    (void)snprintf(want,
                   sizeof(want),
                   "{\"QueueUrl\":\"%s/123456789012/failed\",\"MessageBody\":"
                   "\"[\\\"\\\\u00e9\\\", 1.0,\\t\\\"\xC3\xA9\\\"\\n, 1e400]\","
                   "\"MessageAttributes\":{\"api_name\":{\"DataType\":\"String\","
                   "\"StringValue\":\"thing\"},\"job_id\":{\"DataType\":\"String\","
                   "\"StringValue\":\"0123456789abcdef\"}}}",
                   scripted_http_url(fixture->server));
    assert_string_equal(buffer_text(&fixture->body), want);
    assert_string_equal(fixture->line, "POST /");
    assert_string_equal(fixture->type, "application/x-amz-json-1.0");
    assert_string_equal(fixture->target, "AmazonSQS.SendMessage");
    assert_string_equal(fixture->token, "session");
    assert_int_equal(fixture->requests, 1);
    assert_signed(fixture);
}

static void a_fifo_queue_is_told_what_makes_a_repeat_one(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    assert_int_equal(send_text(fixture, ARN ".fifo", "[1]", &err), SQS_SENT);
    assert_non_null(strstr(buffer_text(&fixture->body), "/123456789012/failed.fifo\""));
    assert_non_null(strstr(buffer_text(&fixture->body),
                           ",\"MessageGroupId\":\"batch-id\","
                           "\"MessageDeduplicationId\":\"batch-id\"}"));
    assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_SENT);
    assert_null(strstr(buffer_text(&fixture->body), "batch-id"));
}

static void what_fails_for_a_moment_is_tried_again(void **state)
{
    struct fixture *fixture = *state;
    const struct step troubles[] = {
        {.status = 500},
        {.status = 503, .body = "<html>no backend</html>"},
        {.status = 429},
        {.status = 400, .body = "{\"__type\":\"com.amazon.coral.service#Throttling\"}"},
        {.status = 400, .body = "{\"__type\":\"com.amazonaws.sqs#RequestThrottled\"}"},
        {.status = 200, .body = "<html>welcome to this hotel</html>"},
        {.status = 200, .reset = true},
    };

    for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
        struct error err = {0};
        fixture->steps[0] = troubles[i];
        fixture->steps[1] = (struct step){.status = 200, .body = TAKEN};
        assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_SENT);
        assert_int_equal(fixture->requests, 2);
        fixture->steps[1] = (struct step){0};
        assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_AWAY);
        assert_int_equal(fixture->requests, SQS_ATTEMPTS);
        assert_int_equal(err.code, ERROR_UNAVAILABLE);
        assert_non_null(strstr(err.message, "the queue failed: "));
    }
}

static void a_server_that_never_answers_is_away(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    fixture->steps[0] = (struct step){.status = 200, .stall_ms = 20000};
    assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_AWAY);
}

static void nobody_at_the_address_is_away(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    sqs_destroy(fixture->sqs);
    (void)setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1", 1);
    assert_int_equal(sqs_create(&(struct sqs_options){.sends_max = 1, .backoff_ms = 1},
                                &fixture->sqs,
                                NULL),
                     0);
    assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_AWAY);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
}

static void an_endpoint_that_is_none_is_named_and_waited_for(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    sqs_destroy(fixture->sqs);
    (void)setenv("AWS_ENDPOINT_URL_SQS", "ftp://queues", 1);
    assert_int_equal(
        sqs_create(&(struct sqs_options){.sends_max = 1}, &fixture->sqs, NULL), 0);
    assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_AWAY);
    assert_non_null(strstr(err.message, "got 'ftp://queues'"));
}

static void a_refusal_is_final_and_says_why(void **state)
{
    struct fixture *fixture = *state;
    const struct {
        struct step step;
        enum error_code code;
        const char *says;
    } rows[] = {
        {{.status = 400,
          .body = "{\"__type\":\"" MISSING "\",\"message\":\"no such queue\"}"},
         ERROR_NOT_FOUND,
         "the queue does not exist: status 400 QueueDoesNotExist: no such queue"},
        {{.status = 400,
          .body = "{\"__type\":\"AWS.SimpleQueueService.NonExistentQueue\"}"},
         ERROR_NOT_FOUND,
         "AWS.SimpleQueueService.NonExistentQueue"},
        {{.status = 403,
          .body = "{\"__type\":\"com.amazon.coral.service#AccessDeniedException\","
                  "\"Message\":\"not authorized\"}"},
         ERROR_PERMISSION_DENIED,
         "status 403 AccessDeniedException: not authorized"},
        {{.status = 400,
          .body = "{\"__type\":\"com.amazonaws.sqs#InvalidParameterValue\","
                  "\"message\":\"must be shorter than 262144 bytes\"}"},
         ERROR_INVALID_ARGUMENT,
         "must be shorter than 262144 bytes"},
        {{.status = 400, .body = "\xFF no JSON"}, ERROR_INVALID_ARGUMENT, "status 400"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};
        fixture->steps[0] = rows[i].step;
        assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_REFUSED);
        assert_int_equal(fixture->requests, 1);
        assert_int_equal(err.code, rows[i].code);
        assert_non_null(strstr(err.message, rows[i].says));
    }
}

static void keys_that_have_expired_are_fetched_anew_once(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    fixture->steps[0] = (struct step){
        .status = 403,
        .body = "{\"__type\":\"com.amazon.coral.service#ExpiredTokenException\"}"};
    fixture->steps[1] = (struct step){.status = 200, .body = TAKEN};
    assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_SENT);
    assert_int_equal(fixture->requests, 2);
    fixture->steps[1] = (struct step){0};
    assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_AWAY);
}

static void a_clock_that_is_wrong_is_corrected_by_the_servers(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    fixture->steps[0] = (struct step){
        .status = 400,
        .headers = "Date: Tue, 02 Jan 2035 03:04:05 GMT\r\n",
        .body = "{\"__type\":\"InvalidSignatureException\",\"message\":\"expired\"}"};
    fixture->steps[1] = (struct step){.status = 200, .body = TAKEN};
    assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_SENT);
    assert_memory_equal(fixture->date, "20350102T030", 12);
    // By a clock that is right the signature is just wrong.
    fixture->steps[1] = (struct step){0};
    assert_int_equal(send_text(fixture, ARN, "[1]", &err), SQS_REFUSED);
    assert_int_equal(fixture->requests, 1);
}

static void a_message_over_the_limit_is_refused_unsent(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    size_t others = strlen("api_nameStringthingjob_idString0123456789abcdef");
    size_t size = SQS_MESSAGE_MAX - others;
    char *body = memory_zalloc(size + 1);

    memset(body, 'x', size + 1);
    assert_int_equal(send_bytes(fixture, ARN, body, size, &err), SQS_SENT);
    fixture->requests = 0;
    assert_int_equal(send_bytes(fixture, ARN, body, size + 1, &err), SQS_REFUSED);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_non_null(
        strstr(err.message, "has 1048577 bytes, the limit of SQS is 1048576"));
    assert_int_equal(fixture->requests, 0);
    free(body);
}

static void an_arn_is_taken_apart(void **state)
{
    struct sqs_arn queue;

    (void)state;
    assert_int_equal(sqs_arn_parse("arn:aws-cn:sqs:cn-north-1:000000000000:A_b-9.fifo",
                                   &queue,
                                   NULL),
                     0);
    assert_string_equal(queue.partition, "aws-cn");
    assert_string_equal(queue.region, "cn-north-1");
    assert_string_equal(queue.account, "000000000000");
    assert_string_equal(queue.name, "A_b-9.fifo");
    assert_true(queue.fifo);
    assert_int_equal(sqs_arn_parse(ARN, &queue, NULL), 0);
    assert_false(queue.fifo);
}

static void an_arn_that_is_none_is_told_what_is_wrong(void **state)
{
    static const struct {
        const char *arn;
        const char *says;
    } rows[] = {
        {"", "6 parts"},
        {"arn:aws:sqs:us-west-2:123456789012", "6 parts"},
        {"arn:aws:sqs:us-west-2:123456789012:a:b", "6 parts"},
        {"urn:aws:sqs:us-west-2:123456789012:a", "\"arn:\""},
        {"arn::sqs:us-west-2:123456789012:a", "the partition"},
        {"arn:AWS:sqs:us-west-2:123456789012:a", "the partition"},
        {"arn:aws:SQS:us-west-2:123456789012:a", "the service"},
        {"arn:aws:sqs::123456789012:a", "the region"},
        {"arn:aws:sqs:us west:123456789012:a", "the region"},
        {"arn:aws:sqs:us-west-2:12345678901:a", "the account"},
        {"arn:aws:sqs:us-west-2:1234567890123:a", "the account"},
        {"arn:aws:sqs:us-west-2:12345678901x:a", "the account"},
        {"arn:aws:sqs:us-west-2:123456789012:", "the queue's name"},
        {"arn:aws:sqs:us-west-2:123456789012:.fifo", "the queue's name"},
        {"arn:aws:sqs:us-west-2:123456789012:a.b", "the queue's name"},
        {"arn:aws:sqs:us-west-2:123456789012:a/../b", "the queue's name"},
        {"arn:aws:sqs:us-west-2:123456789012:"
         "12345678901234567890123456789012345678901234567890123456789012345678901234567"
         "890.f",
         "the queue's name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};
        assert_int_equal(sqs_arn_parse(rows[i].arn, NULL, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_string_equal(err.kind, "aws.invalid_sqs_arn");
        assert_non_null(strstr(err.message, rows[i].says));
        assert_non_null(strstr(err.message, rows[i].arn));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_whole_and_signed_for_the_region_of_its_arn),
        TEST(a_fifo_queue_is_told_what_makes_a_repeat_one),
        TEST(what_fails_for_a_moment_is_tried_again),
        TEST(a_server_that_never_answers_is_away),
        TEST(nobody_at_the_address_is_away),
        TEST(an_endpoint_that_is_none_is_named_and_waited_for),
        TEST(a_refusal_is_final_and_says_why),
        TEST(keys_that_have_expired_are_fetched_anew_once),
        TEST(a_clock_that_is_wrong_is_corrected_by_the_servers),
        TEST(a_message_over_the_limit_is_refused_unsent),
        cmocka_unit_test(an_arn_is_taken_apart),
        cmocka_unit_test(an_arn_that_is_none_is_told_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
