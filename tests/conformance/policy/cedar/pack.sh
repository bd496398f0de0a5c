#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-only
# The Cedar conformance pack: whole with `tools/test --all`; otherwise the small files whole, and of
# the large ones one case in 25, for the time that sanitizers cost. AEGIS_TESTDATA names the folder of
# test data.
. "$AEGIS_SOURCE/tests/tap.sh"

pack=${AEGIS_TESTDATA:-$AEGIS_SOURCE/../shared/testdata}/cedar
[ -d "$pack" ] || skip_all "$pack is not there (AEGIS_TESTDATA names the folder)"

every=25
case ${AEGIS_TEST_LEVEL:-} in all | long) every=1 ;; esac

# name arguments...
check() {
	name=$1
	shift
	output=$("$AEGIS_SOURCE/tests/conformance/run" cedar "$pack" "$@") || true
	printf '%s\n' "$output" | sed 's/^/# /'
	is "$name: no case differs" "${output##*passed, }" "0 failed"
	case $output in
	*"cases left out"*) is "$name: every case is run" "some left out" "all run" ;;
	esac
}

check "schemas, sets of policies, examples" --without authz parse expr
check "policies, expressions, decisions (one in $every)" --every "$every" \
	--without examples handwritten multi schema
done_testing
