/* SPDX-License-Identifier: Apache-2.0 */
/* placeholder.c */
extern int master_placeholder;
int master_placeholder;
