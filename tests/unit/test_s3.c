/* SPDX-License-Identifier: Apache-2.0 */
/* test_s3.c - does an object arrive whatever the store and the network do? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/aws_transfer.h"
#include "common/object.h"
#include "common/s3_reader.h"
#include "tests/support/scripted_http.h"

#define MIB (1u << 20)

struct fixture;

/* What the server does; called with the fixture's lock held. */
typedef void (*handle_fn)(struct fixture *fixture,
                          const struct scripted_request *request,
                          struct scripted_reply *reply);

/* A server and what came there. */
struct fixture {
    struct scripted_http *server;
    struct object_store *store;

    pthread_mutex_t lock; // of what follows, and of `upload`
    handle_fn handle;
    unsigned requests;  // of all; the handler sees it counted already
    char seen[64][512]; // "METHOD target" of each
    char scope[256];    // the last Authorization
    char date[64];
    char match[64]; // the last If-Match
    /* the handlers' own */
    unsigned trouble;
    size_t total;
};

static void on_request(void *arg,
                       const struct scripted_request *request,
                       struct scripted_reply *reply)
{
    struct fixture *fixture = arg;

    pthread_mutex_lock(&fixture->lock);
    unsigned at = fixture->requests++ % 64;

    (void)snprintf(fixture->seen[at],
                   sizeof(fixture->seen[at]),
                   "%s %s",
                   request->method,
                   request->target);
    (void)scripted_header(
        request, "authorization", fixture->scope, sizeof(fixture->scope));
    (void)scripted_header(request, "x-amz-date", fixture->date, sizeof(fixture->date));
    (void)scripted_header(request, "if-match", fixture->match, sizeof(fixture->match));
    fixture->handle(fixture, request, reply);
    pthread_mutex_unlock(&fixture->lock);
}

// From now on the server does this; requests are counted anew.
static void
play(struct fixture *fixture, handle_fn handle, unsigned trouble, size_t total)
{
    pthread_mutex_lock(&fixture->lock);
    fixture->handle = handle;
    fixture->trouble = trouble;
    fixture->total = total;
    fixture->requests = 0;
    pthread_mutex_unlock(&fixture->lock);
}

static unsigned requests_of(struct fixture *fixture)
{
    pthread_mutex_lock(&fixture->lock);
    unsigned requests = fixture->requests;
    pthread_mutex_unlock(&fixture->lock);
    return requests;
}

// A text of the fixture as it is now; good till the next call.
static const char *text_of(struct fixture *fixture, const char *text)
{
    static char copy[512];

    pthread_mutex_lock(&fixture->lock);
    (void)snprintf(copy, sizeof(copy), "%s", text);
    pthread_mutex_unlock(&fixture->lock);
    return copy;
}

static void open_store(struct fixture *fixture, unsigned transfers, unsigned stall_s)
{
    const struct object_options options = {.transfers_max = transfers,
                                           .attempts_max = 4,
                                           .backoff_ms = 1,
                                           .stall_s = stall_s};

    assert_int_equal(object_store_create(&options, &fixture->store, NULL), 0);
}

