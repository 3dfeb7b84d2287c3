/* SPDX-License-Identifier: Apache-2.0 */
/* sqs.c - how a message is sent to a queue of Amazon SQS */
#include "common/sqs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/aws_account.h"
#include "common/aws_transfer.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/json_write.h"
#include "common/pool.h"

#define SQS_BACKOFF_MS   200
#define SQS_STALL_S      30
#define SQS_ANSWER_MAX   (1u << 16)
#define SQS_TYPE         "application/x-amz-json-1.0"
#define SQS_TARGET       "AmazonSQS.SendMessage"
#define SQS_SKEW_S       60 // a clock that is further off is worth correcting
#define SQS_STRING       "String"
#define SQS_CODE_SIZE    96
#define SQS_MESSAGE_SIZE 400 // bytes of what a refusal says that are quoted

struct sqs {
    struct pool *pool;
    struct aws_transfer *transfer;
    struct aws_account *account;
    int64_t clock_ahead_s; // the server's clock against ours; the I/O thread's
};

/* One message on its way. */
struct sending {
    struct aws_call call;
    struct sqs *sqs;
    struct sqs_arn queue;
    struct buffer rest; // of the document, behind the queue's URL
    struct buffer body;
    char *access_key; // it was last signed with
    bool renewed;
    bool clock_corrected;
    bool refused; // for good
    sqs_done_fn done;
    void *arg;
};

static void on_account_changed(void *arg)
{
    struct sqs *sqs = arg;

    aws_transfer_kick(sqs->transfer);
}

int sqs_create(const struct sqs_options *options,
               struct sqs **out_sqs,
               struct error *err)
{
    struct sqs *sqs = memory_zalloc(sizeof(*sqs));
    const struct aws_transfer_options transfer = {
        .calls_max = options->sends_max,
        .attempts_max = SQS_ATTEMPTS,
        .backoff_ms = options->backoff_ms ? options->backoff_ms : SQS_BACKOFF_MS,
        .stall_s = options->stall_s ? options->stall_s : SQS_STALL_S,
    };

    if (pool_create(1, &sqs->pool, err) != 0 ||
        aws_transfer_create(&transfer, &sqs->transfer, err) != 0) {
        pool_destroy(sqs->pool);
        free(sqs);
        return -1;
    }
    sqs->account = aws_account_create(sqs->pool, on_account_changed, sqs);
    *out_sqs = sqs;
    return 0;
}

void sqs_destroy(struct sqs *sqs)
{
    if (!sqs) {
        return;
    }
    aws_transfer_stop(sqs->transfer);
    pool_destroy(sqs->pool);
    aws_transfer_destroy(sqs->transfer);
    aws_account_destroy(sqs->account);
    free(sqs);
}

/* Where requests go: an endpoint without a slash at its end. */
struct endpoint {
    char *url;
    const char *host; // in url, up to the path
    size_t host_size;
    const char *path; // in url; "" or "/base"
};

static int split_endpoint(struct endpoint *endpoint, struct error *err)
{
    const char *url = endpoint->url;
    size_t scheme = strncmp(url, "https://", 8) == 0  ? 8
                    : strncmp(url, "http://", 7) == 0 ? 7
                                                      : 0;

    endpoint->host = url + scheme;
    endpoint->host_size = strcspn(endpoint->host, "/");
    endpoint->path = endpoint->host + endpoint->host_size;
    return scheme && endpoint->host_size > 0
               ? 0
               : error_set(
                     err,
                     ERROR_INVALID_ARGUMENT,
                     "the SQS endpoint: expected http://... or https://..., got '%s'",
                     url);
}

// In China AWS has a domain of its own; other partitions of that kind need a setting.
static int find_endpoint(const struct sending *sending,
                         const struct aws_settings *settings,
                         struct endpoint *out,
                         struct error *err)
{
    const char *set = aws_settings_endpoint(settings, "SQS");
    bool china = strcmp(sending->queue.partition, "aws-cn") == 0;

