/* SPDX-License-Identifier: Apache-2.0 */
/* placeholder.c */
extern int agent_placeholder;
int agent_placeholder;
