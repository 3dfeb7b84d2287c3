/* SPDX-License-Identifier: Apache-2.0 */
/* outbox.c - what is to be done once the decisions are on disk */
#include "master/outbox.h"

#include <stdlib.h>

#include "common/buffer.h"

struct action *outbox_add(struct outbox *outbox, enum action_type type)
{
    struct action *action = memory_zalloc(sizeof(*action));

    action->type = type;
    if (!outbox->first) {
        outbox->last = &outbox->first;
    }
    *outbox->last = action;
    outbox->last = &action->next;
    return action;
}

struct action *outbox_take(struct outbox *outbox)
{
    struct action *action = outbox->first;

    if (action) {
        outbox->first = action->next;
        action->next = NULL;
    }
    return action;
}

void action_free(struct action *action)
{
    if (!action) {
        return;
    }
    if (action->message) {
        protobuf_c_message_free_unpacked(action->message, NULL);
    }
    free(action->error);
    free(action->text);
    free(action->api_name);
    free(action->last);
    free(action->stretches);
    free(action);
}
