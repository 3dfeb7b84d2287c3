/* SPDX-License-Identifier: Apache-2.0 */
/* test_aws_sign.c - are requests signed as AWS signs them?
 *
 * Runs the published vectors in tests/vectors/sigv4 (see PROVENANCE.md there). */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "common/aws_sign.h"
#include "common/fs.h"
#include "tests/unit/corpus.h"

#define VECTORS     TEST_SOURCE_DIR "/tests/vectors/sigv4"
#define SUITE       VECTORS "/aws-c-auth/tests/aws-signing-test-suite/v4"
#define PAIRS_MAX   16
#define SUITE_CASES 38
#define S3_CASES    40

struct request {
    struct aws_sign_request sign;
    struct aws_sign_pair query[PAIRS_MAX];
    struct aws_sign_pair headers[PAIRS_MAX];
    char hash[AWS_SIGN_HASH_SIZE];
};

static char *read_file(const char *folder, const char *name)
{
    struct buffer text = BUFFER_INIT;
    struct error err = {0};
    char *path = fs_join(folder, name);

    if (fs_read(path, 1 << 20, &text, &err) != 0) {
        fail_msg("%s", err.message);
    }
    free(path);
    return buffer_take(&text);
}

static cJSON *read_json(const char *folder, const char *name)
{
    char *text = read_file(folder, name);
    cJSON *json = cJSON_Parse(text);

    assert_non_null(json);
    free(text);
    return json;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool is_true(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static int64_t time_of(const char *text, const char *format)
{
    struct tm utc = {0};

    assert_non_null(strptime(text, format, &utc));
    return (int64_t)timegm(&utc);
}

// Decodes %XX in place.
static char *decode(char *text)
{
    char *to = text;

    for (char *from = text; *from; from++) {
        if (*from == '%') {
            char digits[3] = {from[1], from[2], '\0'};
            *to++ = (char)strtol(digits, NULL, 16);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return text;
}

static void parse_query(char *text, struct request *out)
{
    char *rest = text;
    char *part;

    while (rest && (part = strsep(&rest, "&"))) {
        char *value = strchr(part, '=');
        if (value) {
            *value++ = '\0';
        }
        assert_true(out->sign.query_count < PAIRS_MAX);
        out->query[out->sign.query_count++] =
            (struct aws_sign_pair){decode(part), value ? decode(value) : ""};
    }
}

// "GET /path?query HTTP/1.1", headers with continuation lines, an empty line, the body.
static void parse_request(char *text, struct request *out)
{
    char *rest = text;
    char *line = strsep(&rest, "\n");
    char *end = strrchr(line, ' ');

    *end = '\0';
    out->sign.method = strsep(&line, " ");
    char *query = strchr(line, '?');
    if (query) {
        *query++ = '\0';
        parse_query(query, out);
    }
    out->sign.path = line;
    while (rest && *rest && *rest != '\n') {
        line = strsep(&rest, "\n");
        while (rest && *rest == ' ') { // the header goes on
            rest[-1] = ' ';
            char *more = strchr(rest, '\n');
            *more = '\0';
            rest = more + 1;
        }
        char *value = strchr(line, ':');
        *value = '\0';
        assert_true(out->sign.header_count < PAIRS_MAX);
        out->headers[out->sign.header_count++] =
            (struct aws_sign_pair){line, value + 1};
    }
    const char *body = rest && *rest == '\n' ? rest + 1 : "";
    aws_sign_hash(body, strlen(body), out->hash);
    out->sign.query = out->query;
    out->sign.headers = out->headers;
    out->sign.payload_hash = out->hash;
}

static void assert_file(const char *folder, const char *name, const char *got)
{
    char *want = read_file(folder, name);

    assert_string_equal(got, want);
    free(want);
}

static struct aws_sign_key suite_key(const cJSON *context, bool with_token)
{
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(context, "credentials");

    return (struct aws_sign_key){text_of(keys, "access_key_id"),
                                 text_of(keys, "secret_access_key"),
                                 with_token ? text_of(keys, "token") : NULL};
}

static void run_suite_case(const char *folder)
{
    cJSON *context = read_json(folder, "context.json");
    char *text = read_file(folder, "request.txt");
    // Where the token is not signed, the suite adds it to the request afterwards.
    struct aws_sign_key key =
        suite_key(context, !is_true(context, "omit_session_token"));
    struct aws_sign_result result = {0};
    struct request request = {0};

    parse_request(text, &request);
    request.sign.flags = is_true(context, "normalize") ? AWS_SIGN_NORMALIZE_PATH : 0;
    request.sign.region = text_of(context, "region");
    request.sign.service = text_of(context, "service");
    request.sign.time_s = time_of(text_of(context, "timestamp"), "%Y-%m-%dT%H:%M:%SZ");
    aws_sign_query(&request.sign, &key, 3600, &result);
    assert_file(
        folder, "query-canonical-request.txt", buffer_text(&result.canonical_request));
    assert_file(
        folder, "query-string-to-sign.txt", buffer_text(&result.string_to_sign));
    assert_file(folder, "query-signature.txt", result.signature);
    aws_sign_result_fini(&result);

    memset(&result, 0, sizeof(result));
    if (is_true(context, "sign_body")) {
        request.sign.flags |= AWS_SIGN_PAYLOAD_HEADER;
    }
    aws_sign_header(&request.sign, &key, &result);
    assert_file(
        folder, "header-canonical-request.txt", buffer_text(&result.canonical_request));
    assert_file(
        folder, "header-string-to-sign.txt", buffer_text(&result.string_to_sign));
    assert_file(folder, "header-signature.txt", result.signature);
    char *sent = read_file(folder, "header-signed-request.txt");
    assert_non_null(strstr(sent, buffer_text(&result.authorization)));
    free(sent);
    aws_sign_result_fini(&result);
    free(text);
    cJSON_Delete(context);
}

static void every_case_of_the_official_suite_is_signed_as_published(void **state)
{
    DIR *folder = opendir(SUITE);
    const struct dirent *entry;
    int cases = 0;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] != '.') {
            char *path = fs_join(SUITE, entry->d_name);
            print_message("%s\n", entry->d_name);
            run_suite_case(path);
            free(path);
            cases++;
        }
    }
    (void)closedir(folder);
    assert_int_equal(cases, SUITE_CASES);
}

static size_t read_pairs(const cJSON *list, struct aws_sign_pair *out)
{
    const cJSON *item;
    size_t count = 0;

    cJSON_ArrayForEach(item, list)
    {
        assert_true(count < PAIRS_MAX - 1);
        out[count++] = (struct aws_sign_pair){cJSON_GetArrayItem(item, 0)->valuestring,
                                              cJSON_GetArrayItem(item, 1)->valuestring};
    }
    return count;
}

static void run_s3_case(const cJSON *all, const cJSON *one)
{
    struct aws_sign_key key = {
        text_of(all, "access_key"), text_of(all, "secret_key"), text_of(one, "token")};
    struct aws_sign_result result = {0};
    struct request request = {0};

    request.sign = (struct aws_sign_request){
        .flags = AWS_SIGN_S3,
        .method = text_of(one, "method"),
        .path = text_of(one, "path"),
        .query = request.query,
        .headers = request.headers,
        .payload_hash = text_of(one, "payload_hash"),
        .region = text_of(one, "region"),
        .service = "s3",
        .time_s = time_of(text_of(one, "date"), "%Y%m%dT%H%M%SZ"),
    };
    request.sign.query_count =
        read_pairs(cJSON_GetObjectItemCaseSensitive(one, "query"), request.query);
    request.sign.header_count =
        read_pairs(cJSON_GetObjectItemCaseSensitive(one, "headers"), request.headers);
    request.headers[request.sign.header_count++] =
        (struct aws_sign_pair){"Host", text_of(one, "host")};
    aws_sign_header(&request.sign, &key, &result);
    assert_string_equal(buffer_text(&result.query), text_of(one, "canonical_query"));
    assert_string_equal(buffer_text(&result.canonical_request),
                        text_of(one, "canonical_request"));
    assert_string_equal(buffer_text(&result.string_to_sign),
                        text_of(one, "string_to_sign"));
    assert_string_equal(buffer_text(&result.authorization),
                        text_of(one, "authorization"));
    aws_sign_result_fini(&result);

    const char *hash = text_of(one, "payload_hash");
    if (strcmp(hash, AWS_SIGN_UNSIGNED_PAYLOAD) != 0) {
        aws_sign_hash(text_of(one, "body"), strlen(text_of(one, "body")), request.hash);
        assert_string_equal(request.hash, hash);
    }
}

static void every_s3_vector_is_signed_with_its_path_encoded_once(void **state)
{
    cJSON *all = read_json(VECTORS, "s3-vectors.json");
    const cJSON *one;
    int cases = 0;

    (void)state;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(all, "cases"))
    {
        print_message("%s\n", text_of(one, "name"));
        run_s3_case(all, one);
        cases++;
    }
    assert_int_equal(cases, S3_CASES);
    cJSON_Delete(all);
}

