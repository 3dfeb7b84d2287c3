/* SPDX-License-Identifier: Apache-2.0 */
/* test_port.c - is an address that is taken found out, and who has it named */
#include "client/cli/port.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buffer.h"

static void test_an_address_that_is_taken_is_refused_with_who_has_it(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    struct error err = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    char *place = memory_format("127.0.0.1:%u", ntohs(address.sin_port));
    char *who = memory_format("%s is taken by test_port (pid %d)", place, getpid());
    assert_int_equal(port_check_free(place, "--bridge-listen", &err), -1);
    assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
    if (!strstr(err.message, who) || !strstr(err.message, "--bridge-listen")) {
        fail_msg("%s", err.message);
    }
    (void)close(fd);
    assert_int_equal(port_check_free(place, "--bridge-listen", &err), 0);
    free(place);
    free(who);
}

static void test_what_is_no_address_is_refused_and_quoted(void **state)
{
    static const char *const places[] = {"",
                                         "127.0.0.1",
                                         "127.0.0.1:",
                                         ":80",
                                         "127.0.0.1:0",
                                         "127.0.0.1:65536",
                                         "127.0.0.1:8x",
                                         "127.0.0.1:-1",
                                         "300.0.0.1.:80"};

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct error err = {0};
        char *quoted = memory_format("--master-listen: got \"%s\"", places[i]);
        if (port_check_free(places[i], "--master-listen", &err) == 0 ||
            err.code != ERROR_INVALID_ARGUMENT || !strstr(err.message, quoted)) {
            fail_msg("%s: %s", places[i], err.message);
        }
        free(quoted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_that_is_taken_is_refused_with_who_has_it),
        cmocka_unit_test(test_what_is_no_address_is_refused_and_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