static int setup(void **state)
{
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));

    fixture->server = scripted_http_start(on_request, fixture);
    (void)setenv("AWS_ENDPOINT_URL_S3", scripted_http_url(fixture->server), 1);
    (void)setenv("AWS_ACCESS_KEY_ID", "account:user", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    (void)setenv("AWS_REGION", "us-east-1", 1);
    (void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    (void)setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    (void)unsetenv("AWS_PROFILE");
    (void)unsetenv("AWS_SESSION_TOKEN");
    (void)pthread_mutex_init(&fixture->lock, NULL);
    open_store(fixture, 0, 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    object_store_destroy(fixture->store);
    scripted_http_stop(fixture->server);
    (void)pthread_mutex_destroy(&fixture->lock);
    free(fixture);
    return 0;
}

static int get(struct fixture *fixture, const char *url, char *out, struct error *err)
{
    struct buffer data = BUFFER_INIT;
    int result =
        object_get(fixture->store, url, 0, UINT64_MAX, 1000, NULL, &data, NULL, err);

    (void)snprintf(out, 100, "%s", buffer_text(&data));
    buffer_fini(&data);
    return result;
}

static void refuse(struct scripted_reply *reply, int status, const char *code)
{
    reply->status = status;
    buffer_clear(&reply->body);
    buffer_add_format(&reply->body,
                      "<?xml version=\"1.0\"?><Error><Code>%s</Code>"
                      "<Message>said so</Message></Error>",
                      code);
}

/* Each trouble in turn, then the object. */

enum {
    SLOW_DOWN,
    INTERNAL_ERROR,
    TOO_MANY,
    BARE_503,
    RESET,
    TRUNCATED,
    STALLED,
    TROUBLES
};

static void make_trouble(struct scripted_reply *reply, unsigned trouble)
{
    switch (trouble) {
    case SLOW_DOWN:
        refuse(reply, 503, "SlowDown");
        break;
    case INTERNAL_ERROR:
        refuse(reply, 500, "InternalError");
        break;
    case TOO_MANY:
        reply->status = 429;
        break;
    case BARE_503:
        reply->status = 503;
        buffer_add_text(&reply->body, "<html>no backend</html>");
        break;
    case RESET:
        reply->reset = true;
        break;
    case TRUNCATED:
        buffer_add_text(&reply->body, "hello world");
        reply->cut_bytes = 5;
        break;
    default:
        reply->stall_ms = 10000;
        break;
    }
}

static void in_trouble_twice(struct fixture *fixture,
                             const struct scripted_request *request,
                             struct scripted_reply *reply)
{
    (void)request;
    if (fixture->requests <= (fixture->trouble == STALLED ? 1 : 2)) {
        make_trouble(reply, fixture->trouble);
    } else {
        buffer_add_text(&reply->headers, "ETag: \"e\"\r\n");
        buffer_add_text(&reply->body, "hello world");
    }
}

static void what_fails_for_a_while_is_tried_again(void **state)
{
    struct fixture *fixture = *state;
    char data[100];

    object_store_destroy(fixture->store);
    open_store(fixture, 0, 1);
    for (unsigned trouble = 0; trouble < TROUBLES; trouble++) {
        struct error err = {0};
        play(fixture, in_trouble_twice, trouble, 0);
        assert_int_equal(get(fixture, "s3://bucket/key", data, &err), 0);
        assert_string_equal(data, "hello world");
        assert_int_equal(requests_of(fixture), trouble == STALLED ? 2 : 3);
        play(fixture, in_trouble_twice, trouble, 0);
        assert_int_equal(
            object_put(fixture->store, "s3://bucket/key", "x", 1, NULL, &err), 0);
        assert_true(requests_of(fixture) >= 2);
    }
}

static void always_in_trouble(struct fixture *fixture,
                              const struct scripted_request *request,
                              struct scripted_reply *reply)
{
    (void)request;
    make_trouble(reply, fixture->trouble);
}

static void retries_that_are_used_up_are_unavailable_and_name_the_url(void **state)
{
    struct fixture *fixture = *state;
    char data[100];

    for (unsigned trouble = 0; trouble < STALLED; trouble++) {
        struct error err = {0};
        play(fixture, always_in_trouble, trouble, 0);
        assert_int_equal(get(fixture, "s3://bucket/key", data, &err), -1);
        assert_int_equal(err.code, ERROR_UNAVAILABLE);
        assert_int_equal(strncmp(err.message, "s3://bucket/key: ", 17), 0);
        assert_non_null(strstr(err.message, "(tried 4 times)"));
        // libcurl itself repeats what breaks on a connection that it kept open.
        assert_in_range(requests_of(fixture), 4, trouble == RESET ? 5 : 4);
    }
}

static void refuse_by_key(struct fixture *fixture,
                          const struct scripted_request *request,
                          struct scripted_reply *reply)
{
    (void)fixture;
    if (strstr(request->target, "NoSuch")) {
        refuse(reply, 404, strrchr(request->target, '/') + 1);
    } else {
        refuse(reply, 403, strrchr(request->target, '/') + 1);
    }
    reply->no_body = strcmp(request->method, "HEAD") == 0;
}

static void refusals_are_not_repeated_and_say_what_is_wrong(void **state)
{
    static const struct {
        const char *url;
        enum error_code code;
        const char *words;
    } cases[] = {
        {"s3://bucket/NoSuchKey", ERROR_NOT_FOUND, "no such object in the bucket"},
        {"s3://bucket/NoSuchBucket", ERROR_NOT_FOUND, "'bucket' does not exist"},
        {"s3://bucket/AccessDenied", ERROR_PERMISSION_DENIED, "'bucket' refuses"},
        {"s3://bucket/InvalidAccessKeyId", ERROR_PERMISSION_DENIED, "environment"},
    };
    struct fixture *fixture = *state;
    struct object_info info;
    char data[100];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        play(fixture, refuse_by_key, 0, 0);
        assert_int_equal(get(fixture, cases[i].url, data, &err), -1);
        assert_int_equal(err.code, cases[i].code);
        assert_non_null(strstr(err.message, cases[i].words));
        assert_int_equal(requests_of(fixture), 1);
        // A HEAD is told nothing and asks again.
        error_clear(&err);
        assert_int_equal(object_stat(fixture->store, cases[i].url, &info, &err), -1);
        assert_int_equal(err.code, cases[i].code);
        assert_non_null(strstr(err.message, cases[i].words));
    }
}

static void one_region_only(struct fixture *fixture,
                            const struct scripted_request *request,
                            struct scripted_reply *reply)
{
    if (strstr(fixture->scope, "/eu-north-1/s3/aws4_request")) {
        buffer_add_text(&reply->body, "here");
    } else if (fixture->trouble) {
        reply->status = 301;
        buffer_add_text(&reply->headers, "x-amz-bucket-region: eu-north-1\r\n");
    } else {
        reply->status = 400;
        buffer_add_text(&reply->body,
                        "<Error><Code>AuthorizationHeaderMalformed</Code>"
                        "<Region>eu-north-1</Region></Error>");
    }
    reply->no_body = strcmp(request->method, "HEAD") == 0;
}

static void the_bucket_s_region_is_found_and_remembered(void **state)
{
    struct fixture *fixture = *state;
    struct object_info info;
    char data[100];

    play(fixture, one_region_only, 0, 0);
    assert_int_equal(get(fixture, "s3://bucket/key", data, NULL), 0);
    assert_string_equal(data, "here");
    assert_int_equal(requests_of(fixture), 2);
    assert_int_equal(get(fixture, "s3://bucket/other", data, NULL), 0);
    assert_int_equal(requests_of(fixture), 3);
    play(fixture, one_region_only, 1, 0);
    assert_int_equal(object_stat(fixture->store, "s3://second/key", &info, NULL), 0);
    assert_int_equal(info.size, 4);
    assert_int_equal(requests_of(fixture), 2);
}

static void two_regions_by_turns(struct fixture *fixture,
                                 const struct scripted_request *request,
                                 struct scripted_reply *reply)
{
    (void)request;
    reply->status = 301;
    buffer_add_format(&reply->headers,
                      "x-amz-bucket-region: %s\r\n",
                      fixture->requests % 2 ? "eu-north-1" : "us-east-1");
}

static void regions_that_send_in_a_circle_are_left(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    char data[100];

    play(fixture, two_regions_by_turns, 0, 0);
    assert_int_equal(get(fixture, "s3://bucket/key", data, &err), -1);
    assert_non_null(strstr(err.message, "301"));
    assert_true(requests_of(fixture) < 10);
}

static void two_hours_ahead(struct fixture *fixture,
                            const struct scripted_request *request,
                            struct scripted_reply *reply)
{
    time_t now = time(NULL) + 7200;
    char day[20];
    struct tm tm;

    (void)request;
    (void)gmtime_r(&now, &tm);
    (void)strftime(day, sizeof(day), "%Y%m%dT%H", &tm);
    if (fixture->trouble || strncmp(fixture->date, day, 11) != 0) {
        char date[64];
        (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        refuse(reply, 403, "RequestTimeTooSkewed");
        buffer_add_format(&reply->headers, "Date: %s\r\n", date);
    } else {
        buffer_add_text(&reply->body, "here");
    }
}

static void a_clock_that_is_wrong_is_corrected_once(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    char data[100];

    play(fixture, two_hours_ahead, 0, 0);
    assert_int_equal(get(fixture, "s3://bucket/key", data, NULL), 0);
    assert_int_equal(requests_of(fixture), 2);
    assert_int_equal(get(fixture, "s3://bucket/key", data, NULL), 0);
    assert_int_equal(requests_of(fixture), 3);
    play(fixture, two_hours_ahead, 1, 0);
    assert_int_equal(get(fixture, "s3://bucket/key", data, &err), -1);
    assert_non_null(strstr(err.message, "RequestTimeTooSkewed"));
    assert_int_equal(requests_of(fixture), 2);
}

static void echo_target(struct fixture *fixture,
                        const struct scripted_request *request,
                        struct scripted_reply *reply)
{
    (void)fixture;
    buffer_add_text(&reply->body, request->target);
}

static void a_key_is_sent_byte_by_byte(void **state)
{
    struct fixture *fixture = *state;
    char data[100];

    play(fixture, echo_target, 0, 0);
    assert_int_equal(get(fixture, "s3://b.c/a b+c=d%2F/../e//\xff?#", data, NULL), 0);
    assert_string_equal(data, "/b.c/a%20b%2Bc%3Dd%252F/../e//%FF%3F%23");
}

/* Multipart uploads */

struct upload {
    unsigned parts;     // taken
    unsigned completes; // asked for
    unsigned aborts;
    char bytes[5]; // the first of each part
    bool document_ok;
};

static struct upload upload;
static struct upload seen_upload; // when put_large was over

static void take_upload(struct fixture *fixture,
                        const struct scripted_request *request,
                        struct scripted_reply *reply)
{
    const char *number = strstr(request->target, "partNumber=");

    (void)fixture;
    if (strstr(request->target, "?uploads=")) {
        buffer_add_text(&reply->body,
                        "<InitiateMultipartUploadResult><UploadId>id+1/=</UploadId>"
                        "</InitiateMultipartUploadResult>");
        return;
    }
    if (strcmp(request->method, "HEAD") == 0) {
        reply->no_body = true;
        reply->body.size = 0;
        return;
    }
    assert_non_null(strstr(request->target, "uploadId=id%2B1%2F%3D"));
    if (number) {
        unsigned at = (unsigned)strtoul(number + 11, NULL, 10) - 1;
        assert_true(at < 5);
        upload.bytes[at] = request->body[0];
        upload.parts++;
        buffer_add_format(&reply->headers, "ETag: \"part-%u\"\r\n", at + 1);
    } else if (strcmp(request->method, "DELETE") == 0) {
        upload.aborts++;
        reply->status = 204;
    } else {
        char *body = memory_strndup(request->body, request->body_size);
        upload.completes++;
        upload.document_ok =
            strstr(body,
                   "<Part><PartNumber>5</PartNumber><ETag>&quot;part-5&quot;</ETag>"
                   "</Part></CompleteMultipartUpload>") != NULL;
        free(body);
        buffer_add_text(&reply->body,
                        "<?xml version=\"1.0\"?>\n  <CompleteMultipartUploadResult>"
                        "<ETag>x</ETag></CompleteMultipartUploadResult>");
    }
}

static int put_large(struct fixture *fixture, struct error *err)
{
    size_t size = 33 * MIB; // five parts
    char *data = memory_zalloc(size);

    pthread_mutex_lock(&fixture->lock);
    upload = (struct upload){0};
    pthread_mutex_unlock(&fixture->lock);
    for (size_t i = 0; i < size; i += 8 * MIB) {
        data[i] = (char)('a' + i / (8 * MIB));
    }
    int result = object_put(fixture->store, "s3://bucket/large", data, size, NULL, err);
    free(data);
    pthread_mutex_lock(&fixture->lock);
    seen_upload = upload;
    pthread_mutex_unlock(&fixture->lock);
    return result;
}

static void a_large_object_is_put_in_parts(void **state)
{
    struct fixture *fixture = *state;

    play(fixture, take_upload, 0, 0);
    assert_int_equal(put_large(fixture, NULL), 0);
    assert_int_equal(seen_upload.parts, 5);
    assert_memory_equal(seen_upload.bytes, "abcde", 5);
    assert_int_equal(seen_upload.completes, 1);
    assert_true(seen_upload.document_ok);
    assert_int_equal(seen_upload.aborts, 0);
}

static void error_in_200(struct fixture *fixture,
                         const struct scripted_request *request,
                         struct scripted_reply *reply)
{
    take_upload(fixture, request, reply);
    if (upload.completes == 1 && strcmp(request->method, "POST") == 0) {
        refuse(reply, 200, "InternalError");
    }
}

static void an_error_inside_a_200_is_an_error(void **state)
{
    struct fixture *fixture = *state;

    play(fixture, error_in_200, 0, 0);
    assert_int_equal(put_large(fixture, NULL), 0);
    assert_int_equal(seen_upload.completes, 2);
    assert_int_equal(seen_upload.aborts, 0);
}

static void lose_answer(struct fixture *fixture,
                        const struct scripted_request *request,
                        struct scripted_reply *reply)
{
    take_upload(fixture, request, reply);
    if (upload.completes == 1 && strcmp(request->method, "POST") == 0) {
        reply->reset = true;
    } else if (upload.completes == 2 && strcmp(request->method, "POST") == 0) {
        refuse(reply, 404, "NoSuchUpload");
    } else if (strcmp(request->method, "HEAD") == 0) {
        char *fake = memory_zalloc(33 * MIB);
        buffer_add(&reply->body, fake, 33 * MIB - fixture->trouble);
        free(fake);
        buffer_add_text(&reply->headers, "ETag: \"abc-5\"\r\n");
    }
}

static void an_upload_whose_last_answer_was_lost_is_looked_for(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    play(fixture, lose_answer, 0, 0);
    assert_int_equal(put_large(fixture, NULL), 0);
    assert_int_equal(seen_upload.completes, 2);
    play(fixture, lose_answer, 1, 0); // what is there is another object
    assert_int_equal(put_large(fixture, &err), -1);
    assert_non_null(strstr(err.message, "NoSuchUpload"));
}

static void lose_all_answers(struct fixture *fixture,
                             const struct scripted_request *request,
                             struct scripted_reply *reply)
{
    take_upload(fixture, request, reply);
    if (strcmp(request->method, "POST") == 0 && !strstr(request->target, "uploads=")) {
        reply->reset = true;
    } else if (strcmp(request->method, "DELETE") == 0) {
        refuse(reply, 404, "NoSuchUpload");
    } else if (strcmp(request->method, "HEAD") == 0) {
        lose_answer(fixture, request, reply);
    }
}

static void an_upload_whose_answers_were_all_lost_is_looked_for(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    play(fixture, lose_all_answers, 0, 0);
    assert_int_equal(put_large(fixture, NULL), 0);
    play(fixture, lose_all_answers, 1, 0); // what is there is another object
    assert_int_equal(put_large(fixture, &err), -1);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
}

/* fixture->trouble: 0: the object is there; 1: another; 2: none. */
static void lose_put(struct fixture *fixture,
                     const struct scripted_request *request,
                     struct scripted_reply *reply)
{
    if (strcmp(request->method, "PUT") == 0) {
        reply->reset = true;
    } else if (fixture->trouble == 2) {
        refuse(reply, 404, "NoSuchKey");
    } else {
        buffer_add_text(&reply->body, fixture->trouble == 0 ? "result" : "resulT");
    }
}

static void a_put_whose_answers_were_all_lost_is_looked_for(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned there = 0; there < 3; there++) {
        struct error err = {0};
        play(fixture, lose_put, there, 0);
        int result =
            object_put(fixture->store, "s3://bucket/key", "result", 6, NULL, &err);
        assert_int_equal(result, there == 0 ? 0 : -1);
        assert_int_equal(err.code, there == 0 ? ERROR_OK : ERROR_UNAVAILABLE);
        if (there != 0) {
            assert_non_null(strstr(err.message, "(tried 4 times)"));
        }
    }
}

static void refuse_part(struct fixture *fixture,
                        const struct scripted_request *request,
                        struct scripted_reply *reply)
{
    take_upload(fixture, request, reply);
    if (strstr(request->target, "partNumber=3")) {
        refuse(reply, 403, "AccessDenied");
    }
}

static void an_upload_that_fails_is_aborted(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    play(fixture, refuse_part, 0, 0);
    assert_int_equal(put_large(fixture, &err), -1);
    assert_int_equal(err.code, ERROR_PERMISSION_DENIED);
    assert_int_equal(seen_upload.completes, 0);
    assert_int_equal(seen_upload.aborts, 1);
}

/* Listings */

static void give_page(struct fixture *fixture,
                      const struct scripted_request *request,
                      struct scripted_reply *reply)
{
    static const char *const pages[] = {
        "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        "<NextContinuationToken>to+2</NextContinuationToken>"
        "<Contents><Size>1</Size><Key>a%0Ab</Key><ETag>&quot;1&quot;</ETag></Contents>"
        "<Contents><Key>b+c%2Bd%25/</Key><Size>0</Size></Contents>",
        "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        "<NextContinuationToken>to3</NextContinuationToken>",
        "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        "<Contents><Key>b</Key><Size>18446744073709551615</Size></Contents>",
    };
    unsigned page = strstr(request->target, "continuation-token=to%2B2") ? 1
                    : strstr(request->target, "continuation-token=to3")  ? 2
                                                                         : 0;

    buffer_add_format(&reply->body,
                      "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/"
                      "2006-03-01/\">%s</ListBucketResult>",
                      page == 2 && fixture->trouble
                          ? "<Contents><Key>c&amp;d</Key><Size>7</Size></Contents>"
                          : pages[page]);
}

// All URLs, a space behind each; -1 on failure.
static int list_all(struct fixture *fixture,
                    const char *after,
                    struct buffer *out,
                    struct error *err)
{
    struct object_list *list = NULL;
    struct object_entry entry;
    int got = object_list_open(fixture->store, "s3://bucket/", after, &list, err);

    while (got == 0 && (got = object_list_next(list, &entry, err)) > 0) {
        buffer_add_format(out, "%s:%d ", entry.url + 12, (int)entry.size);
        got = 0;
    }
    object_list_close(list);
    return got;
}

static void pages_are_followed_and_keys_decoded(void **state)
{
    struct fixture *fixture = *state;
    struct buffer out = BUFFER_INIT;

    play(fixture, give_page, 1, 0);
    assert_int_equal(list_all(fixture, NULL, &out, NULL), 0);
    assert_string_equal(out.data, "a\nb:1 b c+d%/:0 c&d:7 ");
    assert_int_equal(requests_of(fixture), 3);
    assert_string_equal(text_of(fixture, fixture->seen[0]),
                        "GET /bucket?encoding-type=url&list-type=2&max-keys=1000"
                        "&prefix=");
    buffer_clear(&out);
    assert_int_equal(list_all(fixture, "s3://bucket/a\nb", &out, NULL), 0);
    assert_string_equal(out.data, "b c+d%/:0 c&d:7 ");
    assert_non_null(strstr(text_of(fixture, fixture->seen[3]), "start-after=a%0Ab"));
    buffer_fini(&out);
}

static void keys_out_of_order_are_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct buffer out = BUFFER_INIT;
    struct error err = {0};

    play(fixture, give_page, 0, 0);
    assert_int_equal(list_all(fixture, NULL, &out, &err), -1);
    assert_non_null(strstr(err.message, "ascending order"));
    buffer_fini(&out);
}

