# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash
# For the host's side of the tests here, after tap.sh: a server on the host, a guest that works on it.
#
#   $work               a directory that goes with the test; the export is in it
#   start OPTION...     `aegis nfs serve`; sets $server and $port (kept over a restart)
#   guest ARGUMENT...   runs tools/vm with these; --add and --env, then the command
#   report              reads the guest's lines from standard input and counts its cases
work=$(mktemp -d)
server=
port=
trap '[ -z "$server" ] || { kill -9 "$server"; wait "$server" 2>/dev/null; }; rm -rf "$work"' EXIT
mkdir "$work/export" "$work/state"
"$AEGIS_SOURCE/tools/vm" prepare >"$work/prepare" 2>&1 || skip_all "$(tail -n 1 "$work/prepare")"

start() {
	: >"$work/log"
	"$AEGIS_BUILD/bin/aegis" nfs serve "$work/export" --export /x --state "$work/state" --listen "127.0.0.1:${port:-0}" "$@" \
		>"$work/log" 2>>"$work/errors" &
	server=$!
	for _ in $(seq 300); do
		port=$(sed -n 's/.* on 127.0.0.1:\([0-9]*\).*/\1/p' "$work/log" | head -n 1)
		[ -z "$port" ] || return 0
		sleep 0.1
	done
	sed 's/^/# /' "$work/errors"
	ok "the server starts" false
	done_testing
}

guest() {
	"$AEGIS_SOURCE/tools/vm" run --net --timeout "${GUEST_SECONDS:-900}" --build /nonexistent --env "PORT=$port" \
		--add "$AEGIS_BUILD/tests/vm/nfs_mount:/usr/bin/nfs_mount" --add "$AEGIS_SOURCE/tests/vm/nfs/guest_lib:/guest_lib" "$@"
}

report() {
	local line
	while IFS= read -r line; do
		case $line in
		"ok - "*) tap_result 0 "${line#ok - }" ;;
		"not ok - "*) tap_result 1 "${line#not ok - }" ;;
		"#"*) echo "$line" ;;
		esac
	done
}

# The host waits for what a guest says in $work/out.
wait_for() { # LINE
	for _ in $(seq 3000); do
		! grep -qx "$1" "$work/out" || return 0
		sleep 0.1
	done
	return 1
}
