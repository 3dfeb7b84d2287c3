/* SPDX-License-Identifier: Apache-2.0 */
/* test_api_spec.c - is a cortex.yaml read, checked and named as promised
 *
 * Each file of tests/corpus/api_spec begins with "# expect: " and the error it must
 * give, or "ok". */
#include "master/api_spec.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/fs.h"
#include "common/id.h"

#define CORPUS  TEST_SOURCE_DIR "/tests/corpus/api_spec"
#define EXPECT  "# expect: "
#define NOW_NS  INT64_C(1595207264123456789)
#define PROJECT "0f343b0931126a20f133d67c2b018a3b3f2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e"

static bool exists(void *arg, const char *path)
{
    static const char *const files[] = {"predictor.py", "src/lib.py", "weird name.py"};

    (void)arg;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        size_t length = strlen(path);
        bool folder = length > 0 && path[length - 1] == '/';
        if (folder ? strncmp(files[i], path, length) == 0
                   : strcmp(files[i], path) == 0) {
            return true;
        }
    }
    return false;
}

static int parse(const char *text,
                 const char *project,
                 int64_t now,
                 struct api_specs *out,
                 struct error *err)
{
    struct api_spec_source source = {
        .file_name = "cortex.yaml",
        .text = text,
        .size = strlen(text),
        .project_id = project,
        .now_ns = now,
        .exists = exists,
    };

    return api_spec_parse(&source, out, err);
}

static struct api_specs parse_well(const char *text)
{
    struct api_specs specs = {NULL, 0};
    struct error err = {0};

