/* SPDX-License-Identifier: Apache-2.0 */
/* test_codec.c - whether frames survive the way there and hostile ones do no harm */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/codec.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "proto/client.pb-c.h"
#include "proto/rpc.pb-c.h"

#define COUNTER 0x1122334455667788u

static const struct codec_request sample_request = {
    .request_id = "0123456789abcde",
    .method = "cortex.v1.Client/SubmitJob",
    .timeout_ms = 1500,
    .release = "0.1.0",
};

/* A frame as a client would send it, with a message and an attachment. */
static void pack_sample(struct buffer *out)
{
    Cortex__V1__SubmitJobRequest message = CORTEX__V1__SUBMIT_JOB_REQUEST__INIT;

    message.api_name = (char *)"image-classifier";
    message.idempotency_key = (char *)"\xC3\xA9t\xC3\xA9 \xF0\x9F\x8C\x9E";
    codec_pack_request(&sample_request, COUNTER, &message.base, "{\"a\":1}\0x", 9, out);
}

/* Takes a frame through all that a server does with it. Copied to memory of just its
 * size, so that a sanitizer sees every byte that is read beyond it. */
static int take_in(const char *data, size_t size)
{
    struct codec_frame frame;
    struct codec_request request;
    struct error err;
    int result = -1;
    uint8_t *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, data, size);
    if (codec_frame_parse(copy, size, &frame, &err) == 0 &&
        codec_unpack_request(&frame, &request, &err) == 0) {
        ProtobufCMessage *message =
            codec_unpack_message(&cortex__v1__submit_job_request__descriptor,
                                 frame.message,
                                 frame.message_size,
                                 &err);
        result = message ? 0 : -1;
        codec_message_free(message);
    }
    if (result != 0) {
        assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
        assert_true(strlen(err.message) > 10);
    }
    free(copy);
    return result;
}

static void a_request_arrives_as_it_was_sent(void **state)
{
    (void)state;
    struct buffer bytes = BUFFER_INIT;
    struct codec_frame frame;
    struct codec_request request;

    pack_sample(&bytes);
    assert_int_equal(codec_frame_parse(bytes.data, bytes.size, &frame, NULL), 0);
    assert_int_equal(frame.type, CODEC_CLEAR);
    assert_true(frame.session == 0);
    assert_true(frame.counter == COUNTER);
    assert_int_equal(frame.attachment_size, 9);
    assert_memory_equal(frame.attachment, "{\"a\":1}\0x", 9);

    assert_int_equal(codec_unpack_request(&frame, &request, NULL), 0);
    assert_memory_equal(request.request_id, sample_request.request_id, ID_REQUEST_SIZE);
    assert_string_equal(request.method, sample_request.method);
    assert_int_equal(request.timeout_ms, 1500);
    assert_string_equal(request.release, "0.1.0");

    ProtobufCMessage *message =
        codec_unpack_message(&cortex__v1__submit_job_request__descriptor,
                             frame.message,
                             frame.message_size,
                             NULL);
    assert_non_null(message);
    const Cortex__V1__SubmitJobRequest *submit = (const void *)message;
    assert_string_equal(submit->api_name, "image-classifier");
    assert_string_equal(submit->idempotency_key, "\xC3\xA9t\xC3\xA9 \xF0\x9F\x8C\x9E");
    codec_message_free(message);
    buffer_fini(&bytes);
}