static void a_presigned_url_is_the_documented_one(void **state)
{
    cJSON *all = read_json(VECTORS, "s3-vectors.json");
    const char *url =
        text_of(cJSON_GetObjectItemCaseSensitive(all, "presigned"), "url");
    struct aws_sign_key key = {
        text_of(all, "access_key"), text_of(all, "secret_key"), NULL};
    struct aws_sign_pair host = {"host", "examplebucket.s3.amazonaws.com"};
    struct aws_sign_result result = {0};
    struct aws_sign_request request = {
        .method = "GET",
        .path = "/test.txt",
        .headers = &host,
        .header_count = 1,
        .payload_hash = AWS_SIGN_UNSIGNED_PAYLOAD,
        .region = "us-east-1",
        .service = "s3",
        .time_s = time_of("20130524T000000Z", "%Y%m%dT%H%M%SZ"),
    };

    (void)state;
    aws_sign_query(&request, &key, 86400, &result);
    assert_string_equal(buffer_text(&result.query), strchr(url, '?') + 1);
    aws_sign_result_fini(&result);
    cJSON_Delete(all);
}

static void the_first_signature_of_a_chunked_upload_is_the_documented_one(void **state)
{
    cJSON *all = read_json(VECTORS, "s3-vectors.json");
    const cJSON *chunked = cJSON_GetObjectItemCaseSensitive(all, "chunked");
    struct aws_sign_key key = {
        text_of(all, "access_key"), text_of(all, "secret_key"), NULL};
    struct aws_sign_pair given[PAIRS_MAX];
    struct aws_sign_pair headers[PAIRS_MAX];
    struct aws_sign_result result = {0};
    struct aws_sign_request request = {
        .flags = AWS_SIGN_S3,
        .method = "PUT",
        .path = text_of(chunked, "path"),
        .headers = headers,
        .payload_hash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        .region = "us-east-1",
        .service = "s3",
        .time_s = time_of("20130524T000000Z", "%Y%m%dT%H%M%SZ"),
    };
    size_t count =
        read_pairs(cJSON_GetObjectItemCaseSensitive(chunked, "headers"), given);

    (void)state;
    for (size_t i = 0; i < count; i++) { // the signer adds these two itself
        if (strcmp(given[i].name, "x-amz-date") != 0 &&
            strcmp(given[i].name, "x-amz-content-sha256") != 0) {
            headers[request.header_count++] = given[i];
        }
    }
    aws_sign_header(&request, &key, &result);
    assert_string_equal(result.signature, text_of(chunked, "seed_signature"));
    aws_sign_result_fini(&result);
    cJSON_Delete(all);
}

static void check_key(const cJSON *row)
{
    char *key = corpus_text(row, "key");
    char *encoded = corpus_text(row, "encoded");
    char *query = corpus_text(row, "query");
    struct buffer out = BUFFER_INIT;

    aws_sign_encode(&out, key, true);
    assert_string_equal(buffer_text(&out), encoded);
    buffer_clear(&out);
    aws_sign_encode(&out, key, false);
    assert_string_equal(buffer_text(&out), query);
    buffer_fini(&out);
    free(key);
    free(encoded);
    free(query);
}

static void every_key_of_the_corpus_is_encoded_as_it_says(void **state)
{
    (void)state;
    corpus_each("s3_key", 100, check_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_the_corpus_is_encoded_as_it_says),
        cmocka_unit_test(every_case_of_the_official_suite_is_signed_as_published),
        cmocka_unit_test(every_s3_vector_is_signed_with_its_path_encoded_once),
        cmocka_unit_test(a_presigned_url_is_the_documented_one),
        cmocka_unit_test(the_first_signature_of_a_chunked_upload_is_the_documented_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
