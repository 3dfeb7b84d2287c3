/* SPDX-License-Identifier: Apache-2.0 */
/* test_aws_credentials.c - are keys, region and endpoint found where AWS tools look? */
#include "common/aws_credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/aws_account.h"
#include "common/aws_sts.h"
#include "common/clock.h"
#include "common/fs.h"
#include "tests/support/scripted_http.h"

struct fixture {
    char folder[64];
    struct scripted_http *server;
    struct aws_settings *settings;
    unsigned requests;
    char seen[8][1024]; // "METHOD target HEADER body"
    char expiration[64];
    int status; // of keys; 0: 200
};

#define KEYS(name)                                                                     \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"" name                                    \
    "\",\"SecretAccessKey\":\"secret\",\"Token\":\"token\",\"Expiration\":\"%s\"}"

// Instance metadata, a container's endpoint and STS in one.
static void on_request(void *arg,
                       const struct scripted_request *request,
                       struct scripted_reply *reply)
{
    static const char *const headers[] = {"x-aws-ec2-metadata-token",
                                          "authorization",
                                          "x-aws-ec2-metadata-token-ttl-seconds"};
    struct fixture *fixture = arg;
    char header[512] = "";

    for (size_t i = 0; i < 3 && !*header; i++) {
        (void)scripted_header(request, headers[i], header, sizeof(header));
    }
    (void)snprintf(fixture->seen[fixture->requests++ % 8],
                   sizeof(fixture->seen[0]),
                   "%s %s %.300s %.*s",
                   request->method,
                   request->target,
                   header,
                   (int)request->body_size,
                   request->body);
    if (strcmp(request->target, "/latest/api/token") == 0) {
        buffer_add_text(&reply->body, "imds-token");
    } else if (strcmp(request->target, "/latest/meta-data/placement/region") == 0) {
        buffer_add_text(&reply->body, "sa-east-1");
    } else if (strcmp(request->target, "/latest/meta-data/iam/security-credentials/") ==
               0) {
        buffer_add_text(&reply->body, "the-role\n");
    } else if (fixture->status) {
        reply->status = fixture->status;
    } else if (strstr(request->target, "security-credentials/the-role")) {
        buffer_add_format(&reply->body, KEYS("instance"), fixture->expiration);
    } else if (strcmp(request->target, "/container") == 0) {
        buffer_add_format(&reply->body, KEYS("container"), fixture->expiration);
    } else {
        buffer_add_format(
            &reply->body,
            "<R "
            "xmlns=\"x\"><AssumeResult><Credentials><AccessKeyId>assumed</AccessKeyId>"
            "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
            "<Expiration>%s</Expiration></Credentials></AssumeResult></R>",
            fixture->expiration);
    }
}

static const char *const variables[] = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_CA_BUNDLE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
};

static int setup(void **state)
{
    struct fixture *fixture = memory_zalloc(sizeof(*fixture));
    char path[128];

    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/aws-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    (void)snprintf(
        fixture->expiration, sizeof(fixture->expiration), "2999-01-31T23:59:59Z");
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        (void)unsetenv(variables[i]);
    }
    fixture->server = scripted_http_start(on_request, fixture);
    (void)setenv(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT", scripted_http_url(fixture->server), 1);
    (void)snprintf(path, sizeof(path), "%s/config", fixture->folder);
    (void)setenv("AWS_CONFIG_FILE", path, 1);
    (void)snprintf(path, sizeof(path), "%s/credentials", fixture->folder);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    scripted_http_stop(fixture->server);
    aws_settings_destroy(fixture->settings);
    (void)fs_remove_tree(fixture->folder, NULL);
    free(fixture);
    return 0;
}

static void
write_file(const struct fixture *fixture, const char *name, const char *text)
{
    char *path = fs_join(fixture->folder, name);

    assert_int_equal(fs_write_durable(path, text, strlen(text), 0600, NULL), 0);
    free(path);
}

static void load(struct fixture *fixture)
{
    aws_settings_destroy(fixture->settings);
    fixture->settings = NULL;
    assert_int_equal(aws_settings_load(&fixture->settings, NULL), 0);
}