static void give_garbage(struct fixture *fixture,
                         const struct scripted_request *request,
                         struct scripted_reply *reply)
{
    (void)request;
    buffer_add_text(
        &reply->body,
        fixture->trouble
            ? "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
            : "<!DOCTYPE a [<!ENTITY b "
              "\"c\">]><ListBucketResult>&b;</ListBucketResult>");
}

static void a_listing_that_makes_no_sense_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct buffer out = BUFFER_INIT;

    for (unsigned trouble = 0; trouble < 2; trouble++) {
        struct error err = {0};
        play(fixture, give_garbage, trouble, 0);
        assert_int_equal(list_all(fixture, NULL, &out, &err), -1);
        assert_int_equal(strncmp(err.message, "s3://bucket/: ", 14), 0);
    }
    buffer_fini(&out);
}

/* Ranges: byte i of the object is i * 7 + i / 1000. */

static char byte_at(size_t i)
{
    return (char)(i * 7 + i / 1000);
}

enum {
    RANGES_GOOD,
    RANGES_CUT, // each for the first time
    RANGES_CHANGED,
    RANGES_OTHER, // than asked for
    RANGES_SHORT, // half of what was asked for
};

static void give_range(struct fixture *fixture,
                       const struct scripted_request *request,
                       struct scripted_reply *reply)
{
    char range[64];
    char *end = NULL;

