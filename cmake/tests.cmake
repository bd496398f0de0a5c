# SPDX-License-Identifier: AGPL-3.0-only
# One function per kind of test; tests/CMakeLists.txt says what they share.

aegis_package(cmocka cmocka)

# A crash inside a cmocka case must reach the sanitizer, whose report names the line, and not cmocka's
# own signal handler, which knows the case only.
set(AEGIS_TEST_ENV
	"CMOCKA_MESSAGE_OUTPUT=TAP"
	"ASAN_OPTIONS=handle_segv=2:handle_sigbus=2:handle_sigfpe=2:handle_sigill=2:abort_on_error=0"
	"UBSAN_OPTIONS=print_stacktrace=1"
	"AEGIS_SOURCE=${CMAKE_SOURCE_DIR}"
	"AEGIS_BUILD=${CMAKE_BINARY_DIR}"
	"PYTHONPATH=${CMAKE_SOURCE_DIR}/tests")

function(aegis_register kind name)
	cmake_parse_arguments(A "ROOT" "TIMEOUT" "COMMAND;LOCK" ${ARGN})
	file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR}/tests ${CMAKE_CURRENT_SOURCE_DIR})
	if(folder MATCHES "^[^/]+/(.*)$")
		set(folder ${CMAKE_MATCH_1})
	else()
		set(folder "")
	endif()
	if(folder AND NOT folder MATCHES "(^|/)${name}$")
		set(id ${kind}/${folder}/${name})
	elseif(folder)
		set(id ${kind}/${folder})
	else()
		set(id ${kind}/${name})
	endif()
	if(NOT A_TIMEOUT)
		set(A_TIMEOUT 120)
	endif()
	if(A_ROOT)
		list(PREPEND A_COMMAND ${CMAKE_SOURCE_DIR}/tests/as-root)
		list(APPEND A_LOCK root)
	endif()
	if(kind STREQUAL vm) # an emulated machine fills the real one
		list(APPEND A_LOCK guest)
	endif()
	add_test(NAME ${id} COMMAND ${A_COMMAND} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
	set_tests_properties(${id} PROPERTIES
		LABELS ${kind} TIMEOUT ${A_TIMEOUT} ENVIRONMENT "${AEGIS_TEST_ENV}")
	if(A_LOCK)
		set_tests_properties(${id} PROPERTIES RESOURCE_LOCK "${A_LOCK}")
	endif()
endfunction()

# aegis_test(KIND NAME SOURCES a.c ... LINK aegis_x ... [TIMEOUT s] [ROOT] [LOCK x]): a cmocka program.
# KIND is unit, prop, sim, conformance, bpf, integration, peer, crash or vm.
function(aegis_test kind name)
	cmake_parse_arguments(A "ROOT" "TIMEOUT" "SOURCES;LINK;LOCK" ${ARGN})
	set(target ${kind}_${name})
	add_executable(${target} ${A_SOURCES})
	target_link_libraries(${target} PRIVATE aegis_flags ${A_LINK} pkg_cmocka)
	set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/${kind})
	set(options)
	if(A_ROOT)
		list(APPEND options ROOT)
	endif()
	aegis_register(${kind} ${name} COMMAND $<TARGET_FILE:${target}> LOCK ${A_LOCK} TIMEOUT ${A_TIMEOUT} ${options})
endfunction()

# aegis_script_test(KIND NAME script [ARGS x ...] [TIMEOUT s] [ROOT] [LOCK x]): an executable script of this folder that
# prints TAP (tests/tap.sh and tests/tap.py help). It finds the tree in $AEGIS_SOURCE, the build in $AEGIS_BUILD.
function(aegis_script_test kind name script)
	cmake_parse_arguments(A "ROOT" "TIMEOUT" "LOCK;ARGS" ${ARGN})
	set(options)
	if(A_ROOT)
		list(APPEND options ROOT)
	endif()
	aegis_register(${kind} ${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${A_ARGS}
		LOCK ${A_LOCK} TIMEOUT ${A_TIMEOUT} ${options})
endfunction()

# aegis_fuzz(NAME SOURCES ... LINK ...): tests/fuzz/NAME.c with LLVMFuzzerTestOneInput. Under the fuzz preset a
# libFuzzer program; elsewhere a program that replays tests/fuzz/corpus/NAME, registered as the test fuzz/NAME.
function(aegis_fuzz name)
	cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
	add_executable(fuzz_${name} ${A_SOURCES})
	set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/fuzz)
	target_link_libraries(fuzz_${name} PRIVATE aegis_flags ${A_LINK})
	if(AEGIS_FUZZ)
		target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
		set_property(GLOBAL APPEND PROPERTY AEGIS_FUZZ_TARGETS fuzz_${name})
	else()
		target_sources(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
		aegis_register(fuzz ${name} COMMAND fuzz_${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
	endif()
endfunction()

# aegis_bench(AREA NAME SOURCES ... LINK ...): a program of tests/bench/AREA that prints one JSON object per
# figure (tools/bench says which keys). Scripts need no entry: tools/bench runs every executable *.sh and *.py there.
function(aegis_bench area name)
	cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
	add_executable(bench_${name} ${A_SOURCES})
	target_link_libraries(bench_${name} PRIVATE aegis_flags ${A_LINK})
	set_target_properties(bench_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/bench/${area})
	if(AEGIS_SANITIZE OR AEGIS_COVERAGE) # its figures would say nothing
		set_target_properties(bench_${name} PROPERTIES EXCLUDE_FROM_ALL ON)
	endif()
	set_property(GLOBAL APPEND PROPERTY AEGIS_BENCH_TARGETS bench_${name})
	set_property(GLOBAL APPEND PROPERTY AEGIS_BENCH_LINES "${area} ${name} $<TARGET_FILE:bench_${name}>")
endfunction()

# Two targets that tools/fuzz and tools/bench build, and the lists from which they read what exists.
function(aegis_tests_finish)
	get_property(fuzzers GLOBAL PROPERTY AEGIS_FUZZ_TARGETS)
	add_custom_target(fuzz_targets DEPENDS ${fuzzers})
	string(REPLACE ";" "\n" lines "${fuzzers}")
	file(WRITE ${CMAKE_BINARY_DIR}/fuzz.list "${lines}\n")
	get_property(benches GLOBAL PROPERTY AEGIS_BENCH_TARGETS)
	add_custom_target(bench_targets DEPENDS ${benches})
	get_property(lines GLOBAL PROPERTY AEGIS_BENCH_LINES)
	string(REPLACE ";" "\n" lines "${lines}")
	file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/bench.list CONTENT "${lines}\n")
endfunction()