// Expects the access key and what the source is called.
static void expect(struct fixture *fixture, const char *key, const char *source)
{
    struct aws_credentials found = {0};
    struct error err = {0};

    load(fixture);
    if (aws_credentials_find(fixture->settings, &found, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(found.access_key, key);
    assert_string_equal(found.source, source);
    aws_credentials_fini(&found);
}

static void
expect_error(struct fixture *fixture, enum error_code code, const char *words)
{
    struct aws_credentials found = {0};
    struct error err = {0};

    load(fixture);
    assert_int_equal(aws_credentials_find(fixture->settings, &found, &err), -1);
    assert_int_equal(err.code, code);
    if (!strstr(err.message, words)) {
        fail_msg("'%s' lacks '%s'", err.message, words);
    }
    assert_null(found.access_key);
}

static void the_environment_is_asked_first(void **state)
{
    struct fixture *fixture = *state;
    struct aws_credentials found = {0};

    write_file(fixture,
               "credentials",
               "[default]\naws_access_key_id=p\naws_secret_access_key=q\n");
    expect(fixture, "p", "profile 'default'");
    (void)setenv("AWS_ACCESS_KEY_ID", "account:user", 1);
    expect_error(fixture, ERROR_UNAUTHENTICATED, "AWS_SECRET_ACCESS_KEY");
    (void)setenv("AWS_SECRET_ACCESS_KEY", "s/+e", 1);
    (void)setenv("AWS_SESSION_TOKEN", "tok", 1);
    expect(fixture, "account:user", "environment");
    assert_int_equal(aws_credentials_find(fixture->settings, &found, NULL), 0);
    assert_string_equal(found.secret_key, "s/+e");
    assert_string_equal(found.session_token, "tok");
    assert_int_equal(found.expires_s, 0);
    aws_credentials_fini(&found);
    assert_int_equal(fixture->requests, 0);
}

static void a_profile_s_keys_come_from_either_file(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};

    write_file(fixture,
               "config",
               "# comment\n[default]\nregion = one\n\n[profile  team x ]\r\n"
               "  aws_access_key_id = from-config \r\naws_secret_access_key=s=1\r\n"
               "region=two\n");
    write_file(fixture,
               "credentials",
               "[default]\naws_access_key_id=d\naws_secret_access_key=q\n"
               "[other]\naws_access_key_id=o\n");
    expect(fixture, "d", "profile 'default'");
    assert_string_equal(aws_settings_region(fixture->settings), "one");
    (void)setenv("AWS_PROFILE", "team x", 1);
    expect(fixture, "from-config", "profile 'team x'");
    assert_string_equal(aws_settings_region(fixture->settings), "two");
    assert_string_equal(
        aws_settings_profile(fixture->settings, NULL, "aws_secret_access_key"), "s=1");
    (void)setenv("AWS_DEFAULT_REGION", "three", 1);
    assert_string_equal(aws_settings_region(fixture->settings), "three");
    (void)setenv("AWS_REGION", "four", 1);
    assert_string_equal(aws_settings_region(fixture->settings), "four");
    (void)setenv("AWS_PROFILE", "other", 1);
    expect_error(fixture, ERROR_UNAUTHENTICATED, "aws_secret_access_key");
    (void)setenv("AWS_PROFILE", "nobody", 1);
    struct aws_settings *settings = NULL;
    assert_int_equal(aws_settings_load(&settings, &err), -1);
    assert_non_null(strstr(err.message, "got 'nobody'"));
}

static void endpoints_are_taken_in_aws_s_order(void **state)
{
    struct fixture *fixture = *state;

    write_file(fixture,
               "config",
               "[default]\nservices = mine\nendpoint_url = http://profile\n"
               "ca_bundle = /ca\n"
               "[services mine]\nec2 =\n  endpoint_url = http://ec2\n"
               "s3 =\n  # sub-settings\n  endpoint_url = http://service\n"
               "  addressing_style = path\n");
    load(fixture);
    assert_string_equal(aws_settings_endpoint(fixture->settings, "S3"),
                        "http://service");
    assert_string_equal(aws_settings_endpoint(fixture->settings, "STS"),
                        "http://profile");
    assert_string_equal(aws_settings_ca_bundle(fixture->settings), "/ca");
    (void)setenv("AWS_ENDPOINT_URL", "http://all", 1);
    assert_string_equal(aws_settings_endpoint(fixture->settings, "S3"), "http://all");
    (void)setenv("AWS_ENDPOINT_URL_S3", "http://s3", 1);
    assert_string_equal(aws_settings_endpoint(fixture->settings, "S3"), "http://s3");
    (void)setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE", 1);
    assert_null(aws_settings_endpoint(fixture->settings, "S3"));
}

static void a_process_may_hand_out_keys(void **state)
{
    struct fixture *fixture = *state;
    struct aws_credentials found = {0};

    write_file(fixture,
               "config",
               "[default]\ncredential_process = echo '{\"Version\": 1, "
               "\"AccessKeyId\": \"proc\", \"SecretAccessKey\": \"s\", "
               "\"SessionToken\": \"t\", \"Expiration\": \"2001-09-09T01:46:40Z\"}'\n"
               "[profile fails]\ncredential_process = echo oh >&2; exit 3\n"
               "[profile babbles]\ncredential_process = echo hello\n"
               "[profile floods]\ncredential_process = yes\n");
    expect(fixture, "proc", "credential_process of profile 'default'");
    assert_int_equal(aws_credentials_find(fixture->settings, &found, NULL), 0);
    assert_string_equal(found.session_token, "t");
    assert_int_equal(found.expires_s, 1000000000);
    aws_credentials_fini(&found);
    (void)setenv("AWS_PROFILE", "fails", 1);
    expect_error(fixture, ERROR_UNAUTHENTICATED, "'fails': it ended with status 3");
    (void)setenv("AWS_PROFILE", "babbles", 1);
    expect_error(fixture, ERROR_INVALID_ARGUMENT, "'babbles'");
    (void)setenv("AWS_PROFILE", "floods", 1);
    expect_error(fixture, ERROR_UNAUTHENTICATED, "ended by signal 9");
}

static void a_container_s_endpoint_gets_the_token(void **state)
{
    struct fixture *fixture = *state;
    char *url = memory_format("%s/container", scripted_http_url(fixture->server));
    char *file = fs_join(fixture->folder, "token");

    (void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    (void)setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "plain", 1);
    expect(fixture, "container", "container");
    assert_string_equal(fixture->seen[0], "GET /container plain ");
    write_file(fixture, "token", "from file\n");
    (void)setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file, 1);
    expect(fixture, "container", "container");
    assert_string_equal(fixture->seen[1], "GET /container from file ");
    fixture->status = 503;
    expect_error(fixture, ERROR_UNAVAILABLE, "got 503");
    fixture->status = 403;
    expect_error(fixture, ERROR_UNAUTHENTICATED, "got 403");
    free(url);
    free(file);
}