static void the_layout_is_that_of_rpc_proto(void **state)
{
    (void)state;
    static const uint8_t head[24] = {'C',  'X',  1,    6,    0,    0,    0,    0,
                                     0,    0,    0,    0,    0,    0,    0,    0,
                                     0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
    struct buffer bytes = BUFFER_INIT;
    struct codec_frame frame;

    pack_sample(&bytes);
    assert_memory_equal(bytes.data, head, sizeof(head));
    assert_int_equal(codec_frame_parse(bytes.data, bytes.size, &frame, NULL), 0);
    const uint8_t *sizes = (const uint8_t *)bytes.data + 24;
    assert_int_equal(sizes[0] | sizes[1] << 8, frame.envelope_size);
    assert_int_equal(sizes[4] | sizes[5] << 8, frame.message_size);
    assert_ptr_equal(frame.envelope, bytes.data + CODEC_PREFIX_SIZE);
    assert_ptr_equal(frame.message, frame.envelope + frame.envelope_size);
    assert_ptr_equal(frame.attachment, frame.message + frame.message_size);
    buffer_fini(&bytes);
}

static void take_reply(const struct codec_reply *reply, struct codec_reply *out)
{
    struct buffer bytes = BUFFER_INIT;
    struct codec_frame frame;
    struct error err = {.code = ERROR_OK};

    codec_pack_reply(reply, COUNTER, NULL, NULL, 0, &bytes);
    assert_int_equal(codec_frame_parse(bytes.data, bytes.size, &frame, &err), 0);
    assert_int_equal(frame.message_size, 0);
    assert_int_equal(codec_unpack_reply(&frame, out, &err), 0);
    buffer_fini(&bytes);
}

static void an_error_reply_keeps_code_kind_sentence_and_pause(void **state)
{
    (void)state;
    struct codec_reply reply = {.request_id = "0123456789abcde", .retry_after_ms = 70};
    struct codec_reply out;

    (void)error_set_kind(&reply.error,
                         ERROR_NOT_FOUND,
                         "batchapi.job_not_found",
                         "no job \"%s\"",
                         "abc");
    take_reply(&reply, &out);
    assert_memory_equal(out.request_id, reply.request_id, ID_REQUEST_SIZE);
    assert_int_equal(out.error.code, ERROR_NOT_FOUND);
    assert_string_equal(out.error.kind, "batchapi.job_not_found");
    assert_string_equal(out.error.message, "no job \"abc\"");
    assert_int_equal(out.retry_after_ms, 70);
}

static void a_sentence_that_quotes_binary_is_sent_as_text(void **state)
{
    (void)state;
    struct codec_reply reply = {.request_id = "0123456789abcde"};
    struct codec_reply out;

    (void)error_set(
        &reply.error, ERROR_INTERNAL, "%s", "key \"\xFF\xC3\xA9\xE2\x82\" is bad");
    take_reply(&reply, &out);
    assert_string_equal(out.error.message, "key \"?\xC3\xA9??\" is bad");
}

static void a_code_that_is_not_known_here_is_unknown(void **state)
{
    (void)state;
    struct codec_reply reply = {.request_id = "0123456789abcde"};
    struct codec_reply out;

    (void)error_set(&reply.error, (enum error_code)4000000000u, "from the future");
    take_reply(&reply, &out);
    assert_int_equal(out.error.code, ERROR_UNKNOWN);
    assert_string_equal(out.error.message, "from the future");
}

static void a_frame_cut_at_any_byte_of_its_messages_is_refused(void **state)
{
    (void)state;
    struct buffer bytes = BUFFER_INIT;
    struct codec_frame frame;

    pack_sample(&bytes);
    assert_int_equal(codec_frame_parse(bytes.data, bytes.size, &frame, NULL), 0);
    size_t whole = bytes.size - frame.attachment_size;
    for (size_t size = 0; size < whole; size++) {
        assert_int_equal(take_in(bytes.data, size), -1);
    }
    assert_int_equal(take_in(bytes.data, whole), 0);
    buffer_fini(&bytes);
}

static void
a_frame_with_any_bit_of_its_header_or_session_flipped_is_refused(void **state)
{
    (void)state;
    struct buffer bytes = BUFFER_INIT;

    pack_sample(&bytes);
    for (size_t bit = 0; bit < (size_t)16 * 8; bit++) {
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(take_in(bytes.data, bytes.size), -1);
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(take_in(bytes.data, bytes.size), 0);
    buffer_fini(&bytes);
}

static void
a_frame_with_any_byte_changed_is_taken_or_refused_but_never_overrun(void **state)
{
    (void)state;
    struct buffer bytes = BUFFER_INIT;

    pack_sample(&bytes);
    for (size_t i = 0; i < bytes.size; i++) {
        for (unsigned change = 1; change < 256; change++) {
            bytes.data[i] ^= (char)change;
            (void)take_in(bytes.data, bytes.size);
            bytes.data[i] ^= (char)change;
        }
    }
    buffer_fini(&bytes);
}

static void huge_sizes_in_a_frame_are_refused(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {
        0xFFFFFFFFu, 0x80000000u, 0x7FFFFFFFu, 0x01000000u, 1000};
    struct buffer bytes = BUFFER_INIT;

    pack_sample(&bytes);
    for (size_t at = 24; at < 32; at += 4) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            uint32_t saved;
            memcpy(&saved, bytes.data + at, 4);
            memcpy(bytes.data + at, &sizes[i], 4);
            assert_int_equal(take_in(bytes.data, bytes.size), -1);
            memcpy(bytes.data + at, &saved, 4);
        }
    }
    memset(bytes.data + 24, 0xFF, 8); // their sum is more than 32 bits
    assert_int_equal(take_in(bytes.data, bytes.size), -1);
    buffer_fini(&bytes);
}

