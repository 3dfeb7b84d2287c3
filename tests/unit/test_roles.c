/* SPDX-License-Identifier: Apache-2.0 */
/* test_roles.c - may each role call just what it is meant to, and see nobody else's?
 *
 * What is expected stands here a second time, in other words than in the table that is
 * tested; every method is tried in every role, and on objects that are another's. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fs.h"
#include "common/id.h"
#include "master/sync.h"
#include "tests/unit/master_fixture.h"

#define ABSENT     "no-such-api"
#define ABSENT_JOB UINT64_C(0x0123456789abcdef)

/* Who may call what; of a bridge: for whom. `clear` is said of what a token's holder
 * without a role of his own may do. */
static const struct {
    const char *method;
    const char *roles;
    const char *bridge_for;
} expected[] = {
    {"AgentService/Sync", "admin agent", ""},
    {"AgentService/Work", "admin agent", ""},
    {"AgentService/AppendLog", "admin agent", ""},
    {"AgentService/GetSetup", "admin agent", ""},
    {"AgentService/GetProject", "admin agent", ""},
    {"AgentService/Join", "none", ""},
    {"Client/Info", "admin submit read", "admin submit read"},
    {"Client/ListApis", "admin submit read", "admin submit read"},
    {"Client/GetApi", "admin submit read", "admin submit read"},
    {"Client/ResolveEndpoint", "admin submit read", "admin submit read"},
    {"Client/GetJob", "admin submit read", "admin submit read"},
    {"Client/ListBatches", "admin submit read", "admin submit read"},
    {"Client/GetPayload", "admin submit read", "admin submit read"},
    {"Client/ReadLog", "admin submit read", "admin submit read"},
    {"Client/PutProject", "admin submit", "admin submit"},
    {"Client/Deploy", "admin submit", "admin submit"},
    {"Client/SubmitJob", "admin submit", "admin submit"},
    {"Client/DryRun", "admin submit", "admin submit"},
    {"Client/StopJob", "admin submit", "admin submit"},
    {"Client/DeleteApi", "admin", "admin"},
    {"Client/RotateKey", "admin submit read agent", ""},
};

#define EXPECTED_COUNT (sizeof(expected) / sizeof(expected[0]))

static bool names(const char *list, enum key_role role)
{
    const char *name = key_role_name(role);
    const char *at = strstr(list, name);

    return at && (at == list || at[-1] == ' ') &&
           (at[strlen(name)] == ' ' || at[strlen(name)] == '\0');
}

static bool is_expected(size_t i, enum key_role role, enum key_role acting)
{
    if (role == KEY_ROLE_BRIDGE) {
        return acting != KEY_ROLE_NONE && names(expected[i].bridge_for, acting);
    }
    return names(expected[i].roles, role) &&
           (acting == KEY_ROLE_NONE || names(expected[i].roles, acting));
}

static const struct route *route_of(const char *method)
{
    char *name = memory_format("cortex.v1.%s", method);
    const struct route *route = route_find(name);

    assert_non_null(route);
    free(name);
    return route;
}

static void every_method_stands_in_both_tables(void **state)
{
    size_t count;

    (void)state;
    (void)route_rows(&count);
    assert_int_equal(count, EXPECTED_COUNT);
    for (size_t i = 0; i < EXPECTED_COUNT; i++) {
        (void)route_of(expected[i].method);
    }
}

static void every_role_may_call_what_is_expected_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXPECTED_COUNT; i++) {
        for (int role = 0; role < KEY_ROLE_COUNT; role++) {
            for (int acting = 0; acting < KEY_ROLE_COUNT; acting++) {
                struct caller caller = {.role = (enum key_role)role,
                                        .acting = (enum key_role)acting};
                struct error err = {.code = ERROR_OK};
                bool may =
                    route_permit(route_of(expected[i].method), &caller, &err) == 0;
                if (may != is_expected(i, caller.role, caller.acting)) {
                    fail_msg("%s by %s for %s: %s",
                             expected[i].method,
                             key_role_name(caller.role),
                             key_role_name(caller.acting),
                             may ? "it is let in" : err.message);
                }
                assert_int_equal(err.code, may ? ERROR_OK : ERROR_PERMISSION_DENIED);
            }
        }
    }
}

/* --- another's objects ------------------------------------------------------------ */

static unsigned char key[KEY_SIZE];

/* From now on calls come with a key of these options. */
static void call_as(struct master_fixture *master, const char *options)
{
    char text[KEY_TEXT_SIZE];
    char *path = fs_join(master->folder, "authorized_keys");
    struct error err = {.code = ERROR_OK};

    key_public_format(key, text);
    char *line = memory_format("%s %s\n", options, text);
    assert_int_equal(fs_write_durable(path, line, strlen(line), 0600, NULL), 0);
    keys_close(master->caller.keys);
    if (keys_open(path, &master->caller.keys, &err) != 0) {
        fail_msg("%s", err.message);
    }
    master->caller.key = key;
    free(line);
    free(path);
}