    (void)scripted_header(request, "range", range, sizeof(range));
    size_t first = strtoull(range + strlen("bytes="), &end, 10);
    size_t last = strtoull(end + 1, NULL, 10);
    last = last < fixture->total ? last : fixture->total - 1;
    if (fixture->trouble == RANGES_CHANGED && first > 0) {
        refuse(reply, 412, "PreconditionFailed");
        return;
    }
    last -= fixture->trouble == RANGES_SHORT ? (last - first) / 2 : 0;
    char *at = buffer_reserve(&reply->body, last - first + 1);
    for (size_t i = first; i <= last; i++) {
        *at++ = byte_at(i);
    }
    reply->body.size = last - first + 1;
    reply->status = 206;
    buffer_add_format(&reply->headers,
                      "ETag: \"tag\"\r\nContent-Range: bytes %zu-%zu/%zu\r\n",
                      first + (fixture->trouble == RANGES_OTHER),
                      last + (fixture->trouble == RANGES_OTHER),
                      fixture->total + (fixture->trouble == RANGES_OTHER));
    if (fixture->trouble == RANGES_CUT && fixture->requests % 2) {
        reply->cut_bytes = reply->body.size / 2;
    }
}

static ssize_t read_all(struct fixture *fixture, uint64_t offset, struct error *err)
{
    static char piece[300001];
    struct object_reader *reader = NULL;
    size_t at = offset;
    ssize_t got = -1;

    if (object_reader_open(fixture->store, "s3://bucket/key", offset, &reader, err) !=
        0) {
        return -1;
    }
    while ((got = object_reader_read(reader, piece, sizeof(piece), err)) > 0) {
        for (ssize_t i = 0; i < got; i += 997) {
            assert_int_equal(piece[i], byte_at(at + (size_t)i));
        }
        assert_int_equal(piece[got - 1], byte_at(at + (size_t)got - 1));
        at += (size_t)got;
    }
    assert_int_equal(object_reader_info(reader)->size, fixture->total);
    object_reader_close(reader);
    return got < 0 ? -1 : (ssize_t)at;
}

