/* SPDX-License-Identifier: Apache-2.0 */
/* api_compute.c - how much of a machine an API's worker asks for */
#include "master/api_compute.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/yaml_read.h"
#include "master/api_field.h"
#include "master/quantity.h"

#define CPU_MILLIS_MIN   20
#define CPU_MILLIS_MAX   10000000 // 10,000 cores
#define MEMORY_BYTES_MIN (20 << 20)
#define MEMORY_BYTES_MAX (INT64_C(1) << 50)
#define GPUS_MAX         1024
#define INFERENTIA_MAX   1

// Reads a quantity in units of 1/scale between min and max; *out_text is what was
// given.
static int read_quantity(const struct yaml_node *node,
                         int scale,
                         int64_t min,
                         int64_t max,
                         const char *min_text,
                         int64_t *out,
                         char **out_text,
                         struct error *err)
{
    bool truth;
    int64_t value;

    if (node->kind != YAML_NODE_TEXT || yaml_read_null(node) ||
        yaml_read_bool(node, &truth)) {
        return api_field_wrong_type(node, "a quantity", err);
    }
    if (!quantity_read(node->text, scale, &value)) {
        return yaml_node_fail(node,
                              err,
                              "k8s.parse_quantity",
                              "got \"%.100s\", expected a quantity such as %s",
                              node->text,
                              scale == 1000 ? "1, 0.5 or 200m" : "512Mi or 2G");
    }
    if (value < min) {
        return yaml_node_fail(node,
                              err,
                              "configreader.must_be_greater_than_or_equal_to",
                              "got %.100s, must be %s or more",
                              node->text,
                              min_text);
    }
    if (value > max) {
        return yaml_node_fail(node,
                              err,
                              "configreader.must_be_less_than_or_equal_to",
                              "got %.100s, which is more than any machine has",
                              node->text);
    }
    *out = value;
    api_field_keep(out_text, node->text);
    return 0;
}

int api_compute_read_shm_size(const struct yaml_node *node,
                              int64_t *out_bytes,
                              char **out_text,
                              struct error *err)
{
    return read_quantity(node, 1, 1, MEMORY_BYTES_MAX, "1", out_bytes, out_text, err);
}

static int read_cpu(const struct yaml_node *node, void *target, struct error *err)
{
    struct api_spec *spec = target;
    int64_t millis = 0;

    if (yaml_read_null(node)) { // asks for none, while no key at all is the default
        free(spec->cpu);
        spec->cpu = NULL;
    } else if (read_quantity(node,
                             1000,
                             CPU_MILLIS_MIN,
                             CPU_MILLIS_MAX,
                             "20m",
                             &millis,
                             &spec->cpu,
                             err) != 0) {
        return -1;
    }
    spec->cpu_millis = (uint32_t)millis;
    return 0;
}

static int read_mem(const struct yaml_node *node, void *target, struct error *err)
{
    struct api_spec *spec = target;
    int64_t bytes = 0;

    if (read_quantity(node,
                      1,
                      MEMORY_BYTES_MIN,
                      MEMORY_BYTES_MAX,
                      "20Mi",
                      &bytes,
                      &spec->mem,
                      err) != 0) {
        return -1;
    }
    spec->memory_bytes = (uint64_t)bytes;
    return 0;
}

static int read_gpu(const struct yaml_node *node, void *target, struct error *err)
{
    struct api_spec *spec = target;
    int64_t gpus;

    if (api_field_int(node, 0, GPUS_MAX, &gpus, err) != 0) {
        return -1;
    }
    spec->gpus = (uint32_t)gpus;
    return 0;
}

static int read_inf(const struct yaml_node *node, void *target, struct error *err)
{
    int64_t count;

    (void)target;
    if (api_field_int(node, 0, INFERENTIA_MAX, &count, err) != 0) {
        return -1;
    }
    return count == 0 ? 0
                      : yaml_node_fail(node,
                                       err,
                                       "resources.no_available_node_compute_limit",
                                       "got %" PRId64 ", but no agent offers "
                                       "Inferentia chips",
                                       count);
}

static const struct api_field compute_fields[] = {
    {"cpu", false, false, read_cpu},
    {"mem", false, true, read_mem},
    {"gpu", false, true, read_gpu},
    {"inf", false, true, read_inf},
    {NULL},
};

int api_compute_read(const struct yaml_node *node,
                     struct api_spec *spec,
                     struct error *err)
{
    return api_field_read(node, compute_fields, spec, err);
}