    out->url = set ? memory_strdup(set)
                   : memory_format("https://sqs.%s.amazonaws.com%s",
                                   sending->queue.region,
                                   china ? ".cn" : "");
    for (size_t size = strlen(out->url); size > 0 && out->url[size - 1] == '/';) {
        out->url[--size] = '\0';
    }
    return split_endpoint(out, err);
}

static int64_t now_s(const struct sqs *sqs)
{
    return clock_wall_ms() / 1000 + sqs->clock_ahead_s;
}

// The document is whole once its queue has a URL, which the settings decide.
static void write_body(struct sending *sending, const struct endpoint *endpoint)
{
    char *queue_url = memory_format(
        "%s/%s/%s", endpoint->url, sending->queue.account, sending->queue.name);

    buffer_clear(&sending->body);
    buffer_add_char(&sending->body, '{');
    json_write_member(&sending->body, "QueueUrl", queue_url);
    buffer_add(&sending->body, sending->rest.data, sending->rest.size);
    sending->call.body = sending->body.data;
    sending->call.body_size = sending->body.size;
    free(queue_url);
}

static void sign(struct sending *sending,
                 const struct endpoint *endpoint,
                 const struct aws_credentials *keys)
{
    struct aws_call *call = &sending->call;
    struct aws_sign_result result = {0};
    char hash[AWS_SIGN_HASH_SIZE];
    char *host = memory_strndup(endpoint->host, endpoint->host_size);
    char *path = memory_format("%s/", endpoint->path);
    const struct aws_sign_key key = {
        keys->access_key, keys->secret_key, keys->session_token};
    const struct aws_sign_pair headers[] = {
        {"Host", host},
        {"Content-Type", SQS_TYPE},
        {"X-Amz-Target", SQS_TARGET},
    };
    const struct aws_sign_request request = {
        .flags = AWS_SIGN_GENERIC,
        .method = "POST",
        .path = path,
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
        .payload_hash = hash,
        .region = sending->queue.region,
        .service = "sqs",
        .time_s = now_s(sending->sqs),
    };

    aws_sign_hash(sending->body.data, sending->body.size, hash);
    aws_sign_header(&request, &key, &result);
    call->method = "POST";
    buffer_add_format(&call->url, "%s/", endpoint->url);
    for (size_t i = 0; i < request.header_count; i++) {
        aws_call_add_header(call, headers[i].name, headers[i].value);
    }
    aws_call_add_header(call, "X-Amz-Date", result.date);
    if (keys->session_token && *keys->session_token) {
        aws_call_add_header(call, "X-Amz-Security-Token", keys->session_token);
    }
    aws_call_add_header(call, "Authorization", buffer_text(&result.authorization));
    aws_sign_result_fini(&result);
    free(host);
    free(path);
}

static enum aws_ready prepare(struct aws_call *call, struct error *err)
{
    struct sending *sending = (struct sending *)call;
    struct aws_account_view view;
    struct endpoint endpoint = {0};
    int got = aws_account_get(sending->sqs->account, now_s(sending->sqs), &view, err);

    if (got <= 0) {
        return got == 0 ? AWS_READY_WAIT : AWS_READY_FAIL;
    }
    int result = find_endpoint(sending, view.settings, &endpoint, err);
    if (result == 0) {
        free(sending->access_key);
        sending->access_key = memory_strdup(view.credentials.access_key);
        write_body(sending, &endpoint);
        sign(sending, &endpoint, &view.credentials);
        aws_transfer_set_ca(sending->sqs->transfer,
                            aws_settings_ca_bundle(view.settings));
    }
    free(endpoint.url);
    aws_credentials_fini(&view.credentials);
    return result == 0 ? AWS_READY_GO : AWS_READY_FAIL;
}

/* Codes that say more than their status; the first row that fits. All others: by the
 * status, where 5xx, 408 and 429 ask for patience. */
