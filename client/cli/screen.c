/* SPDX-License-Identifier: Apache-2.0 */
/* screen.c - a terminal whose whole window is drawn again and again */
#include "client/cli/screen.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/cli/output.h"

#define WIDTH_DEFAULT  80
#define HEIGHT_DEFAULT 24

// Second screen, no cursor, no wrapping; and back in the other order.
#define ENTER "\x1b[?1049h\x1b[?25l\x1b[?7l"
#define LEAVE "\x1b[?7h\x1b[?25h\x1b[?1049l"
#define HOME  "\x1b[H"
#define WIPE  "\x1b[J" /* what is below */
#define EOL   "\x1b[K" /* the rest of the line */

static volatile sig_atomic_t is_open;

static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static void say(const char *codes, size_t size)
{
    ssize_t written = write(STDOUT_FILENO, codes, size);

    (void)written; // a terminal that is gone needs no order
}

// May run at any moment, in any thread: only write, sigaction and raise.
static void ended_by_signal(int number)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};

    if (is_open) {
        is_open = 0;
        say(LEAVE, sizeof(LEAVE) - 1);
    }
    (void)sigaction(number, &usual, NULL);
    (void)raise(number);
}

// Stops here until somebody says "fg".
static void suspended_by_signal(int number)
{
    int saved = errno;

    (void)number;
    say(LEAVE, sizeof(LEAVE) - 1);
    (void)raise(SIGSTOP);
    say(ENTER, sizeof(ENTER) - 1);
    errno = saved;
}

void screen_open(void)
{
    struct sigaction end = {.sa_handler = ended_by_signal};
    struct sigaction suspend = {.sa_handler = suspended_by_signal,
                                .sa_flags = SA_RESTART};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        (void)sigaction(ends[i], &end, NULL);
    }
    (void)sigaction(SIGTSTP, &suspend, NULL);
    is_open = 1;
    say(ENTER, sizeof(ENTER) - 1);
}

void screen_close(void)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};

    if (!is_open) {
        return;
    }
    say(LEAVE, sizeof(LEAVE) - 1);
    is_open = 0;
    (void)sigaction(SIGTSTP, &usual, NULL);
}

static struct winsize window(void)
{
    struct winsize size = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 ||
        size.ws_row == 0) {
        size = (struct winsize){.ws_col = WIDTH_DEFAULT, .ws_row = HEIGHT_DEFAULT};
    }
    return size;
}

unsigned screen_width(void)
{
    return window().ws_col;
}

int screen_draw(const struct buffer *text, struct error *err)
{
    struct buffer frame = BUFFER_INIT;
    const char *line = buffer_text(text);
    unsigned height = window().ws_row;

    buffer_add_text(&frame, HOME);
    for (unsigned row = 0; row < height && *line; row++) {
        size_t size = strcspn(line, "\n");
        buffer_add_text(&frame, row > 0 ? "\r\n" : "");
        buffer_add(&frame, line, size);
        buffer_add_text(&frame, EOL);
        line += size + (line[size] == '\n');
    }
    buffer_add_text(&frame, WIPE);
    return output_take(&frame, err);
}
