# SPDX-License-Identifier: AGPL-3.0-only
# How this project builds: one flag set, one library per room, one function per kind of target.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

option(AEGIS_WERROR "Treat warnings as errors" ON)
set(AEGIS_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")
option(AEGIS_FUZZ "Build the libFuzzer targets (clang)" OFF)
option(AEGIS_ANALYZE "Compile with gcc's static analyzer" OFF)
option(AEGIS_COVERAGE "Instrument for coverage" OFF)

add_library(aegis_flags INTERFACE)
target_include_directories(aegis_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(aegis_flags INTERFACE _GNU_SOURCE AEGIS_VERSION="${PROJECT_VERSION}")
target_compile_options(aegis_flags INTERFACE
	-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
	-Wno-unused-parameter
	-Wno-missing-field-initializers # a row of a table leaves out what is zero
	# gcc says it, too; clang also says it of enums, whose sign is the compiler's choice.
	$<$<C_COMPILER_ID:Clang>:-Wno-sign-conversion>
	-fno-common -fno-strict-aliasing
	-fstack-protector-strong -fPIE -fno-omit-frame-pointer
	# The same source gives the same bytes wherever the checkout lies.
	-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
target_link_options(aegis_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
target_link_libraries(aegis_flags INTERFACE Threads::Threads)
if(AEGIS_WERROR)
	target_compile_options(aegis_flags INTERFACE -Werror)
endif()
if(AEGIS_SANITIZE)
	target_compile_options(aegis_flags INTERFACE -fsanitize=${AEGIS_SANITIZE} -fno-sanitize-recover=all)
	target_link_options(aegis_flags INTERFACE -fsanitize=${AEGIS_SANITIZE})
else()
	target_compile_options(aegis_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
	# Request fibers run on 64 KiB: a frame may hold one path (LIMIT_PATH_BYTES, 4096), and little else.
	target_compile_options(aegis_flags INTERFACE
		$<$<NOT:$<BOOL:$<TARGET_PROPERTY:AEGIS_MAIN_STACK>>>:-Wframe-larger-than=5120>)
endif()
if(AEGIS_FUZZ)
	target_compile_options(aegis_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(AEGIS_COVERAGE)
	target_compile_options(aegis_flags INTERFACE --coverage)
	target_link_options(aegis_flags INTERFACE --coverage)
endif()

# Debian packages the build needs, found once by pkg-config; a room names what it links as pkg_NAME.
function(aegis_package name module)
	pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
	add_library(pkg_${name} INTERFACE IMPORTED GLOBAL)
	target_link_libraries(pkg_${name} INTERFACE PkgConfig::${name})
endfunction()

aegis_package(uring liburing)
aegis_package(sodium libsodium)
aegis_package(openssl openssl)
aegis_package(yaml yaml-0.1)
aegis_package(pcre2 libpcre2-8)
aegis_package(curl libcurl)
aegis_package(seccomp libseccomp)
aegis_package(bpf libbpf)
aegis_package(mnl libmnl)
aegis_package(nftables libnftables)
aegis_package(idn2 libidn2)

# "programs" is what runs; "code" is that and every room's library, without the tests.
add_custom_target(programs)
add_custom_target(code)
function(aegis_shipped target)
	add_dependencies(code ${target})
	if(AEGIS_ANALYZE)
		# Two of its warnings are out, because gcc 12 does not follow what is handed over through a pointer to the
		# caller's struct: it takes such memory for lost (LeakSanitizer finds what is) and such values for unset
		# (-Wmaybe-uninitialized finds what is).
		target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C>:-fanalyzer;\
-Wno-analyzer-malloc-leak;-Wno-analyzer-use-of-uninitialized-value>")
	endif()
endfunction()

# Whether a target's code never runs in a fiber, so that its frames may be large.
define_property(TARGET PROPERTY AEGIS_MAIN_STACK INITIALIZE_FROM_VARIABLE DEFAULT_AEGIS_MAIN_STACK)

# Each room adds itself with aegis_library() in its own CMakeLists.txt.
function(aegis_rooms)
	foreach(room ${ARGN})
		string(REGEX MATCH "^tools/" DEFAULT_AEGIS_MAIN_STACK ${room}) # no program for users has fibers
		add_subdirectory(${CMAKE_SOURCE_DIR}/${room})
	endforeach()
endfunction()

# aegis_library(NAME SOURCES a.c ... [LINK aegis_base pkg_x ...] [MAIN_STACK]): the room's library, aegis_NAME.
# MAIN_STACK says that none of it ever runs in a fiber.
function(aegis_library name)
	cmake_parse_arguments(A "MAIN_STACK" "" "SOURCES;LINK" ${ARGN})
	if(A_SOURCES)
		add_library(aegis_${name} STATIC ${A_SOURCES})
		target_link_libraries(aegis_${name} PUBLIC aegis_flags ${A_LINK})
		aegis_shipped(aegis_${name})
		if(A_MAIN_STACK)
			set_target_properties(aegis_${name} PROPERTIES AEGIS_MAIN_STACK ON)
		endif()
	else() # a room of headers only
		add_library(aegis_${name} INTERFACE)
		target_link_libraries(aegis_${name} INTERFACE aegis_flags ${A_LINK})
	endif()
endfunction()

# aegis_main_stack_files(a.c ...): of a room that has fibers, the files that never run in one (start-up, offload
# threads), whose frames may be large.
function(aegis_main_stack_files)
	set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -Wframe-larger-than=65536)
endfunction()

# aegis_program(NAME SOURCES a.c ... LINK ...): an executable in the build's bin/.
function(aegis_program name)
	cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
	add_executable(${name} ${A_SOURCES})
	target_link_libraries(${name} PRIVATE aegis_flags ${A_LINK})
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
	add_dependencies(programs ${name})
	aegis_shipped(${name})
endfunction()
