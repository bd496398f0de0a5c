#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-only
# The SMCP test vectors. AEGIS_TESTDATA names the folder of test data.
. "$AEGIS_SOURCE/tests/tap.sh"

file=${AEGIS_TESTDATA:-$AEGIS_SOURCE/../shared/testdata}/smcp/vectors.json
[ -f "$file" ] || skip_all "$file is not there (AEGIS_TESTDATA names the folder)"

output=$("$AEGIS_SOURCE/tests/conformance/run" smcp "$file") || true
printf '%s\n' "$output" | sed 's/^/# /'
is "no vector differs" "${output##*passed, }" "0 failed"

# A runner that cannot fail says nothing: with one label turned round it must say so.
broken=$(mktemp)
trap 'rm -f "$broken"' EXIT
sed '0,/"accept": *false/s//"accept":true/' "$file" >"$broken"
output=$("$AEGIS_SOURCE/tests/conformance/run" smcp "$broken") || true
is "a label turned round is noticed" "${output##*passed, }" "1 failed"
done_testing
