/* SPDX-License-Identifier: Apache-2.0 */
/* test_quantity.c - are quantities read as Kubernetes writes them */
#include "master/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_quantities_are_scaled_and_rounded_up(void **state)
{
    static const struct {
        const char *text;
        int scale;
        int64_t value;
    } rows[] = {
        {"1", 1000, 1000},
        {"200m", 1000, 200},
        {"0.5", 1000, 500},
        {".5", 1000, 500},
        {"1.", 1000, 1000},
        {"1.0001", 1000, 1001},
        {"0.0001m", 1000, 1},
        {"2k", 1000, 2000000},
        {"512Mi", 1, 512 << 20},
        {"1.5Ki", 1, 1536},
        {"1M", 1, 1000000},
        {"1K", 1, 1000},
        {"2G", 1, 2000000000},
        {"999999999999", 1, 999999999999},
        {"1500m", 1, 2},
        {"0", 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = -1;
        assert_true(quantity_read(rows[i].text, rows[i].scale, &value));
        assert_int_equal(value, rows[i].value);
    }
}

static void test_what_is_no_quantity_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "m",
        ".",
        "-1",
        "+1",
        "1 Gi",
        "1gi",
        "1e3",
        "1mm",
        "1..5",
        "0x10",
        "1_000",
        "inf",
        "1000000000000",
        "1.0000000001",
        "Mi",
        "9999999Ti",
        " 1",
        "1Mi ",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t value = -7;
        if (quantity_read(texts[i], 1, &value) || value != -7) {
            fail_msg("\"%s\" was read as %lld", texts[i], (long long)value);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantities_are_scaled_and_rounded_up),
        cmocka_unit_test(test_what_is_no_quantity_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