static void a_reader_joins_ranges(void **state)
{
    struct fixture *fixture = *state;

    play(fixture, give_range, RANGES_GOOD, 5 * S3_READER_RANGE_SIZE + 12345);
    assert_int_equal(read_all(fixture, 0, NULL), fixture->total);
    assert_int_equal(requests_of(fixture), 6);
    assert_string_equal(text_of(fixture, fixture->match), "\"tag\"");
    assert_int_equal(read_all(fixture, 1234567, NULL), fixture->total);
    play(fixture, give_range, RANGES_GOOD, S3_READER_RANGE_SIZE);
    assert_int_equal(read_all(fixture, 0, NULL), fixture->total);
    assert_int_equal(requests_of(fixture), 1);
}

static void a_range_that_breaks_off_is_fetched_again(void **state)
{
    struct fixture *fixture = *state;

    play(fixture, give_range, RANGES_CUT, S3_READER_RANGE_SIZE + 1000);
    assert_int_equal(read_all(fixture, 0, NULL), fixture->total);
    assert_int_equal(requests_of(fixture), 4);
}

static void an_object_that_changes_while_it_is_read_is_aborted(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    play(fixture, give_range, RANGES_CHANGED, 3 * S3_READER_RANGE_SIZE);
    assert_int_equal(read_all(fixture, 0, &err), -1);
    assert_int_equal(err.code, ERROR_ABORTED);
}

