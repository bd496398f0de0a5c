# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=sh
# TAP for shell tests:  . "$AEGIS_SOURCE/tests/tap.sh"
#   ok NAME COMMAND...      passes if the command succeeds; its output is shown when it does not
#   is NAME GOT WANT        passes if the two texts are equal
#   skip NAME REASON        counts a case that this machine cannot run
#   skip_all REASON         ends a script that cannot run here at all
#   done_testing            last line of every script: prints the plan and exits

tap_count=0
tap_failed=0

tap_result() { # STATUS NAME
	tap_count=$((tap_count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_count - $2"
	else
		echo "not ok $tap_count - $2"
		tap_failed=$((tap_failed + 1))
	fi
}

ok() {
	tap_name=$1
	shift
	if tap_output=$("$@" 2>&1); then
		tap_result 0 "$tap_name"
	else
		tap_status=$?
		tap_result 1 "$tap_name"
		printf 'status %s from: %s\n%s\n' "$tap_status" "$*" "$tap_output" | sed 's/^/# /'
	fi
}

is() {
	if [ "$2" = "$3" ]; then
		tap_result 0 "$1"
	else
		tap_result 1 "$1"
		printf 'got:  %s\nwant: %s\n' "$2" "$3" | sed 's/^/# /'
	fi
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

done_testing() {
	echo "1..$tap_count"
	[ "$tap_failed" -eq 0 ]
	exit
}
