/* SPDX-License-Identifier: Apache-2.0 */
/* dry_run.c - how a dry run's listing goes out, page after page */
#include "client/bridge/dry_run.h"

#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT_MS 60000 /* a page of S3 listings and its filters */

struct dry_run {
    struct callers_work work;
    struct callers *pool;
    char *api_name;
    struct buffer body;
    char *page_token;
    struct stream *stream; /* referenced while a page is owed */
};

static void dry_run_free(void *arg)
{
    struct dry_run *run = arg;

    free(run->api_name);
    free(run->page_token);
    buffer_fini(&run->body);
    free(run);
}

// Reads a page, puts it on the stream and goes on to the next token.
static int read_page(struct dry_run *run,
                     struct client_api *api,
                     struct stream *stream,
                     struct error *err)
{
    struct client_paths page = {0};
    struct buffer text = BUFFER_INIT;
    char *next = NULL;

    client_api_set_timeout(api, CALL_TIMEOUT_MS);
    if (client_api_act_for(api, KEY_ROLE_SUBMIT, run->api_name, err) != 0 ||
        client_api_dry_run(api,
                           run->api_name,
                           buffer_text(&run->body),
                           run->body.size,
                           run->page_token,
                           &page,
                           &next,
                           err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < page.count; i++) {
        buffer_add_format(&text, "%s\n", page.paths[i]);
    }
    if (!*next) {
        buffer_add_text(&text, "validations passed"); // as ever without a newline
    }
    free(run->page_token);
    run->page_token = next;
    stream_put(stream, buffer_text(&text), text.size, *next ? STREAM_MORE : STREAM_END);
    client_paths_fini(&page);
    buffer_fini(&text);
    return 0;
}

static void dry_run_read(struct callers_work *work, struct client_api *api)
{
    struct dry_run *run = (struct dry_run *)work; // its first member
    struct stream *stream = run->stream;
    struct error err;

    run->stream = NULL;
    if (!stream_wanted(stream)) {
        stream_put(stream, "", 0, STREAM_BREAK);
    } else if (read_page(run, api, stream, &err) != 0) {
        char *text = memory_format("\n%s\n", err.message);
        stream_put(stream, text, strlen(text), STREAM_BREAK);
        free(text);
    }
    stream_unref(stream); // may free run
}

static void dry_run_ask(void *arg, struct stream *stream)
{
    struct dry_run *run = arg;

    run->stream = stream_ref(stream);
    callers_submit(run->pool, &run->work);
}

static const struct stream_source dry_run_source = {dry_run_ask, dry_run_free};

int dry_run_open(struct callers *pool,
                 struct client_api *api,
                 const char *api_name,
                 struct buffer *body,
                 struct stream **out_stream,
                 struct error *err)
{
    struct dry_run *run = memory_zalloc(sizeof(*run));
    struct stream *stream = stream_create(&dry_run_source, run);

    run->work.run = dry_run_read;
    run->pool = pool;
    run->api_name = memory_strdup(api_name);
    run->page_token = memory_strdup("");
    run->body = *body;
    *body = (struct buffer)BUFFER_INIT;
    if (read_page(run, api, stream, err) != 0) {
        stream_unref(stream);
        return -1;
    }
    *out_stream = stream;
    return 0;
}
