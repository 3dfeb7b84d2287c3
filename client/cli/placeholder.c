/* SPDX-License-Identifier: Apache-2.0 */
/* placeholder.c */
extern int cli_placeholder;
int cli_placeholder;
