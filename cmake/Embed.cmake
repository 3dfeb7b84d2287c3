# SPDX-License-Identifier: Apache-2.0
# cortex_embed(TARGET FOLDER EXTENSION): every FOLDER/*.EXTENSION becomes a row of
# the table `embed_<folder's name>` that the target declares:
#   struct embed_file { const char *name; const char *text; size_t size; };
#   extern const struct embed_file embed_schema[];   ends with a row of NULL
function(cortex_embed target folder extension)
    get_filename_component(table ${folder} NAME)
    file(GLOB files CONFIGURE_DEPENDS ${folder}/*.${extension})
    list(SORT files)
    set(out ${CMAKE_BINARY_DIR}/generated/embed_${table}.c)
    add_custom_command(
        OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DTABLE=embed_${table} -DOUT=${out}
            "-DFILES=${files}" -P ${CMAKE_SOURCE_DIR}/cmake/EmbedFiles.cmake
        DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/EmbedFiles.cmake
        COMMENT "embedding ${folder}"
        VERBATIM)
    set_source_files_properties(${out} PROPERTIES COMPILE_OPTIONS -w)
    target_sources(${target} PRIVATE ${out})
endfunction()
