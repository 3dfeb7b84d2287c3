/* SPDX-License-Identifier: Apache-2.0 */
/* aws_settings.c - what the environment and the profile files say about AWS */
#include "common/aws_settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buffer.h"
#include "common/fs.h"

/* One `key = value` line. A nested one has its parent's key and a dot in front. */
struct setting {
    char *section; // a profile's name, or "services <name>"
    char *key;
    char *value;
};

struct aws_settings {
    char *profile;
    struct setting *items; // those of the credentials file first
    size_t count;
};

const char *aws_settings_env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

bool aws_settings_env_true(const char *name)
{
    const char *value = aws_settings_env(name);

    return value && strcasecmp(value, "true") == 0;
}

static char *trim(char *text)
{
    size_t size = strlen(text);

    while (size > 0 && isspace((unsigned char)text[size - 1])) {
        text[--size] = '\0';
    }
    while (isspace((unsigned char)*text)) {
        text++;
    }
    return text;
}

// "[profile x]" of the config file and "[x]" of the credentials file are both x.
static char *section_of(char *line)
{
    char *end = strchr(line, ']');

    if (end) {
        *end = '\0';
    }
    char *name = trim(line + 1);
    size_t word = strcspn(name, " \t");
    if (word == strlen("profile") && strncmp(name, "profile", word) == 0 &&
        name[word]) {
        return memory_strdup(trim(name + word));
    }
    if (name[word]) {
        name[word] = '\0';
        return memory_format("%s %s", name, trim(name + word + 1));
    }
    return memory_strdup(name);
}

static void
add(struct aws_settings *settings, const char *section, const char *parent, char *line)
{
    char *equals = strchr(line, '=');

    if (!equals) {
        return;
    }
    *equals = '\0';
    const char *key = trim(line);
    settings->items = memory_realloc(settings->items,
                                     (settings->count + 1) * sizeof(*settings->items));
    settings->items[settings->count++] = (struct setting){
        .section = memory_strdup(section),
        .key = *parent ? memory_format("%s.%s", parent, key) : memory_strdup(key),
        .value = memory_strdup(trim(equals + 1)),
    };
}

// An indented line belongs to the key above it if that has no value of its own.
static void parse(struct aws_settings *settings, char *text)
{
    char *section = memory_strdup("");
    char *parent = memory_strdup("");
    char *rest = text;
    char *line;

    while ((line = strsep(&rest, "\n"))) {
        bool indented = isspace((unsigned char)*line) != 0;
        char *content = trim(line);
        if (!*content || *content == '#' || *content == ';') {
            continue;
        }
        if (*content == '[') {
            free(section);
            section = section_of(content);
            *parent = '\0';
        } else if (indented && *parent) {
            add(settings, section, parent, content);
        } else {
            size_t before = settings->count;
            add(settings, section, "", content);
            free(parent);
            parent = memory_strdup(settings->count > before &&
                                           !*settings->items[before].value
                                       ? settings->items[before].key
                                       : "");
        }
    }
    free(section);
    free(parent);
}

static int read_file(struct aws_settings *settings,
                     const char *variable,
                     const char *name,
                     struct error *err)
{
    const char *home = aws_settings_env("HOME");
    const char *set = aws_settings_env(variable);
    char *path =
        set ? memory_strdup(set) : memory_format("%s/.aws/%s", home ? home : "", name);
    struct buffer text = BUFFER_INIT;
    struct error failure = {0};
    int result = fs_read(path, AWS_SETTINGS_FILE_SIZE_MAX, &text, &failure);

    if (result == 0 && text.size) {
        parse(settings, text.data);
    } else if (result != 0 && failure.code == ERROR_NOT_FOUND) {
        result = 0;
    } else if (result != 0) {
        error_copy(err, &failure);
    }
    buffer_fini(&text);
    free(path);
    return result;
}

static bool has_section(const struct aws_settings *settings, const char *section)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].section, section) == 0) {
            return true;
        }
    }
    return false;
}

int aws_settings_load(struct aws_settings **out_settings, struct error *err)
{
    struct aws_settings *settings = memory_zalloc(sizeof(*settings));
    const char *profile = aws_settings_env("AWS_PROFILE");

    settings->profile = memory_strdup(profile ? profile : "default");
    if (read_file(settings, "AWS_SHARED_CREDENTIALS_FILE", "credentials", err) != 0 ||
        read_file(settings, "AWS_CONFIG_FILE", "config", err) != 0) {
        aws_settings_destroy(settings);
        return -1;
    }
    if (profile && !has_section(settings, profile)) {
        aws_settings_destroy(settings);
        return error_set(err,
                         ERROR_INVALID_ARGUMENT,
                         "AWS_PROFILE: expected a profile of ~/.aws/config or "
                         "~/.aws/credentials, got '%s'",
                         profile);
    }
    *out_settings = settings;
    return 0;
}

void aws_settings_destroy(struct aws_settings *settings)
{
    if (!settings) {
        return;
    }
    for (size_t i = 0; i < settings->count; i++) {
        free(settings->items[i].section);
        free(settings->items[i].key);
        free(settings->items[i].value);
    }
    free(settings->items);
    free(settings->profile);
    free(settings);
}

const char *aws_settings_profile_name(const struct aws_settings *settings)
{
    return settings->profile;
}

const char *aws_settings_profile(const struct aws_settings *settings,
                                 const char *profile,
                                 const char *key)
{
    const char *section = profile ? profile : settings->profile;

    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *item = &settings->items[i];
        if (strcmp(item->section, section) == 0 && strcmp(item->key, key) == 0) {
            return *item->value ? item->value : NULL;
        }
    }
    return NULL;
}

const char *aws_settings_region(const struct aws_settings *settings)
{
    const char *region = aws_settings_env("AWS_REGION");

    region = region ? region : aws_settings_env("AWS_DEFAULT_REGION");
    return region ? region : aws_settings_profile(settings, NULL, "region");
}

const char *aws_settings_ca_bundle(const struct aws_settings *settings)
{
    const char *path = aws_settings_env("AWS_CA_BUNDLE");

    return path ? path : aws_settings_profile(settings, NULL, "ca_bundle");
}

static const char *service_endpoint(const struct aws_settings *settings,
                                    const char *service)
{
    const char *services = aws_settings_profile(settings, NULL, "services");

    if (!services) {
        return NULL;
    }
    char *section = memory_format("services %s", services);
    char *key = memory_format("%s.endpoint_url", service);
    for (char *c = key; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    const char *url = aws_settings_profile(settings, section, key);
    free(section);
    free(key);
    return url;
}

const char *aws_settings_endpoint(const struct aws_settings *settings,
                                  const char *service)
{
    const char *ignore =
        aws_settings_profile(settings, NULL, "ignore_configured_endpoint_urls");

    if (aws_settings_env_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") ||
        (ignore && strcasecmp(ignore, "true") == 0)) {
        return NULL;
    }
    char *variable = memory_format("AWS_ENDPOINT_URL_%s", service);
    const char *url = aws_settings_env(variable);
    free(variable);
    url = url ? url : aws_settings_env("AWS_ENDPOINT_URL");
    url = url ? url : service_endpoint(settings, service);
    return url ? url : aws_settings_profile(settings, NULL, "endpoint_url");
}