static int end_calls(void **state)
{
    struct master_fixture *master = *state;

    keys_close(master->caller.keys);
    return master_fixture_teardown(state);
}

static void set_text(ProtobufCMessage *message, const char *field, const char *text)
{
    const ProtobufCFieldDescriptor *found =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, field);

    if (found) {
        assert_int_equal(found->type, PROTOBUF_C_TYPE_STRING);
        *(const char **)(void *)((char *)message + found->offset) = text;
    }
}

static bool set_job(ProtobufCMessage *message, uint64_t job_id)
{
    const ProtobufCFieldDescriptor *found =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "job_id");

    if (found) {
        *(uint64_t *)(void *)((char *)message + found->offset) = job_id;
    }
    return found != NULL;
}

static const ProtobufCMessageDescriptor *input_of(const char *method)
{
    const ProtobufCServiceDescriptor *service = &cortex__v1__client__descriptor;

    return protobuf_c_service_descriptor_get_method_by_name(service,
                                                            strchr(method, '/') + 1)
        ->input;
}

/* What a method says of these objects, with their names taken out. */
static char *answer_about(struct master_fixture *master,
                          const char *method,
                          const char *api_name,
                          uint64_t job_id,
                          bool *out_has_job)
{
    const ProtobufCMessageDescriptor *type = input_of(method);
    ProtobufCMessage *message = memory_zalloc(type->sizeof_message);
    char *path = memory_format("/%s", api_name);
    char job_text[ID_JOB_TEXT_SIZE];
    struct buffer text = BUFFER_INIT;

    protobuf_c_message_init(type, message);
    set_text(message, "api_name", api_name);
    set_text(message, "path", path);
    set_text(message, "batch_id", "00000000-0000-8000-8000-000000000000");
    *out_has_job = set_job(message, job_id);
    const struct error *error =
        fixture_error(master, fixture_call(master, method, message));
    id_job_format(job_id, job_text);
    buffer_add_format(&text, "%s %s ", error_code_name(error->code), error_kind(error));
    for (const char *at = error->message; *at;) {
        const char *name = *api_name && strncmp(at, api_name, strlen(api_name)) == 0
                               ? api_name
                           : strncmp(at, job_text, strlen(job_text)) == 0 ? job_text
                                                                          : NULL;
        buffer_add_char(&text, name ? '#' : *at);
        at += name ? strlen(name) : 1;
    }
    free(path);
    free(message);
    return buffer_take(&text);
}

static void expect_alike(struct master_fixture *master,
                         const char *method,
                         const char *api_name,
                         const char *absent_name,
                         uint64_t job_id)
{
    bool has_job;
    char *hidden = answer_about(master, method, api_name, job_id, &has_job);
    char *absent = answer_about(master, method, absent_name, ABSENT_JOB, &has_job);

    if (strcmp(hidden, absent) != 0) {
        fail_msg("%s: \"%s\" tells more than \"%s\"", method, hidden, absent);
    }
    free(hidden);
    free(absent);
}

/* By key, and by the scope of a token that a bridge asks for. */
static void limit(struct master_fixture *master, bool by_key)
{
    call_as(master, by_key ? "role=submit api=other*" : "role=bridge");
    master->caller.acting = by_key ? KEY_ROLE_NONE : KEY_ROLE_ADMIN;
    master->caller.acting_apis = by_key ? NULL : "thing,other*";
}

static void what_is_hidden_is_answered_as_what_is_not_there(void **state)
{
    struct master_fixture *master = *state;
    struct caller nobody = {.key = NULL};

    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &(struct fixture_job){.batches = 3});
    for (size_t i = 0; i < 2 * EXPECTED_COUNT; i++) {
        const char *method = expected[i / 2].method;
        const struct route *route = route_of(method);
        bool has_job = false;
        // These name none, or come prepared: below.
        if (!route->handler || strncmp(method, "Client/", 7) != 0 ||
            strcmp(method, "Client/Info") == 0 ||
            strcmp(method, "Client/ListApis") == 0 ||
            strcmp(method, "Client/Deploy") == 0 ||
            strcmp(method, "Client/SubmitJob") == 0) {
            continue;
        }
        limit(master, i % 2 == 0);
        expect_alike(master, method, "classifier", ABSENT, job_id);
        free(answer_about(master, method, ABSENT, job_id, &has_job));
        if (has_job) {
            expect_alike(master, method, "", "", job_id);
        }
    }
    keys_close(master->caller.keys);
    master->caller = nobody;
    assert_int_equal(fixture_job(master, job_id)->state, JOB(RUNNING));
}