static void bytes_that_were_not_asked_for_are_refused(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned trouble = RANGES_OTHER; trouble <= RANGES_SHORT; trouble++) {
        struct error err = {0};
        play(fixture, give_range, trouble, 1000);
        assert_int_equal(read_all(fixture, 0, &err), -1);
        assert_int_equal(err.code, ERROR_UNAVAILABLE);
        assert_non_null(strstr(err.message, "expected bytes 0 and on"));
    }
}

static void a_reader_may_be_closed_early(void **state)
{
    struct fixture *fixture = *state;
    struct object_reader *reader = NULL;
    char byte;

    play(fixture, give_range, RANGES_GOOD, 9 * S3_READER_RANGE_SIZE);
    assert_int_equal(
        object_reader_open(fixture->store, "s3://bucket/key", 0, &reader, NULL), 0);
    assert_int_equal(object_reader_read(reader, &byte, 1, NULL), 1);
    object_reader_close(reader);
    assert_true(requests_of(fixture) <= S3_READER_AHEAD);
}

static void give_much(struct fixture *fixture,
                      const struct scripted_request *request,
                      struct scripted_reply *reply)
{
    (void)request;
    for (size_t i = 0; i < fixture->total; i++) {
        buffer_add_char(&reply->body, 'x');
    }
}

