/* SPDX-License-Identifier: Apache-2.0 */
/* quantity.h - how much "200m", "0.5" or "512Mi" is
 *
 * Kubernetes' quantities: a decimal number without sign, and nothing, `m`
 * (thousandths), k, K, M, G, T (powers of 1,000) or Ki, Mi, Gi, Ti (of 1,024) behind
 * it. Pure. */
#ifndef CORTEX_MASTER_QUANTITY_H
#define CORTEX_MASTER_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

/* The quantity in units of 1/scale (scale 1000: thousandths), rounded up. scale is 1 to
 * 1,000. False if the text is no quantity or too large for 12 digits of whole part. */
bool quantity_read(const char *text, int scale, int64_t *out);

#endif
