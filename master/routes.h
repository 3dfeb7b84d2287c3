/* SPDX-License-Identifier: Apache-2.0 */
/* routes.h - which handler a method has
 *
 * The one table of messages. */
#ifndef CORTEX_MASTER_ROUTES_H
#define CORTEX_MASTER_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "master/request.h"
#include "master/state.h"

/* Who does a method's work before it is decided upon. */
enum route_prepare {
    ROUTE_DIRECT,  /* nobody: straight to the loop */
    ROUTE_SUBMIT,  /* a pool thread checks and keeps the body */
    ROUTE_DEPLOY,  /* a pool thread parses the file and looks into the project */
    ROUTE_PROJECT, /* a pool thread does all of it: PutProject */
    ROUTE_DRY_RUN, /* a pool thread does all of it, once the api is known */
    ROUTE_JOIN,    /* a pool thread does all of it: Join */
    ROUTE_ROTATE,  /* a pool thread does all of it: RotateKey */
};

typedef int (*route_handler)(struct state *state,
                             const struct request *request,
                             struct error *err);

struct route {
    const char *method; /* "cortex.v1.Client/GetJob" */
    unsigned roles;     /* that may call it: a bit, 1 << role, for each */
    enum route_prepare prepare;
    bool reads;            /* writes nothing: answered while the disk is not well */
    route_handler handler; /* NULL: the pool answers */
    size_t attachment_max; /* bytes behind the message */
};

/* NULL if there is none. */
const struct route *route_find(const char *method);

/* Whether the caller's role may call it: PERMISSION_DENIED. A bridge may call what is
 * on its row and what the token it asks for may; whoever else asks for a token may call
 * what both may. Which objects he may name is the handlers' to say. */
int route_permit(const struct route *route,
                 const struct caller *caller,
                 struct error *err);

/* The rows, in no order, for who tests them all. */
const struct route *route_rows(size_t *out_count);

/* Runs the handler; what it returns as an error becomes an answer. -1 only when the
 * store failed: then nothing may be committed. */
int route_handle(struct state *state,
                 const struct route *route,
                 const struct request *request,
                 struct error *err);

/* What is due at the end of each step, before the commit: placement, timers, parked
 * calls. Nothing is for a master that only reads. -1 only when the store failed. */
int route_settle(struct state *state, struct error *err);

/* A message (loop.h): the process is about to end. This step and all that follow answer
 * whom they left waiting otherwise, and do nothing else that is due. */
int route_leave(struct state *state, void *arg, struct error *err);

#endif
