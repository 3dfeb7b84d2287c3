# SPDX-License-Identifier: Apache-2.0
# cortex_protobuf_library(NAME FILE.proto...): protoc-c's messages and service
# stubs as a library; headers are included as "proto/<file>.pb-c.h".
find_program(PROTOC_C protoc-c)
if(NOT PROTOC_C)
    message(FATAL_ERROR
        "protoc-c is missing: install Debian's package protobuf-c-compiler (apt-get install protobuf-c-compiler)")
endif()

function(cortex_protobuf_library name)
    set(out ${CMAKE_BINARY_DIR}/generated)
    file(MAKE_DIRECTORY ${out}/proto)
    set(sources)
    foreach(file IN LISTS ARGN)
        string(REGEX REPLACE "\\.proto$" ".pb-c" stem ${file})
        add_custom_command(
            OUTPUT ${out}/${stem}.c ${out}/${stem}.h
            COMMAND ${PROTOC_C} --c_out=${out} -I${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/${file}
            DEPENDS ${ARGN}
            COMMENT "protoc-c ${file}"
            VERBATIM)
        list(APPEND sources ${out}/${stem}.c)
    endforeach()
    add_library(${name} STATIC ${sources})
    target_include_directories(${name} SYSTEM PUBLIC ${out})
    target_compile_options(${name} PRIVATE -w)
    target_link_libraries(${name} PUBLIC deps::protobufc)
    if(CORTEX_SANITIZE)
        target_compile_options(${name} PRIVATE -fsanitize=${CORTEX_SANITIZE})
    endif()
endfunction()