static void keys_are_not_fetched_in_the_clear_from_afar(void **state)
{
    static const char *const urls[] = {"http://example.com/x",
                                       "http://127.evil.example/x",
                                       "http://localhost.example/",
                                       "ftp://127.0.0.1/",
                                       "http://169.254.170.20/"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        (void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", urls[i], 1);
        expect_error(fixture, ERROR_UNAUTHENTICATED, urls[i]);
    }
}

static void an_instance_is_asked_with_a_token(void **state)
{
    struct fixture *fixture = *state;

    expect(fixture, "instance", "instance role the-role");
    assert_string_equal(fixture->seen[0], "PUT /latest/api/token 60 ");
    assert_string_equal(fixture->seen[1],
                        "GET /latest/meta-data/iam/security-credentials/ imds-token ");
    assert_string_equal(
        fixture->seen[3],
        "GET /latest/meta-data/iam/security-credentials/the-role imds-token ");
    fixture->status = 500;
    expect_error(fixture, ERROR_UNAVAILABLE, "instance metadata");
    fixture->requests = 0;
    (void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    expect_error(fixture, ERROR_UNAUTHENTICATED, "set AWS_ACCESS_KEY_ID");
    assert_int_equal(fixture->requests, 0);
}

static void a_role_is_asked_for_with_the_source_profile_s_keys(void **state)
{
    struct fixture *fixture = *state;

    (void)setenv("AWS_ENDPOINT_URL_STS", scripted_http_url(fixture->server), 1);
    (void)setenv("AWS_PROFILE", "role", 1);
    write_file(fixture,
               "config",
               "[profile role]\nrole_arn = arn:aws:iam::1:role/r\n"
               "source_profile = base\nregion = eu-west-3\nexternal_id = e x\n"
               "[profile base]\naws_access_key_id = b\naws_secret_access_key = s\n"
               "[profile loop]\nrole_arn = a\nsource_profile = back\n"
               "[profile back]\nrole_arn = a\nsource_profile = loop\n"
               "[profile odd]\nrole_arn = a\ncredential_source = Moon\n"
               "[profile instance]\nrole_arn = i\n"
               "credential_source = Ec2InstanceMetadata\n");
    expect(fixture, "assumed", "role arn:aws:iam::1:role/r");
    assert_non_null(strstr(fixture->seen[0], "Credential=b/"));
    assert_non_null(strstr(fixture->seen[0], "/eu-west-3/sts/aws4_request"));
    assert_non_null(strstr(fixture->seen[0],
                           " Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3A"
                           "iam%3A%3A1%3Arole%2Fr&RoleSessionName=cortex&"
                           "ExternalId=e%20x"));
    (void)setenv("AWS_PROFILE", "loop", 1);
    expect_error(fixture, ERROR_UNAUTHENTICATED, "circle");
    (void)setenv("AWS_PROFILE", "odd", 1);
    expect_error(fixture, ERROR_UNAUTHENTICATED, "got 'Moon'");
    (void)setenv("AWS_PROFILE", "instance", 1);
    expect(fixture, "assumed", "role i");
    assert_non_null(
        strstr(fixture->seen[(fixture->requests - 1) % 8], "Credential=instance/"));
    fixture->status = 400;
    (void)setenv("AWS_PROFILE", "role", 1);
    expect_error(fixture, ERROR_UNAUTHENTICATED, "AWS profile 'role'");
}

static void a_web_identity_s_token_is_handed_over(void **state)
{
    struct fixture *fixture = *state;
    char *file = fs_join(fixture->folder, "token");

    write_file(fixture, "token", "jwt.a-b\n");
    (void)setenv("AWS_ENDPOINT_URL_STS", scripted_http_url(fixture->server), 1);
    (void)setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file, 1);
    expect_error(fixture, ERROR_UNAUTHENTICATED, "AWS_ROLE_ARN");
    (void)setenv("AWS_ROLE_ARN", "arn", 1);
    expect(fixture, "assumed", "role arn");
    assert_string_equal(fixture->seen[0],
                        "POST /  Action=AssumeRoleWithWebIdentity&Version=2011-06-15&"
                        "RoleArn=arn&RoleSessionName=cortex&WebIdentityToken=jwt.a-b");
    free(file);
}

/* When keys are fetched anew */

static void count_fetch(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static bool fetched(atomic_uint *fetches, unsigned count)
{
    for (int i = 0; i < 10000 && atomic_load(fetches) < count; i++) {
        (void)usleep(1000);
    }
    return atomic_load(fetches) == count;
}

static void keys_are_renewed_five_minutes_before_they_expire(void **state)
{
    struct fixture *fixture = *state;
    struct aws_account_view view;
    struct pool *pool = NULL;
    atomic_uint fetches = 0;
    int64_t expires_s = aws_sts_time("2999-01-31T23:59:59Z");

    assert_int_equal(pool_create(1, &pool, NULL), 0);
    struct aws_account *account = aws_account_create(pool, count_fetch, &fetches);
    assert_int_equal(aws_account_wait(account, 0, &view, NULL), 0);
    assert_string_equal(view.credentials.access_key, "instance");
    assert_string_equal(view.region, "sa-east-1");
    aws_credentials_fini(&view.credentials);
    assert_true(fetched(&fetches, 1));
    assert_int_equal(aws_account_get(account, expires_s - 301, &view, NULL), 1);
    aws_credentials_fini(&view.credentials);
    // The old ones serve while new ones are fetched, until they have expired.
    fixture->status = 500;
    assert_int_equal(aws_account_get(account, expires_s - 299, &view, NULL), 1);
    aws_credentials_fini(&view.credentials);
    assert_true(fetched(&fetches, 2));
    assert_int_equal(aws_account_get(account, expires_s - 1, &view, NULL), 1);
    aws_credentials_fini(&view.credentials);
    assert_int_equal(aws_account_wait(account, expires_s, &view, NULL), -1);
    pool_destroy(pool);
    aws_account_destroy(account);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_environment_is_asked_first),
        TEST(a_profile_s_keys_come_from_either_file),
        TEST(endpoints_are_taken_in_aws_s_order),
        TEST(a_process_may_hand_out_keys),
        TEST(a_container_s_endpoint_gets_the_token),
        TEST(keys_are_not_fetched_in_the_clear_from_afar),
        TEST(an_instance_is_asked_with_a_token),
        TEST(a_role_is_asked_for_with_the_source_profile_s_keys),
        TEST(a_web_identity_s_token_is_handed_over),
        TEST(keys_are_renewed_five_minutes_before_they_expire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
