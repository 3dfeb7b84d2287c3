/* SPDX-License-Identifier: Apache-2.0 */
/* version.c - which release this is */
#include "common/version.h"

const char *version_text(void)
{
    return CORTEX_VERSION;
}