    if (parse(text, PROJECT, NOW_NS, &specs, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return specs;
}

static int is_yaml(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

// The error of one file of the corpus, or "ok".
static void run_corpus_file(const char *name, char got[ERROR_MESSAGE_SIZE + 80])
{
    char *path = fs_join(CORPUS, name);
    struct buffer text = BUFFER_INIT;
    struct api_specs specs = {NULL, 0};
    struct error err = {0};

    assert_int_equal(fs_read(path, 1 << 20, &text, &err), 0);
    assert_int_equal(strncmp(buffer_text(&text), EXPECT, strlen(EXPECT)), 0);
    if (parse(buffer_text(&text), PROJECT, NOW_NS, &specs, &err) == 0) {
        (void)snprintf(got, ERROR_MESSAGE_SIZE + 80, "ok");
    } else {
        (void)snprintf(
            got, ERROR_MESSAGE_SIZE + 80, "%s: %s", error_kind(&err), err.message);
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    }
    api_specs_fini(&specs);
    char *expected = memory_strndup(text.data + strlen(EXPECT),
                                    strcspn(text.data, "\n") - strlen(EXPECT));
    if (strcmp(got, expected) != 0) {
        fail_msg("%s\n  expected %s\n  got      %s", name, expected, got);
    }
    free(expected);
    buffer_fini(&text);
    free(path);
}

static void test_every_file_of_the_corpus_gives_just_its_error(void **state)
{
    struct dirent **entries = NULL;
    int count = scandir(CORPUS, &entries, is_yaml, alphasort);

    (void)state;
    assert_true(count >= 60);
    for (int i = 0; i < count; i++) {
        char got[ERROR_MESSAGE_SIZE + 80];
        run_corpus_file(entries[i]->d_name, got);
        free(entries[i]);
    }
    free(entries);
}

static void test_the_tutorials_file_yields_its_fields(void **state)
{
    struct api_specs specs = parse_well("# cortex.yaml\n\n"
                                        "- name: image-classifier\n"
                                        "  kind: BatchAPI\n"
                                        "  predictor:\n"
                                        "    type: python\n"
                                        "    path: predictor.py\n"
                                        "  compute:\n"
                                        "    cpu: 1\n");
    const struct api_spec *spec = specs.specs;

    (void)state;
    assert_int_equal(specs.count, 1);
    assert_string_equal(spec->name, "image-classifier");
    assert_string_equal(spec->endpoint, "/image-classifier");
    assert_string_equal(spec->predictor_path, "predictor.py");
    assert_string_equal(spec->python_path, "");
    assert_string_equal(spec->config, "{}");
    assert_string_equal(spec->log_level, "info");
    assert_int_equal(spec->cpu_millis, 1000);
    assert_int_equal(spec->memory_bytes, 0);
    assert_int_equal(spec->gpus, 0);
    assert_int_equal(spec->env_count, 0);
    assert_int_equal(strlen(spec->predictor_id), 63);
    assert_int_equal(strlen(spec->spec_id), 32);
    assert_int_equal(strlen(spec->api_id), 50);
    api_specs_fini(&specs);
}

static void test_given_fields_are_normalised(void **state)
{
    struct api_specs specs =
        parse_well("- name: a\n"
                   "  kind: BatchAPI\n"
                   "  predictor:\n"
                   "    type: python\n"
                   "    path: ././predictor.py\n"
                   "    python_path: ./src\n"
                   "    config: {n: 12345678901234567890, yes: no}\n"
                   "    env: {B: '2', A: x=y}\n"
                   "  networking: {endpoint: x/y/}\n"
                   "  compute: {cpu: 0.25, mem: 512Mi, gpu: 2}\n");
    const struct api_spec *spec = specs.specs;

    (void)state;
    assert_string_equal(spec->predictor_path, "predictor.py");
    assert_string_equal(spec->python_path, "src/");
    assert_string_equal(spec->config, "{\"n\":12345678901234567890,\"yes\":\"no\"}");
    assert_int_equal(spec->env_count, 2);
    assert_string_equal(spec->env[0], "A=x=y");
    assert_string_equal(spec->env[1], "B=2");
    assert_string_equal(spec->endpoint, "/x/y");
    assert_int_equal(spec->cpu_millis, 250);
    assert_int_equal(spec->memory_bytes, 512 << 20);
    assert_int_equal(spec->gpus, 2);
    api_specs_fini(&specs);
}

static void test_the_document_holds_every_key_of_an_api_spec(void **state)
{
    static const char *const keys[] = {
        "name",
        "kind",
        "apis",
        "predictor",
        "networking",
        "compute",
        "autoscaling",
        "update_strategy",
        "index",
        "file_name",
        "spec_id",
        "submitted_api_spec",
        "id",
        "key",
        "predictor_id",
        "deployment_id",
        "predictor_key",
        "last_updated",
        "metadata_root",
        "project_id",
        "project_key",
    };
    struct api_specs specs =
        parse_well("- name: a\n  kind: BatchAPI\n  predictor: {type: "
                   "python, path: predictor.py, env: {Q: '\"'}}\n");
    const char *json = specs.specs[0].json;

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char quoted[64];
        (void)snprintf(quoted, sizeof(quoted), "\"%s\":", keys[i]);
        if (!strstr(json, quoted)) {
            fail_msg("%s is missing in %s", quoted, json);
        }
    }
    assert_non_null(strstr(json, "\"last_updated\":1595207264,"));
    assert_non_null(strstr(json, "\"env\":{\"Q\":\"\\\"\"}"));
    assert_non_null(strstr(
        json, "\"compute\":{\"cpu\":\"200m\",\"mem\":null,\"gpu\":0,\"inf\":0}"));
    assert_non_null(strstr(json, "\"submitted_api_spec\":{\"name\":\"a\",\"kind\":"));
    api_specs_fini(&specs);
}

static void spec_id_of(const char *predictor,
                       const char *rest,
                       const char *project,
                       int64_t now,
                       char out[API_SPEC_SPEC_ID_SIZE])
{
    char *text = memory_format("- name: a\n  kind: BatchAPI\n  predictor: {type: "
                               "python, path: predictor.py%s}\n%s",
                               predictor,
                               rest);
    struct api_specs specs = {NULL, 0};
    struct error err = {0};

    if (parse(text, project, now, &specs, &err) != 0) {
        fail_msg("%s", err.message);
    }
    (void)snprintf(out, API_SPEC_SPEC_ID_SIZE, "%s", specs.specs[0].spec_id);
    api_specs_fini(&specs);
    free(text);
}

static void test_the_spec_id_changes_with_what_matters_and_only_with_that(void **state)
{
    static const char *const different[][3] = {
        {", config: {a: 1}", "", PROJECT},
        {", config: {a: '1'}", "", PROJECT},
        {", env: {A: b}", "", PROJECT},
        {", env: {A: '', B: ''}", "", PROJECT},
        {", log_level: debug", "", PROJECT},
        {", python_path: src", "", PROJECT},
        {", shm_size: 1Mi", "", PROJECT},
        {", image: x", "", PROJECT},
        {"", "  compute: {cpu: 1}\n", PROJECT},
        {"", "  compute: {cpu: null}\n", PROJECT},
        {"", "  compute: {mem: 1Gi}\n", PROJECT},
        {"", "  compute: {gpu: 1}\n", PROJECT},
        {"", "  networking: {endpoint: /b}\n", PROJECT},
        {"", "", "another project"},
    };
    static const char *const same[] = {"  compute: {cpu: 200m}\n",
                                       "  compute: {cpu: 0.2}\n",
                                       "  networking: {endpoint: a/}\n",
                                       "  compute: {gpu: 0, inf: 0}\n",
                                       "# a comment\n"};
    char base[API_SPEC_SPEC_ID_SIZE];
    char other[API_SPEC_SPEC_ID_SIZE];
    char seen[sizeof(different) / sizeof(different[0])][API_SPEC_SPEC_ID_SIZE];

    (void)state;
    spec_id_of("", "", PROJECT, NOW_NS, base);
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        spec_id_of("", same[i], PROJECT, NOW_NS + 1, other);
        assert_string_equal(other, base);
    }
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
        spec_id_of(different[i][0], different[i][1], different[i][2], NOW_NS, seen[i]);
        assert_string_not_equal(seen[i], base);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(seen[i], seen[j]);
        }
    }
}

static void test_a_later_version_sorts_first(void **state)
{
    struct api_specs early = {NULL, 0};
    struct api_specs late = {NULL, 0};
    static const char text[] =
        "- {name: a, kind: BatchAPI, predictor: {type: python, path: predictor.py}}\n";

    (void)state;
    assert_int_equal(parse(text, PROJECT, NOW_NS, &early, NULL), 0);
    assert_int_equal(parse(text, PROJECT, NOW_NS + 1, &late, NULL), 0);
    assert_true(strcmp(late.specs[0].api_id, early.specs[0].api_id) < 0);
    assert_non_null(strstr(late.specs[0].api_id, "--"));
    api_specs_fini(&early);
    api_specs_fini(&late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file_of_the_corpus_gives_just_its_error),
        cmocka_unit_test(test_the_tutorials_file_yields_its_fields),
        cmocka_unit_test(test_given_fields_are_normalised),
        cmocka_unit_test(test_the_document_holds_every_key_of_an_api_spec),
        cmocka_unit_test(test_the_spec_id_changes_with_what_matters_and_only_with_that),
        cmocka_unit_test(test_a_later_version_sorts_first),
    };

    return id_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
