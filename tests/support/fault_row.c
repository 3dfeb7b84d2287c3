/* SPDX-License-Identifier: Apache-2.0 */
/* fault_row.c - a row of the table of faults that tests planted */
#include "tests/support/fault_row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"

void fault_row_add(const char *fault, unsigned dose, unsigned lost, unsigned doubled)
{
    const char *folder = getenv("CORTEX_FAULT_TABLE");

    print_message("%s: %u, lost %u, doubled %u\n", fault, dose, lost, doubled);
    if (!folder) {
        return;
    }
    (void)mkdir(folder, 0755); // another test may have made it
    char *path = memory_format("%s/row-XXXXXX", folder);
    int fd = mkstemp(path);
    free(path);
    assert_true(fd >= 0);
    assert_true(dprintf(fd,
                        "{\"fault\": \"%s\", \"dose\": %u, \"lost\": %u,"
                        " \"doubled\": %u, \"longest_s\": null}",
                        fault,
                        dose,
                        lost,
                        doubled) > 0);
    assert_int_equal(close(fd), 0);
}
