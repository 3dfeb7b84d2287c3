/* SPDX-License-Identifier: Apache-2.0 */
/* message.h - how a reply is put together
 *
 * Replies are protobuf-c messages on the heap, each string and array of their own, so
 * that codec_message_free frees all of them at once. */
#ifndef CORTEX_MASTER_MESSAGE_H
#define CORTEX_MASTER_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

/* An empty message of the type. */
void *message_new(const ProtobufCMessageDescriptor *type);

/* Sets a string field that still has its default. */
void message_text(char **field, const char *text);

/* Adds to a repeated message field; n and items are the message's own. */
void message_append(size_t *n, void ***items, void *item);

#endif
