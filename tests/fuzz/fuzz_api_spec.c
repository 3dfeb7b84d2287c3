/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_api_spec.c - is every cortex.yaml read or refused with its place? */
#include "common/json_text.h"
#include "master/api_spec.h"
#include "tests/fuzz/fuzz.h"

static bool exists(void *arg, const char *path)
{
    (void)arg;
    fuzz_check(*path != '/' && strncmp(path, "./", 2) != 0, "a path is relative");
    return strcmp(path, "predictor.py") == 0 || strcmp(path, "src/") == 0;
}

static void check_spec(const struct api_spec *spec)
{
    fuzz_check(*spec->name && strlen(spec->name) <= 42, "a name");
    fuzz_check(*spec->endpoint == '/', "an endpoint begins with a slash");
    fuzz_check(!strstr(spec->predictor_path, ".."), "a path stays in the project");
    fuzz_check(json_check(spec->config, strlen(spec->config), NULL) == 0, "config");
    fuzz_check(json_check(spec->submitted, strlen(spec->submitted), NULL) == 0, "map");
    fuzz_check(json_check(spec->json, strlen(spec->json), NULL) == 0, "document");
    for (size_t i = 0; i < spec->env_count; i++) {
        fuzz_check(strchr(spec->env[i], '=') != NULL, "a variable has a value");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct api_spec_source source = {
        .file_name = "cortex.yaml",
        .text = (const char *)data,
        .size = size,
        .project_id =
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        .now_ns = 1595207264000000000,
        .exists = exists,
    };
    struct api_specs specs = {NULL, 0};
    struct error err = {0};

    if (api_spec_parse(&source, &specs, &err) != 0) {
        fuzz_check(specs.specs == NULL, "untouched on failure");
        fuzz_check(err.code == ERROR_INVALID_ARGUMENT,
                   "a bad file is its author's fault");
        fuzz_check_error(&err);
        return 0;
    }
    fuzz_check(specs.count >= 1, "a file holds an API");
    for (size_t i = 0; i < specs.count; i++) {
        check_spec(&specs.specs[i]);
    }
    api_specs_fini(&specs);
    return 0;
}