enum sense { SENSE_MISSING, SENSE_AGAIN, SENSE_KEYS, SENSE_CLOCK, SENSE_STATUS };
static const struct {
    const char *code;
    enum sense sense;
} senses[] = {
    {"QueueDoesNotExist", SENSE_MISSING},
    {"AWS.SimpleQueueService.NonExistentQueue", SENSE_MISSING},
    {"RequestThrottled", SENSE_AGAIN},
    {"Throttling", SENSE_AGAIN},
    {"ThrottlingException", SENSE_AGAIN},
    {"RequestLimitExceeded", SENSE_AGAIN},
    {"OverLimit", SENSE_AGAIN},
    {"KmsThrottled", SENSE_AGAIN},
    {"ServiceUnavailable", SENSE_AGAIN},
    {"InternalFailure", SENSE_AGAIN},
    {"RequestTimeout", SENSE_AGAIN},
    {"ExpiredToken", SENSE_KEYS},
    {"ExpiredTokenException", SENSE_KEYS},
    {"RequestExpired", SENSE_CLOCK},
    {"RequestTimeTooSkewed", SENSE_CLOCK},
    {"InvalidSignatureException", SENSE_CLOCK},
    {"SignatureDoesNotMatch", SENSE_CLOCK},
    {"", SENSE_STATUS},
};

static enum sense find_sense(const char *code)
{
    size_t i = 0;

    while (*senses[i].code && strcmp(senses[i].code, code) != 0) {
        i++;
    }
    return senses[i].sense;
}

// "com.amazonaws.sqs#QueueDoesNotExist:http://..." is the code between the two marks.
static void read_code(const char *type, char out[SQS_CODE_SIZE])
{
    const char *mark = strchr(type, '#');

    type = mark ? mark + 1 : type;
    (void)snprintf(out, SQS_CODE_SIZE, "%.*s", (int)strcspn(type, ":"), type);
}

static struct cJSON *read_answer(const struct aws_call *call)
{
    struct cJSON *tree = NULL;

    (void)json_parse(
        buffer_text(&call->answer_body), call->answer_body.size, &tree, NULL);
    return tree;
}

// One of the two detours that a message may take, once each.
static bool turn(struct sending *sending, enum sense sense)
{
    int64_t date_s = sending->call.answer.date_s;
    int64_t ahead_s = date_s - clock_wall_ms() / 1000;
    int64_t off_s = ahead_s - sending->sqs->clock_ahead_s;

    if (sense == SENSE_KEYS && !sending->renewed) {
        aws_account_drop(sending->sqs->account, sending->access_key);
        sending->renewed = true;
        return true;
    }
    if (sense == SENSE_CLOCK && !sending->clock_corrected && date_s >= 0 &&
        (off_s > SQS_SKEW_S || off_s < -SQS_SKEW_S)) {
        sending->sqs->clock_ahead_s = ahead_s;
        sending->clock_corrected = true;
        return true;
    }
    return false;
}

static bool asks_for_patience(long status)
{
    return status >= 500 || status == 408 || status == 429;
}

static enum error_code code_of(enum sense sense, long status)
{
    if (sense == SENSE_MISSING || status == 404) {
        return ERROR_NOT_FOUND;
    }
    return status == 401 || status == 403 ? ERROR_PERMISSION_DENIED
                                          : ERROR_INVALID_ARGUMENT;
}

static enum aws_verdict
refuse(struct sending *sending, const struct cJSON *tree, struct error *err)
{
    long status = sending->call.answer.status;
    const char *type = "";
    const char *message = "";
    char code[SQS_CODE_SIZE];

    (void)json_get_text(tree, "__type", &type, NULL);
    (void)json_get_text(tree, "message", &message, NULL);
    (void)json_get_text(tree, "Message", &message, NULL);
    read_code(type, code);
    enum sense sense = find_sense(code);
    if (turn(sending, sense)) {
        return AWS_VERDICT_AGAIN;
    }
    bool again =
        sense == SENSE_AGAIN || sense == SENSE_KEYS || asks_for_patience(status);
    error_set(err,
              again ? ERROR_UNAVAILABLE : code_of(sense, status),
              "%sstatus %ld%s%s%s%.*s",
              sense == SENSE_MISSING ? "the queue does not exist: " : "",
              status,
              *code ? " " : "",
              code,
              *message ? ": " : "",
              SQS_MESSAGE_SIZE,
              message);
    sending->refused = !again;
    return again ? AWS_VERDICT_RETRY : AWS_VERDICT_DONE;
}

