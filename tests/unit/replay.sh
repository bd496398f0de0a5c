#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-only
# The replay of fuzz corpora must fail where it would test nothing.
set -eu
. "$AEGIS_SOURCE/tests/tap.sh"

replay=$AEGIS_BUILD/tests/fuzz/fuzz_texts
[ -x "$replay" ] || skip_all "$replay was not built"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

refuses() {
	! "$replay" "$1" >"$folder.out" 2>&1 && grep -q '^not ok 1 ' "$folder.out"
	status=$?
	rm -f "$folder.out"
	return $status
}

ok "an empty folder fails" refuses "$folder"
ok "a missing folder fails" refuses "$folder/absent"
printf 90s >"$folder/input"
is "one input is counted" "$("$replay" "$folder" | sed -n 's/^ok 1 - .*, //p')" "1 inputs"
done_testing
