/* SPDX-License-Identifier: Apache-2.0 */
/* placeholder.c */
extern int client_placeholder;
int client_placeholder;
