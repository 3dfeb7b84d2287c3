/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_aws_sign.c - is every path and query signed just as it is sent? */
#include "common/aws_sign.h"
#include "tests/fuzz/fuzz.h"

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void decodes_to(const char *encoded, const char *text)
{
    for (; *text; text++) {
        int byte = (unsigned char)*encoded++;
        if (byte == '%') {
            fuzz_check(digit(encoded[0]) >= 0 && digit(encoded[1]) >= 0, "%XX");
            byte = digit(encoded[0]) * 16 + digit(encoded[1]);
            encoded += 2;
        } else {
            fuzz_check(byte > 0x20 && byte < 0x7f, "what stands plainly is ASCII");
        }
        fuzz_check(byte == (unsigned char)*text, "what was encoded decodes to itself");
    }
    fuzz_check(*encoded == '\0', "and to nothing more");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    unsigned flags = fuzz_take_byte(&input) & 3;
    int64_t time_s = (int64_t)fuzz_take_byte(&input) << 24;
    char *key = fuzz_take_text(&input);
    char *path = memory_format("/%s", key);
    char *name = fuzz_take_text(&input);
    char *value = fuzz_take_text(&input);
    char *header = fuzz_take_text(&input);
    const struct aws_sign_pair query[] = {
        {name, value}, {"list-type", "2"}, {value, ""}};
    const struct aws_sign_pair headers[] = {{"Host", "b.s3.amazonaws.com"},
                                            {"x-a", header}};
    const struct aws_sign_key keys = {"AKID", "secret", size % 2 ? header : NULL};
    const struct aws_sign_request request = {flags,
                                             "GET",
                                             path,
                                             query,
                                             3,
                                             headers,
                                             2,
                                             AWS_SIGN_UNSIGNED_PAYLOAD,
                                             "us-west-2",
                                             "s3",
                                             time_s};
    struct aws_sign_result result = {.signature = ""};
    struct aws_sign_result signed_url = {.signature = ""};
    struct buffer encoded = BUFFER_INIT;

    aws_sign_encode(&encoded, key, (flags & 1) != 0);
    decodes_to(buffer_text(&encoded), key);
    aws_sign_header(&request, &keys, &result);
    fuzz_check(strlen(result.signature) == AWS_SIGN_HASH_SIZE - 1, "a signature");
    aws_sign_query(&request, &keys, 900, &signed_url);
    fuzz_check(strstr(buffer_text(&signed_url.query), signed_url.signature) != NULL,
               "a signed query ends with its signature");

    aws_sign_result_fini(&result);
    aws_sign_result_fini(&signed_url);
    buffer_fini(&encoded);
    free(key);
    free(path);
    free(name);
    free(value);
    free(header);
    return 0;
}
