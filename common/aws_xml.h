/* SPDX-License-Identifier: Apache-2.0 */
/* aws_xml.h - what the XML of an AWS answer says
 *
 * Every answer is read the same way: each element below the root is handed out at its
 * end with its path. Pure, thread-safe, does not block. Entities that a document
 * defines itself are refused.
 *
 * Source: Amazon S3 API Reference, "REST Error Responses".
 */
#ifndef CORTEX_COMMON_AWS_XML_H
#define CORTEX_COMMON_AWS_XML_H

#include <stddef.h>

#include "common/buffer.h"
#include "common/error.h"

/* path: "Contents/Key". text: UTF-8, borrowed; NULL if there are elements inside. */
typedef void (*aws_xml_element_fn)(void *arg, const char *path, const char *text);

/* *out_root, if not NULL, gets the root's name, which the caller
 * frees. INVALID_ARGUMENT for what is no XML document. */
int aws_xml_read(const char *data,
                 size_t size,
                 aws_xml_element_fn element,
                 void *arg,
                 char **out_root,
                 struct error *err);

/* Adds the first text with that path to *out, nothing if there is none or the document
 * is no XML. */
void aws_xml_find(const char *data, size_t size, const char *path, struct buffer *out);

/* Adds text with what is special in XML escaped. */
void aws_xml_add_text(struct buffer *out, const char *text);

#endif
