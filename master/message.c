/* SPDX-License-Identifier: Apache-2.0 */
/* message.c - how a reply is put together */
#include "master/message.h"

#include "common/buffer.h"

void *message_new(const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = memory_zalloc(type->sizeof_message);

    protobuf_c_message_init(type, message);
    return message;
}

void message_text(char **field, const char *text)
{
    if (text[0]) {
        *field = memory_strdup(text);
    }
}

// Room doubles at each power of two, so the count alone says how much there is.
void message_append(size_t *n, void ***items, void *item)
{
    if ((*n & (*n - 1)) == 0) {
        *items = memory_realloc(*items, (*n ? *n * 2 : 1) * sizeof(**items));
    }
    (*items)[(*n)++] = item;
}