static void more_than_the_limit_is_out_of_range(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    char data[100];

    play(fixture, give_much, 0, 1000);
    assert_int_equal(get(fixture, "s3://bucket/key", data, NULL), 0);
    play(fixture, give_much, 0, 1001);
    assert_int_equal(get(fixture, "s3://bucket/key", data, &err), -1);
    assert_int_equal(err.code, ERROR_OUT_OF_RANGE);
    assert_int_equal(requests_of(fixture), 1);
}

/* Many at a time */

struct tally {
    pthread_mutex_t lock;
    unsigned done;
    unsigned cancelled;
};

static void count_done(void *arg, const struct error *err)
{
    struct tally *tally = arg;

    pthread_mutex_lock(&tally->lock);
    tally->done++;
    tally->cancelled += err && err->code == ERROR_CANCELLED;
    pthread_mutex_unlock(&tally->lock);
}

static void start_puts(struct fixture *fixture, struct tally *tally, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char url[64];
        (void)snprintf(url, sizeof(url), "s3://bucket/%u", i);
        object_put_start(fixture->store, url, "x", 1, NULL, count_done, tally);
    }
}

static void take_slowly(struct fixture *fixture,
                        const struct scripted_request *request,
                        struct scripted_reply *reply)
{
    (void)fixture;
    (void)request;
    reply->stall_ms = 5;
}

static void no_more_transfers_than_allowed_run_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    struct tally tally = {.lock = PTHREAD_MUTEX_INITIALIZER};
    unsigned done = 0;

    object_store_destroy(fixture->store);
    open_store(fixture, 3, 0);
    play(fixture, take_slowly, 0, 0);
    start_puts(fixture, &tally, 50);
    while (done < 50) {
        (void)usleep(1000);
        pthread_mutex_lock(&tally.lock);
        done = tally.done;
        pthread_mutex_unlock(&tally.lock);
    }
    assert_int_equal(tally.cancelled, 0);
    assert_int_equal(scripted_http_peak(fixture->server), 3);
}

static void answer_never(struct fixture *fixture,
                         const struct scripted_request *request,
                         struct scripted_reply *reply)
{
    (void)fixture;
    (void)request;
    reply->stall_ms = 100000;
}

static void what_is_under_way_at_the_end_is_cancelled(void **state)
{
    struct fixture *fixture = *state;
    struct tally tally = {.lock = PTHREAD_MUTEX_INITIALIZER};

    object_store_destroy(fixture->store);
    open_store(fixture, 3, 0);
    play(fixture, answer_never, 0, 0);
    start_puts(fixture, &tally, 10);
    object_store_destroy(fixture->store);
    fixture->store = NULL;
    assert_int_equal(tally.done, 10);
    assert_int_equal(tally.cancelled, 10);
}

static void expire_first(struct fixture *fixture,
                         const struct scripted_request *request,
                         struct scripted_reply *reply)
{
    (void)request;
    if (strstr(fixture->scope, "Credential=key-1/")) {
        refuse(reply, 400, "ExpiredToken");
    }
}

