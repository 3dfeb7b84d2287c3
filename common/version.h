/* SPDX-License-Identifier: Apache-2.0 */
/* version.h - which release this is */
#ifndef CORTEX_COMMON_VERSION_H
#define CORTEX_COMMON_VERSION_H

/* "0.1.0", from the build. */
const char *version_text(void);

#endif
