# SPDX-License-Identifier: Apache-2.0
# Run by cortex_embed: writes OUT with the bytes of FILES as the table TABLE.
set(bodies "")
set(rows "")
set(n 0)
foreach(file IN LISTS FILES)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    get_filename_component(base ${file} NAME)
    string(APPEND bodies "static const char file_${n}[] = {${bytes}0};\n")
    string(APPEND rows "    {\"${base}\", file_${n}, sizeof(file_${n}) - 1},\n")
    math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUT}
"#include \"common/embed.h\"\n${bodies}extern const struct embed_file ${TABLE}[];\n\
const struct embed_file ${TABLE}[] = {\n${rows}    {0, 0, 0},\n};\n")
