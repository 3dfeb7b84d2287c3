/* SPDX-License-Identifier: Apache-2.0 */
/* aws_xml.c - what the XML of an AWS answer says */
#include "common/aws_xml.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#define XML_DEPTH_MAX 16 // of an answer that means something to us: 4

struct reading {
    XML_Parser parser;
    aws_xml_element_fn element;
    void *arg;
    char *root;
    struct buffer path; // of the element we are in
    struct buffer text;
    unsigned depth;
    bool leaf; // no element has ended since the last one began
};

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = arg;

    (void)attributes;
    if (reading->depth == XML_DEPTH_MAX) {
        (void)XML_StopParser(reading->parser, XML_FALSE);
        return;
    }
    if (reading->depth == 0) {
        reading->root = memory_strdup(name);
    } else {
        buffer_add_format(&reading->path, "%s%s", reading->depth > 1 ? "/" : "", name);
    }
    reading->depth++;
    reading->leaf = true;
    buffer_clear(&reading->text);
}

static void on_end(void *arg, const XML_Char *name)
{
    struct reading *reading = arg;

    if (reading->depth > 1) {
        reading->element(reading->arg,
                         buffer_text(&reading->path),
                         reading->leaf ? buffer_text(&reading->text) : NULL);
    }
    reading->leaf = false;
    reading->depth--;
    if (reading->depth > 0) {
        reading->path.size -= strlen(name) + (reading->depth > 1);
        reading->path.data[reading->path.size] = '\0';
    }
}

static void on_text(void *arg, const XML_Char *text, int size)
{
    struct reading *reading = arg;

    if (reading->leaf) {
        buffer_add(&reading->text, text, (size_t)size);
    }
}

static void on_entity(void *arg,
                      const XML_Char *name,
                      int is_parameter,
                      const XML_Char *value,
                      int value_length,
                      const XML_Char *base,
                      const XML_Char *system_id,
                      const XML_Char *public_id,
                      const XML_Char *notation)
{
    struct reading *reading = arg;

    (void)name;
    (void)is_parameter;
    (void)value;
    (void)value_length;
    (void)base;
    (void)system_id;
    (void)public_id;
    (void)notation;
    (void)XML_StopParser(reading->parser, XML_FALSE);
}

int aws_xml_read(const char *data,
                 size_t size,
                 aws_xml_element_fn element,
                 void *arg,
                 char **out_root,
                 struct error *err)
{
    struct reading reading = {.element = element, .arg = arg};
    int result = -1;

    while (size > 0 && strchr(" \t\r\n", *data)) { // keeps a connection alive
        data++;
        size--;
    }
    reading.parser = XML_ParserCreate(NULL);
    if (!reading.parser || size > INT_MAX) {
        error_set(err, ERROR_OUT_OF_RANGE, "an XML answer of %zu bytes", size);
        goto out;
    }
    XML_SetUserData(reading.parser, &reading);
    XML_SetElementHandler(reading.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reading.parser, on_text);
    XML_SetEntityDeclHandler(reading.parser, on_entity);
    if (XML_Parse(reading.parser, data ? data : "", (int)size, 1) != XML_STATUS_OK) {
        error_set(err,
                  ERROR_INVALID_ARGUMENT,
                  "expected an XML document, line %lu: %s",
                  XML_GetCurrentLineNumber(reading.parser),
                  XML_ErrorString(XML_GetErrorCode(reading.parser)));
        goto out;
    }
    if (out_root) {
        *out_root = reading.root;
        reading.root = NULL;
    }
    result = 0;
out:
    XML_ParserFree(reading.parser);
    free(reading.root);
    buffer_fini(&reading.path);
    buffer_fini(&reading.text);
    return result;
}

struct search {
    const char *path;
    struct buffer *out;
    bool found;
};

static void on_element(void *arg, const char *path, const char *text)
{
    struct search *search = arg;

    if (text && !search->found && strcmp(path, search->path) == 0) {
        buffer_add_text(search->out, text);
        search->found = true;
    }
}

void aws_xml_find(const char *data, size_t size, const char *path, struct buffer *out)
{
    struct search search = {path, out, false};

    (void)aws_xml_read(data, size, on_element, &search, NULL, NULL); // nothing is found
}

void aws_xml_add_text(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            buffer_add_text(out, "&amp;");
            break;
        case '<':
            buffer_add_text(out, "&lt;");
            break;
        case '>':
            buffer_add_text(out, "&gt;");
            break;
        case '"':
            buffer_add_text(out, "&quot;");
            break;
        default:
            buffer_add_char(out, *text);
        }
    }
}
