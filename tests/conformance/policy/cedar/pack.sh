#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-only
# The Cedar conformance pack: whole with `tools/test --all`, one case in 25 otherwise, for the time
# that sanitizers cost. What needs a schema, for the actions' groups or the entities' types, is left
# out: schemas are not read yet. AEGIS_TESTDATA names the folder of test data.
. "$AEGIS_SOURCE/tests/tap.sh"

pack=${AEGIS_TESTDATA:-$AEGIS_SOURCE/../shared/testdata}/cedar
[ -d "$pack" ] || skip_all "$pack is not there (AEGIS_TESTDATA names the folder)"

every=25
case ${AEGIS_TEST_LEVEL:-} in all | long) every=1 ;; esac

output=$("$AEGIS_SOURCE/tests/conformance/run" cedar "$pack" --every "$every" \
	--without examples handwritten multi schema) || true
printf '%s\n' "$output" | sed 's/^/# /'
is "no case differs (one in $every run)" "${output##*passed, }" "0 failed"
done_testing