static void lists_hold_what_is_the_callers_and_counts_count_it(void **state)
{
    struct master_fixture *master = *state;
    Cortex__V1__ListApisRequest list = CORTEX__V1__LIST_APIS_REQUEST__INIT;
    Cortex__V1__InfoRequest info = CORTEX__V1__INFO_REQUEST__INIT;
    struct fixture_agent agent = {.id = 1, .cpu_millis = 4000};

    fixture_sync(master, &agent);
    (void)fixture_deploy(master, FIXTURE_API);
    (void)fixture_submit(master, &(struct fixture_job){.batches = 3});
    for (int by_key = 0; by_key < 2; by_key++) {
        limit(master, by_key);
        const Cortex__V1__ListApisReply *apis =
            fixture_reply(master, fixture_call(master, "Client/ListApis", &list));
        assert_int_equal(apis->n_apis, 0);
        const Cortex__V1__InfoReply *all =
            fixture_reply(master, fixture_call(master, "Client/Info", &info));
        assert_int_equal(all->jobs_in_progress, 0);
        assert_int_equal(all->n_agents, 0);
    }
    call_as(master, "role=read api=class*");
    master->caller.acting_apis = NULL;
    const Cortex__V1__ListApisReply *apis =
        fixture_reply(master, fixture_call(master, "Client/ListApis", &list));
    assert_int_equal(apis->n_apis, 1);
    const Cortex__V1__InfoReply *some =
        fixture_reply(master, fixture_call(master, "Client/Info", &info));
    assert_int_equal(some->jobs_in_progress, 1);
}

static void jobs_and_apis_are_made_within_the_scope_only(void **state)
{
    struct master_fixture *master = *state;
    uint64_t job_id;
    struct error err;

    (void)fixture_deploy(master, FIXTURE_API);
    for (int by_key = 0; by_key < 2; by_key++) {
        limit(master, by_key);
        const struct error *error = fixture_error(
            master,
            fixture_try_submit(master, &(struct fixture_job){.batches = 1}, &job_id));
        assert_string_equal(error_kind(error), "resources.api_not_deployed");
        assert_null(
            submit_find_api(&master->state, &master->caller, "classifier", &err));
        error = fixture_error(master, fixture_deploy(master, FIXTURE_API));
        assert_int_equal(error->code, ERROR_PERMISSION_DENIED);
        error =
            fixture_error(master,
                          fixture_deploy(master,
                                         "- name: other\n"
                                         "  kind: BatchAPI\n"
                                         "  predictor: {type: python, path: p.py}\n"
                                         "  networking: {endpoint: /classifier}\n"));
        assert_null(strstr(error->message, "used by classifier"));
    }
}

/* --- another agent's -------------------------------------------------------------- */

/* Two agents, of which the first has the only worker. Calls come from the second. */
static uint64_t give_work_to_first(struct master_fixture *master,
                                   struct fixture_agent *first)
{
    *first = (struct fixture_agent){.id = 1, .incarnation = 11, .cpu_millis = 1000};
    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &(struct fixture_job){.batches = 3});
    fixture_bring_up(master, first);
    assert_int_equal(first->worker_count, 1);
    memset(key, 2, sizeof(key));
    call_as(master, "role=agent");
    return job_id;
}

static void
expect_denied(struct master_fixture *master, const char *method, void *message)
{
    const struct error *error =
        fixture_error(master, fixture_call(master, method, message));

    if (error->code != ERROR_PERMISSION_DENIED) {
        fail_msg("%s: %s", method, error->message);
    }
}

static void an_agent_does_not_speak_as_another(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent first;
    unsigned char id[ROSTER_AGENT_ID_SIZE];
    Cortex__V1__SyncRequest sync = CORTEX__V1__SYNC_REQUEST__INIT;
    Cortex__V1__WorkRequest work = CORTEX__V1__WORK_REQUEST__INIT;
    Cortex__V1__AppendLogRequest lines = CORTEX__V1__APPEND_LOG_REQUEST__INIT;

    (void)give_work_to_first(master, &first);
    memset(id, 1, sizeof(id));
    sync.agent_id = work.agent_id = lines.agent_id =
        (ProtobufCBinaryData){.len = sizeof(id), .data = id};
    sync.incarnation = work.incarnation = 11;
    expect_denied(master, "AgentService/Sync", &sync);
    expect_denied(master, "AgentService/Work", &work);
    expect_denied(master, "AgentService/AppendLog", &lines);
    sync.agent_id.len = work.agent_id.len = 0;
    expect_denied(master, "AgentService/Sync", &sync);
    expect_denied(master, "AgentService/Work", &work);
}