static void huge_lengths_inside_a_message_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        uint8_t bytes[11];
    } bodies[] = {
        {6, {0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F}}, // 4 GiB
        {11, {0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}},
        {11, {0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}},
        {2, {0x0B, 0x0C}},       // a group
        {3, {0x02, 0x01, 0x61}}, // field 0
        {1, {0x0F}},             // type 7
        {2, {0x0A, 0x01}},       // one byte short
        {1, {0x0A}},
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_null(codec_unpack_message(&cortex__v1__submit_job_request__descriptor,
                                         bodies[i].bytes,
                                         bodies[i].size,
                                         NULL));
    }
}

static void a_megabyte_of_empty_messages_hits_the_cap(void **state)
{
    (void)state;
    size_t size = 1u << 20;
    struct error err;
    uint8_t *bytes = malloc(size);

    assert_non_null(bytes);
    for (size_t i = 0; i < size; i += 2) {
        bytes[i] = 0x22; // InfoReply.agents, a message
        bytes[i + 1] = 0;
    }
    assert_null(
        codec_unpack_message(&cortex__v1__info_reply__descriptor, bytes, size, &err));
    assert_int_equal(err.code, ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "67108864 bytes"));

    ProtobufCMessage *message =
        codec_unpack_message(&cortex__v1__info_reply__descriptor, bytes, 2000, &err);
    assert_non_null(message);
    assert_int_equal(((const Cortex__V1__InfoReply *)message)->n_agents, 1000);
    codec_message_free(message);
    free(bytes);
}

/* A SubmitJobRequest whose api_name is these bytes. */
static int take_text(const char *text, size_t size, struct error *err)
{
    uint8_t bytes[64] = {0x0A, (uint8_t)size};

    memcpy(bytes + 2, text, size);
    ProtobufCMessage *message = codec_unpack_message(
        &cortex__v1__submit_job_request__descriptor, bytes, size + 2, err);
    codec_message_free(message);
    return message ? 0 : -1;
}

