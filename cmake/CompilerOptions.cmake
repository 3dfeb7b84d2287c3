# SPDX-License-Identifier: Apache-2.0
# C11 with POSIX and GNU extensions of glibc; every warning we can live with.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)

option(CORTEX_WERROR "Warnings are errors" OFF)
set(CORTEX_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

add_library(cortex_options INTERFACE)
target_compile_definitions(cortex_options INTERFACE _GNU_SOURCE)
target_compile_options(cortex_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wpointer-arith -Wstrict-prototypes
    -Wmissing-prototypes -Wwrite-strings -Wformat=2 -Wvla -Wundef
    -Wno-missing-field-initializers
    -fno-common -fstack-protector-strong -fno-omit-frame-pointer)
if(CORTEX_WERROR)
    target_compile_options(cortex_options INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" OR CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_definitions(cortex_options INTERFACE _FORTIFY_SOURCE=2)
endif()
if(CORTEX_SANITIZE)
    target_compile_options(cortex_options INTERFACE
        -fsanitize=${CORTEX_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(cortex_options INTERFACE -fsanitize=${CORTEX_SANITIZE})
endif()
target_link_options(cortex_options INTERFACE -Wl,-z,relro,-z,now)
