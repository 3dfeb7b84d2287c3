/* SPDX-License-Identifier: Apache-2.0 */
/* fault_row.h - a row of the table of faults that tests planted; see fault_table.py
 *
 * The row is printed, and written into the folder that CORTEX_FAULT_TABLE names, if it
 * names one. May block on the disk. */
#ifndef CORTEX_TESTS_FAULT_ROW_H
#define CORTEX_TESTS_FAULT_ROW_H

/* `lost` and `doubled` are counts that were taken. `fault` has nothing that JSON would
 * want escaped. Failing to write fails the test. */
void fault_row_add(const char *fault, unsigned dose, unsigned lost, unsigned doubled);

#endif
