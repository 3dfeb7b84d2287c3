/* SPDX-License-Identifier: Apache-2.0 */
/* placeholder.c */
extern int bridge_placeholder;
int bridge_placeholder;
