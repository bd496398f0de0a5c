# SPDX-License-Identifier: AGPL-3.0-only
# BPF objects: compiled by clang without the host's headers of its kernel, and embedded, so that no file can be put
# in their place.

find_program(AEGIS_BPF_CLANG NAMES clang clang-14 REQUIRED)

# aegis_bpf(NAME SOURCES x.bpf.c DEPENDS x_api.h ...): the library bpf_NAME, whose symbols NAME_object and
# NAME_object_end (both const unsigned char[]) enclose the object.
function(aegis_bpf name)
	cmake_parse_arguments(A "" "SOURCE" "DEPENDS" ${ARGN})
	set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
	set(embed ${CMAKE_CURRENT_BINARY_DIR}/${name}_object.c)
	add_custom_command(OUTPUT ${object}
		COMMAND ${AEGIS_BPF_CLANG} -target bpf -mcpu=v3 -g -O2 -Wall -Wextra -Werror -Wno-unused-parameter
			-I${CMAKE_SOURCE_DIR} -idirafter /usr/include/${CMAKE_C_LIBRARY_ARCHITECTURE}
			-ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -fdebug-compilation-dir=.
			-c ${CMAKE_CURRENT_SOURCE_DIR}/${A_SOURCE} -o ${object}
		DEPENDS ${A_SOURCE} ${A_DEPENDS}
		COMMENT "BPF object ${name}"
		VERBATIM)
	file(GENERATE OUTPUT ${embed} CONTENT
		"__asm__(\".section .rodata\\n.balign 64\\n.global ${name}_object\\n${name}_object:\\n.incbin \\\"${object}\\\"\\n\"
	\".global ${name}_object_end\\n${name}_object_end:\\n.byte 0\\n.previous\\n\");\n")
	set_source_files_properties(${embed} PROPERTIES OBJECT_DEPENDS ${object} COMPILE_OPTIONS "-Wno-pedantic")
	add_library(bpf_${name} STATIC ${embed})
	set_property(SOURCE ${embed} PROPERTY GENERATED ON)
endfunction()