static void an_agent_gets_nothing_of_jobs_whose_workers_are_anothers(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent first;
    struct fixture_agent second = {.id = 2, .incarnation = 22, .cpu_millis = 1000};
    Cortex__V1__GetSetupRequest setup = CORTEX__V1__GET_SETUP_REQUEST__INIT;
    Cortex__V1__GetProjectRequest project = CORTEX__V1__GET_PROJECT_REQUEST__INIT;

    setup.job_id = project.job_id = give_work_to_first(master, &first);
    project.project_id = state_api(&master->state, "classifier")->project_id;
    fixture_sync(master, &second);
    expect_denied(master, "AgentService/GetSetup", &setup);
    expect_denied(master, "AgentService/GetProject", &project);
    memset(key, 1, sizeof(key));
    call_as(master, "role=agent");
    assert_non_null(
        fixture_reply(master, fixture_call(master, "AgentService/GetSetup", &setup)));
}

static void an_agent_writes_the_lines_of_its_own_workers_only(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent first;
    unsigned char id[ROSTER_AGENT_ID_SIZE];
    Cortex__V1__AppendLogRequest lines = CORTEX__V1__APPEND_LOG_REQUEST__INIT;
    Cortex__V1__LogChunk chunk = CORTEX__V1__LOG_CHUNK__INIT;
    Cortex__V1__LogChunk *chunks[] = {&chunk};

    chunk.job_id = give_work_to_first(master, &first);
    chunk.worker_id = first.workers[0].worker_id;
    lines.chunks = chunks;
    lines.n_chunks = 1;
    memset(id, 2, sizeof(id));
    lines.agent_id = (ProtobufCBinaryData){.len = sizeof(id), .data = id};
    expect_denied(master, "AgentService/AppendLog", &lines);

    // Its own agent may, also when the worker has ended.
    memset(id, 1, sizeof(id));
    memset(key, 1, sizeof(key));
    call_as(master, "role=agent");
    fixture_forget(master);
    (void)fixture_call(master, "AgentService/AppendLog", &lines);
    assert_int_equal(master->released.first->type, ACTION_LOG_APPEND);
    first.workers[0].state = WORKER(FAILED);
    first.workers[0].failure = FAILURE(DIED);
    fixture_sync(master, &first);
    fixture_forget(master);
    (void)fixture_call(master, "AgentService/AppendLog", &lines);
    assert_int_equal(master->released.first->type, ACTION_LOG_APPEND);
    chunk.job_id++;
    expect_denied(master, "AgentService/AppendLog", &lines);
}

static void an_agent_whose_key_is_refused_gives_its_batches_back_at_once(void **state)
{
    struct master_fixture *master = *state;
    struct fixture_agent first;
    struct error err = {.code = ERROR_OK};

    memset(key, 1, sizeof(key));
    call_as(master, "role=agent");
    first = (struct fixture_agent){.id = 1, .incarnation = 11, .cpu_millis = 1000};
    struct caller agent = master->caller;
    master->caller = (struct caller){.key = NULL};
    (void)fixture_deploy(master, FIXTURE_API);
    uint64_t job_id = fixture_submit(master, &(struct fixture_job){.batches = 3});
    master->caller = agent;
    fixture_bring_up(master, &first);
    (void)fixture_ask(master, &first, first.workers[0].worker_id, 2);
    assert_int_equal(state_job(&master->state, job_id)->book.in_hand, 2);

    assert_int_equal(sync_lose_refused(&master->state, agent.keys, &err), 0);
    assert_int_equal(state_job(&master->state, job_id)->book.in_hand, 2);
    call_as(master, "revoked role=agent");
    assert_int_equal(sync_lose_refused(&master->state, master->caller.keys, &err), 0);
    fixture_step(master);
    assert_int_equal(state_job(&master->state, job_id)->book.in_hand, 0);
    assert_int_equal(master->state.roster.agents.count, 0);
}

#define HOLDS(test)                                                                    \
    cmocka_unit_test_setup_teardown(test, master_fixture_setup, end_calls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_stands_in_both_tables),
        cmocka_unit_test(every_role_may_call_what_is_expected_and_nothing_else),
        HOLDS(what_is_hidden_is_answered_as_what_is_not_there),
        HOLDS(lists_hold_what_is_the_callers_and_counts_count_it),
        HOLDS(jobs_and_apis_are_made_within_the_scope_only),
        HOLDS(an_agent_does_not_speak_as_another),
        HOLDS(an_agent_gets_nothing_of_jobs_whose_workers_are_anothers),
        HOLDS(an_agent_writes_the_lines_of_its_own_workers_only),
        HOLDS(an_agent_whose_key_is_refused_gives_its_batches_back_at_once),
    };

    return id_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
