/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - what a handler is given */
#include "master/request.h"

const void *
request_field(const struct request *request, const char *name, ProtobufCType type)
{
    const ProtobufCMessage *message = request->message;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

    return field && field->type == type && field->label != PROTOBUF_C_LABEL_REPEATED
               ? (const char *)message + field->offset
               : NULL;
}
