/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_handshake.c - how a client gets a session before it asks */
#include "common/rpc_handshake.h"

#include "common/clock.h"
#include "common/rpc_frame.h"

/* Hellos in a row: one may cost a cookie, and some meet those of other processes with
 * the same key, of which only the newest counts. */
#define HELLOS_MAX 8

/* What a hello that made no session means for the call. */
static enum rpc_end explain(struct rpc_connection *connection,
                            enum session_greeted greeted,
                            struct error *err)
{
    const char *url = rpc_connection_url(connection);
    bool retryable;

    switch (greeted) {
    case SESSION_GREET_LATER:
        (void)error_set(err,
                        ERROR_UNAUTHENTICATED,
                        "%s rejects this client's hello: expected the master that the "
                        "join string is of, with the same key and cluster",
                        url);
        return RPC_LOST;
    case SESSION_GREET_REFUSED:
        retryable = error_code_retryable(err->code);
        (void)error_wrap(err, "%s refuses this client", url);
        return retryable ? RPC_LOST : RPC_GIVEN_UP;
    case SESSION_GREET_GARBAGE:
        rpc_connection_hang_up(connection);
        (void)error_set(err,
                        ERROR_UNAVAILABLE,
                        "%s sent something that is no answer to a hello",
                        url);
        return RPC_LOST;
    case SESSION_GREETED:
    case SESSION_GREET_AGAIN:
        break;
    }
    (void)error_set(err,
                    ERROR_UNAVAILABLE,
                    "%s is too busy to shake hands (asked %d times)",
                    url,
                    HELLOS_MAX);
    return RPC_LOST;
}

enum rpc_end rpc_handshake(struct rpc_connection *connection,
                           const struct rpc_exchange *exchange,
                           struct session_client *session,
                           struct error *err)
{
    enum session_greeted greeted = SESSION_GREET_AGAIN;

    if (session_client_is_live(session, clock_monotonic_ms())) {
        return RPC_ANSWERED;
    }
    for (int i = 0; i < HELLOS_MAX && greeted == SESSION_GREET_AGAIN; i++) {
        struct nng_msg *hello = rpc_frame_hello(session);
        struct nng_msg *answer;
        if (!hello) {
            (void)error_set(err,
                            ERROR_INVALID_ARGUMENT,
                            "the key that %s should have is none",
                            rpc_connection_url(connection));
            return RPC_GIVEN_UP;
        }
        enum rpc_end end =
            rpc_connection_exchange(connection, exchange, hello, &answer, err);
        if (end != RPC_ANSWERED) {
            return end;
        }
        greeted = rpc_frame_greeted(session, answer, err);
        rpc_frame_free(answer);
    }
    return greeted == SESSION_GREETED ? RPC_ANSWERED
                                      : explain(connection, greeted, err);
}