static void keys_that_have_expired_are_fetched_anew(void **state)
{
    struct fixture *fixture = *state;
    char folder[] = "/tmp/s3-XXXXXX";
    char path[64];
    char data[100];

    // A process whose keys are numbered by how often it ran.
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/config", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(
        fprintf(file,
                "[default]\ncredential_process = echo x >> %s/runs; echo "
                "'{\"Version\":1,\"SecretAccessKey\":\"s\",\"AccessKeyId\":\"key-'"
                "$(wc -l < %s/runs)'\"}'\n",
                folder,
                folder) > 0);
    assert_int_equal(fclose(file), 0);
    (void)setenv("AWS_CONFIG_FILE", path, 1);
    (void)unsetenv("AWS_ACCESS_KEY_ID");
    (void)unsetenv("AWS_SECRET_ACCESS_KEY");
    play(fixture, expire_first, 0, 0);
    assert_int_equal(get(fixture, "s3://bucket/key", data, NULL), 0);
    assert_int_equal(requests_of(fixture), 2);
    assert_non_null(strstr(text_of(fixture, fixture->scope), "Credential=key-2/"));
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof(path), "%s/runs", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void without_keys_it_is_said_what_to_set(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    char data[100];

    (void)unsetenv("AWS_ACCESS_KEY_ID");
    (void)unsetenv("AWS_SECRET_ACCESS_KEY");
    assert_int_equal(get(fixture, "s3://bucket/key", data, &err), -1);
    assert_int_equal(err.code, ERROR_UNAUTHENTICATED);
    assert_int_equal(strncmp(err.message, "s3://bucket/key: ", 17), 0);
    assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID"));
}

static void refuse_proxying(struct fixture *fixture,
                            const struct scripted_request *request,
                            struct scripted_reply *reply)
{
    (void)fixture;
    (void)request;
    reply->status = 403;
}

static void on_aws_the_bucket_is_in_the_host_s_name(void **state)
{
    struct fixture *fixture = *state;
    char data[100];

    // A proxy is told where the request is going.
    (void)unsetenv("AWS_ENDPOINT_URL_S3");
    (void)setenv("https_proxy", scripted_http_url(fixture->server), 1);
    play(fixture, refuse_proxying, 0, 0);
    assert_int_equal(get(fixture, "s3://bucket/key", data, NULL), -1);
    assert_string_equal(text_of(fixture, fixture->seen[0]),
                        "CONNECT bucket.s3.us-east-1.amazonaws.com:443");
    play(fixture, refuse_proxying, 0, 0);
    assert_int_equal(get(fixture, "s3://bucket.with.dots/key", data, NULL), -1);
    assert_string_equal(text_of(fixture, fixture->seen[0]),
                        "CONNECT s3.us-east-1.amazonaws.com:443");
    (void)unsetenv("https_proxy");
}

static void malformed_urls_are_refused_with_an_example(void **state)
{
    static const char *const urls[] = {
        "s3:/bucket/key", "s3://", "s3:///key", "s3://bu cket/key", "http://x", ""};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct error err = {0};
        assert_int_equal(object_check_url(fixture->store, urls[i], &err), -1);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_string_equal(err.kind, "aws.invalid_s3_path");
        assert_non_null(strstr(err.message, "s3://bucket/folder/file"));
    }
    char *url = memory_format("s3://bucket/%01025d", 1);
    assert_int_equal(object_check_url(fixture->store, url, NULL), -1);
    url[strlen(url) - 1] = '\0';
    assert_int_equal(object_check_url(fixture->store, url, NULL), 0);
    assert_int_equal(object_check_url(fixture->store, "s3://bucket", NULL), 0);
    assert_int_equal(object_check_url(fixture->store, "file:///tmp/x", NULL), -1);
    free(url);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_fails_for_a_while_is_tried_again),
        TEST(retries_that_are_used_up_are_unavailable_and_name_the_url),
        TEST(refusals_are_not_repeated_and_say_what_is_wrong),
        TEST(the_bucket_s_region_is_found_and_remembered),
        TEST(regions_that_send_in_a_circle_are_left),
        TEST(a_clock_that_is_wrong_is_corrected_once),
        TEST(a_key_is_sent_byte_by_byte),
        TEST(a_large_object_is_put_in_parts),
        TEST(an_error_inside_a_200_is_an_error),
        TEST(an_upload_whose_last_answer_was_lost_is_looked_for),
        TEST(an_upload_whose_answers_were_all_lost_is_looked_for),
        TEST(a_put_whose_answers_were_all_lost_is_looked_for),
        TEST(an_upload_that_fails_is_aborted),
        TEST(pages_are_followed_and_keys_decoded),
        TEST(keys_out_of_order_are_an_error),
        TEST(a_listing_that_makes_no_sense_is_an_error),
        TEST(a_reader_joins_ranges),
        TEST(a_range_that_breaks_off_is_fetched_again),
        TEST(an_object_that_changes_while_it_is_read_is_aborted),
        TEST(bytes_that_were_not_asked_for_are_refused),
        TEST(a_reader_may_be_closed_early),
        TEST(more_than_the_limit_is_out_of_range),
        TEST(no_more_transfers_than_allowed_run_at_a_time),
        TEST(what_is_under_way_at_the_end_is_cancelled),
        TEST(keys_that_have_expired_are_fetched_anew),
        TEST(without_keys_it_is_said_what_to_set),
        TEST(on_aws_the_bucket_is_in_the_host_s_name),
        TEST(malformed_urls_are_refused_with_an_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
