/* SPDX-License-Identifier: Apache-2.0 */
/* s3_list.c - how the keys of a bucket are walked, page by page */
#include "common/s3_list.h"

#include <stdlib.h>
#include <string.h>

#include "common/aws_xml.h"
#include "common/buffer.h"

struct key {
    size_t name; // where it begins in names
    size_t etag;
    uint64_t size;
};

struct s3_list {
    struct object_list base;
    struct s3_service *service;
    char *asked_url;    // as it was asked for: errors begin with it
    const char *prefix; // in asked_url
    char *bucket_url;   // "s3://bucket/"

    /* The page at hand: */
    struct buffer names; // NUL-terminated, one behind the other
    struct key *keys;
    size_t count;
    size_t capacity;
    size_t at;
    struct key reading; // the entry whose elements come in
    bool encoded;       // its names are percent-encoded
    bool truncated;     // there is another page
    struct buffer token;

    bool started;
    bool handed_out;
    struct buffer url; // of the entry handed out last, or start_after
};

static void add_key(struct s3_list *list)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 1024;
        list->keys = memory_realloc(list->keys, list->capacity * sizeof(*list->keys));
    }
    list->keys[list->count++] = list->reading;
    list->reading = (struct key){0};
}

static size_t add_name(struct s3_list *list, const char *text)
{
    size_t at = list->names.size;

    buffer_add(&list->names, text, strlen(text) + 1);
    return at;
}

static void on_element(void *arg, const char *path, const char *text)
{
    struct s3_list *list = arg;

    if (!text) {
        if (strcmp(path, "Contents") == 0) {
            add_key(list);
        }
    } else if (strcmp(path, "Contents/Key") == 0) {
        list->reading.name = add_name(list, text);
    } else if (strcmp(path, "Contents/Size") == 0) {
        list->reading.size = strtoull(text, NULL, 10);
    } else if (strcmp(path, "Contents/ETag") == 0) {
        list->reading.etag = add_name(list, text);
    } else if (strcmp(path, "EncodingType") == 0) {
        list->encoded = strcmp(text, "url") == 0;
    } else if (strcmp(path, "IsTruncated") == 0) {
        list->truncated = strcmp(text, "true") == 0;
    } else if (strcmp(path, "NextContinuationToken") == 0) {
        buffer_add_text(&list->token, text);
    }
}

static struct s3_request *page_request(struct s3_list *list)
{
    struct s3_request *request =
        s3_request_create(list->service, "GET", list->bucket_url);
    const char *after = list->url.size > strlen(list->bucket_url)
                            ? list->url.data + strlen(list->bucket_url)
                            : "";

    s3_request_add_query(request, "list-type", "2");
    s3_request_add_query(request, "encoding-type", "url");
    s3_request_add_query(request, "max-keys", "1000");
    s3_request_add_query(request, "prefix", list->prefix);
    if (list->token.size > 0) {
        s3_request_add_query(request, "continuation-token", buffer_text(&list->token));
    } else if (*after) {
        s3_request_add_query(request, "start-after", after);
    }
    request->error_in_200 = true;
    request->subject = list->asked_url;
    return request;
}

static int fetch_page(struct s3_list *list, struct error *err)
{
    struct s3_request *request = page_request(list);
    int result = s3_request_run(request, err);

    if (result == 0) {
        list->started = true;
        list->count = 0;
        list->at = 0;
        list->encoded = false;
        list->truncated = false;
        buffer_clear(&list->token);
        buffer_clear(&list->names);
        (void)add_name(list, ""); // what an entry has that lacks something
        result = aws_xml_read(buffer_text(&request->call.answer_body),
                              request->call.answer_body.size,
                              on_element,
                              list,
                              NULL,
                              err);
    }
    if (result == 0 && list->truncated && list->token.size == 0) {
        result = error_set(
            err, ERROR_INTERNAL, "%s: a page without its next one", list->asked_url);
    }
    s3_request_destroy(request);
    return result;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;

    return at ? (int)(at - digits) : -1;
}

// A space comes as "+" or "%20", a plus as "%2B".
static void add_decoded(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        int high = *text == '%' ? digit(text[1]) : -1;
        int low = high >= 0 ? digit(text[2]) : -1;
        if (low >= 0) {
            buffer_add_char(out, (char)(high * 16 + low));
            text += 2;
        } else {
            buffer_add_char(out, *text == '+' ? ' ' : *text);
        }
    }
}

// Makes the entry's URL the list's; 0 if it is not behind the one before.
static bool take_key(struct s3_list *list, const struct key *key)
{
    const char *name = list->names.data + key->name;
    struct buffer url = BUFFER_INIT;

    buffer_add_text(&url, list->bucket_url);
    if (list->encoded) {
        add_decoded(&url, name);
    } else {
        buffer_add_text(&url, name);
    }
    if (strcmp(buffer_text(&list->url), url.data) >= 0) {
        buffer_fini(&url);
        return false;
    }
    buffer_fini(&list->url);
    list->url = url;
    return true;
}

// Of a store that does not heed start-after, what comes before it is dropped; what is
// out of order later would be walked twice or never, so it is an error.
static int next(struct object_list *base, struct object_entry *out, struct error *err)
{
    struct s3_list *list = (struct s3_list *)base;

    for (;;) {
        while (list->at == list->count) {
            if (list->started && !list->truncated) {
                return 0;
            }
            if (fetch_page(list, err) != 0) {
                return -1;
            }
        }
        const struct key *key = &list->keys[list->at++];
        if (take_key(list, key)) {
            list->handed_out = true;
            *out = (struct object_entry){
                list->url.data, key->size, list->names.data + key->etag};
            return 1;
        }
        if (list->handed_out) {
            return error_set(err,
                             ERROR_INTERNAL,
                             "%s: expected keys in ascending order, got '%s' late",
                             list->asked_url,
                             list->names.data + key->name);
        }
    }
}

static void close_list(struct object_list *base)
{
    struct s3_list *list = (struct s3_list *)base;

    buffer_fini(&list->names);
    buffer_fini(&list->token);
    buffer_fini(&list->url);
    free(list->keys);
    free(list->asked_url);
    free(list->bucket_url);
    free(list);
}

int s3_list_open(struct s3_service *service,
                 const char *prefix_url,
                 const char *start_after,
                 struct object_list **out_list,
                 struct error *err)
{
    struct s3_list *list = memory_zalloc(sizeof(*list));
    size_t bucket = strlen("s3://") + strcspn(prefix_url + strlen("s3://"), "/");

    (void)err;
    list->base = (struct object_list){next, close_list};
    list->service = service;
    list->asked_url = memory_strdup(prefix_url);
    list->prefix = list->asked_url + bucket + (prefix_url[bucket] == '/');
    list->bucket_url = memory_format("%.*s/", (int)bucket, prefix_url);
    buffer_add_text(&list->url, start_after);
    *out_list = &list->base;
    return 0;
}