static void text_that_is_not_utf8_or_holds_a_nul_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",                 // a continuation alone
        "\xC3",                 // cut short
        "\xC0\xAF",             // overlong
        "\xE0\x80\xAF",         // overlong
        "\xF0\x80\x80\xAF",     // overlong
        "\xED\xA0\x80",         // a surrogate
        "\xF4\x90\x80\x80",     // beyond Unicode
        "\xF8\x88\x80\x80\x80", // five bytes
        "\xE2\x82(",
        "\xFF",
    };
    struct error err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(take_text(bad[i], strlen(bad[i]), &err), -1);
        assert_string_equal(err.message,
                            "cortex.v1.SubmitJobRequest.api_name is not text: expected "
                            "UTF-8 without NUL");
    }
    assert_int_equal(take_text("a\0b", 3, &err), -1);
    assert_int_equal(take_text("\0", 1, &err), -1);
    assert_int_equal(take_text("", 0, &err), 0);
    assert_int_equal(take_text("\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF", 10, &err),
                     0);
    assert_int_equal(
        take_text("\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 11, &err), 0);
}

static void text_inside_inner_messages_is_checked_too(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x22, 3, 0x0A, 1, 0xFF}; // agents[0].<first>
    struct error err;

    assert_null(codec_unpack_message(
        &cortex__v1__info_reply__descriptor, bytes, sizeof(bytes), &err));
    assert_non_null(strstr(err.message, "is not text"));
}

static int take_envelope(const Cortex__V1__RequestHeader *header)
{
    uint8_t bytes[512];
    size_t size = protobuf_c_message_pack(&header->base, bytes);
    struct codec_frame frame = {.envelope = bytes, .envelope_size = size};
    struct codec_request request;
    struct error err;
    int result = codec_unpack_request(&frame, &request, &err);

    assert_true(result == 0 || err.code == ERROR_INVALID_ARGUMENT);
    return result;
}

static void an_envelope_with_a_field_out_of_bounds_is_refused(void **state)
{
    (void)state;
    uint8_t id[17] = {1};
    char text[97];
    Cortex__V1__RequestHeader header = CORTEX__V1__REQUEST_HEADER__INIT;

    memset(text, 'm', 96);
    text[96] = '\0';
    header.request_id = (ProtobufCBinaryData){.len = 16, .data = id};
    header.timeout_ms = RPC_TIMEOUT_MAX_MS;
    header.method = text + 1;
    header.release = text + 96 - 31;
    assert_int_equal(take_envelope(&header), 0);

    header.timeout_ms = 0;
    assert_int_equal(take_envelope(&header), -1);
    header.timeout_ms = RPC_TIMEOUT_MAX_MS + 1;
    assert_int_equal(take_envelope(&header), -1);
    header.timeout_ms = 1;
    header.request_id.len = 15;
    assert_int_equal(take_envelope(&header), -1);
    header.request_id.len = 17;
    assert_int_equal(take_envelope(&header), -1);
    header.request_id.len = 16;
    header.method = text;
    assert_int_equal(take_envelope(&header), -1);
    header.method = text + 1;
    header.release = text + 96 - 32;
    assert_int_equal(take_envelope(&header), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_as_it_was_sent),
        cmocka_unit_test(the_layout_is_that_of_rpc_proto),
        cmocka_unit_test(an_error_reply_keeps_code_kind_sentence_and_pause),
        cmocka_unit_test(a_sentence_that_quotes_binary_is_sent_as_text),
        cmocka_unit_test(a_code_that_is_not_known_here_is_unknown),
        cmocka_unit_test(a_frame_cut_at_any_byte_of_its_messages_is_refused),
        cmocka_unit_test(
            a_frame_with_any_bit_of_its_header_or_session_flipped_is_refused),
        cmocka_unit_test(
            a_frame_with_any_byte_changed_is_taken_or_refused_but_never_overrun),
        cmocka_unit_test(huge_sizes_in_a_frame_are_refused),
        cmocka_unit_test(huge_lengths_inside_a_message_are_refused),
        cmocka_unit_test(a_megabyte_of_empty_messages_hits_the_cap),
        cmocka_unit_test(text_that_is_not_utf8_or_holds_a_nul_is_refused),
        cmocka_unit_test(text_inside_inner_messages_is_checked_too),
        cmocka_unit_test(an_envelope_with_a_field_out_of_bounds_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
