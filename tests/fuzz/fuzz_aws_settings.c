/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_aws_settings.c - is every profile file read without harm?
 *
 * The input's first half, up to a NUL, is the config file, the rest the credentials. */
#include <sys/mman.h>
#include <unistd.h>

#include "common/aws_settings.h"
#include "tests/fuzz/fuzz.h"

static int files[2];

static void give(int fd, const char *data, size_t size)
{
    fuzz_check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size,
               "a file in memory takes what is written");
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const names[] = {"AWS_CONFIG_FILE",
                                        "AWS_SHARED_CREDENTIALS_FILE"};

    (void)argc;
    (void)argv;
    for (size_t i = 0; i < 2; i++) {
        files[i] = memfd_create(names[i], MFD_CLOEXEC);
        char *path = memory_format("/proc/self/fd/%d", files[i]);
        (void)setenv(names[i], path, 1);
        free(path);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {
        "region", "aws_access_key_id", "role_arn", "services", "endpoint_url"};
    struct fuzz_input input = {data, size};
    struct aws_settings *settings = NULL;
    struct error err = {0};
    char *config = fuzz_take_text(&input);

    give(files[0], config, strlen(config));
    give(files[1], fuzz_rest(&input), input.size);
    free(config);
    if (aws_settings_load(&settings, &err) != 0) {
        fuzz_check_error(&err);
        return 0;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = aws_settings_profile(settings, NULL, keys[i]);
        fuzz_check(!value || !strchr(value, '\n'), "a value is on one line");
        (void)aws_settings_profile(settings, "other", keys[i]);
    }
    (void)aws_settings_region(settings);
    (void)aws_settings_ca_bundle(settings);
    (void)aws_settings_endpoint(settings, "S3");
    (void)aws_settings_endpoint(settings, "STS");
    aws_settings_destroy(settings);
    return 0;
}