static enum aws_verdict judge(struct aws_call *call, struct error *err)
{
    struct sending *sending = (struct sending *)call;
    struct cJSON *tree = read_answer(call);
    bool success = call->answer.status >= 200 && call->answer.status < 300;
    enum aws_verdict verdict = AWS_VERDICT_DONE;

    if (!success) {
        verdict = refuse(sending, tree, err);
    } else if (!json_find(tree, "MessageId")) {
        error_set(err, ERROR_UNAVAILABLE, "the answer has no MessageId");
        verdict = AWS_VERDICT_RETRY;
    }
    json_free(tree);
    return verdict;
}

static void finish(struct sending *sending, const struct error *err)
{
    struct error whole = {0};

    if (err) {
        error_copy(&whole, err);
        error_wrap(&whole, "the queue %s", sending->queue.name);
    }
    sending->done(sending->arg,
                  !err               ? SQS_SENT
                  : sending->refused ? SQS_REFUSED
                                     : SQS_AWAY,
                  err ? &whole : NULL);
    aws_call_fini(&sending->call);
    buffer_fini(&sending->rest);
    buffer_fini(&sending->body);
    free(sending->access_key);
    free(sending);
}

static void on_done(struct aws_call *call, const struct error *err)
{
    finish((struct sending *)call, err);
}

// Behind the queue's URL: the message, and for a FIFO queue what it is known by.
static void write_rest(struct buffer *out, const struct sqs_message *message)
{
    buffer_add_text(out, ",\"MessageBody\":");
    json_write_bytes(out, message->body.text, message->body.size);
    buffer_add_text(out, ",\"MessageAttributes\":{");
    for (size_t i = 0; i < message->attribute_count; i++) {
        buffer_add_text(out, i > 0 ? "," : "");
        json_write_text(out, message->attributes[i].name);
        buffer_add_text(out, ":{\"DataType\":\"" SQS_STRING "\",");
        json_write_member(out, "StringValue", message->attributes[i].value);
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, '}');
    if (message->queue.fifo) {
        buffer_add_char(out, ',');
        json_write_member(out, "MessageGroupId", message->id);
        buffer_add_char(out, ',');
        json_write_member(out, "MessageDeduplicationId", message->id);
    }
    buffer_add_char(out, '}');
}

// As SQS counts: the body, and name, type and value of each attribute.
static size_t size_of(const struct sqs_message *message)
{
    size_t size = message->body.size;

    for (size_t i = 0; i < message->attribute_count; i++) {
        size += strlen(message->attributes[i].name) + strlen(SQS_STRING) +
                strlen(message->attributes[i].value);
    }
    return size;
}

void sqs_send(struct sqs *sqs,
              const struct sqs_message *message,
              sqs_done_fn done,
              void *arg)
{
    struct sending *sending = memory_zalloc(sizeof(*sending));
    size_t size = size_of(message);

    sending->sqs = sqs;
    sending->queue = message->queue;
    sending->done = done;
    sending->arg = arg;
    sending->call.prepare = prepare;
    sending->call.judge = judge;
    sending->call.done = on_done;
    sending->call.answer_max = SQS_ANSWER_MAX;
    if (size > SQS_MESSAGE_MAX) {
        struct error err = {0};
        error_set(&err,
                  ERROR_OUT_OF_RANGE,
                  "the message has %zu bytes, the limit of SQS is %d",
                  size,
                  SQS_MESSAGE_MAX);
        sending->refused = true;
        finish(sending, &err);
        return;
    }
    write_rest(&sending->rest, message);
    aws_transfer_start(sqs->transfer, &sending->call);
}
