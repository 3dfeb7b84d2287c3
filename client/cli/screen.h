/* SPDX-License-Identifier: Apache-2.0 */
/* screen.h - a terminal whose whole window is drawn again and again
 *
 * It draws on the terminal's second screen, so that what the user had before is there
 * again afterwards. However the process is left (Ctrl-C, Ctrl-Z, a signal to end, an
 * error), the terminal is put in order first. Lines too long for the window are cut by
 * the terminal, and a text too high here, at every drawing, so that resizing needs
 * nothing. One per process; standard output must be a terminal. */
#ifndef CORTEX_CLIENT_CLI_SCREEN_H
#define CORTEX_CLIENT_CLI_SCREEN_H

#include "common/buffer.h"
#include "common/error.h"

void screen_open(void);
int screen_draw(const struct buffer *text, struct error *err);
/* Does nothing if it is not open. */
void screen_close(void);

/* Columns of the terminal; 80 if it does not say. */
unsigned screen_width(void);

#endif
