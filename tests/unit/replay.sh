#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-only
# The replay of fuzz corpora must fail where it would test nothing.
set -eu
. "$AEGIS_SOURCE/tests/tap.sh"

replay=$AEGIS_BUILD/tests/fuzz/fuzz_texts
[ -x "$replay" ] || skip_all "$replay was not built"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

verdict() {
	"$replay" "$1" | sed -n 's/^\(not ok\|ok\) 1 - .*/\1/p'
}

is "an empty folder fails" "$(verdict "$folder")" "not ok"
is "a missing folder fails" "$(verdict "$folder/absent")" "not ok"
printf 90s >"$folder/input"
is "one input is counted" "$("$replay" "$folder" | sed -n 's/^ok 1 - .*, //p')" "1 inputs"
done_testing
