#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-only
# libnfs's own tests, a client that shares no code with us, against `aegis nfs serve`. AEGIS_TESTDATA names the
# folder of test data, in which "libnfs" is a checkout; what is built from it stays in the build.
. "$AEGIS_SOURCE/tests/tap.sh"
source=${AEGIS_TESTDATA:-$AEGIS_SOURCE/../shared/testdata}/libnfs
[ -d "$source/tests" ] || skip_all "$source is not there (AEGIS_TESTDATA names the folder; github.com/sahlberg/libnfs)"
build=$AEGIS_BUILD/nfs/libnfs

if [ ! -x "$build/tests/prog_utimes" ]; then
	mkdir -p "$build"
	(cd "$build" && env CFLAGS=-w cmake "$source" -DENABLE_TESTS=ON -DENABLE_UTILS=ON && cmake --build . -j2) \
		>"$build/log" 2>&1 || skip_all "libnfs cannot be built here (log: $build/log)"
	find "$build" -name 'prog_*' -type f -perm /111 ! -path '*/tests/*' -exec cp {} "$build/tests/" \;
fi

work=$(mktemp -d)
server=
tshark=
trap '[ -z "$server" ] || kill "$server"; [ -z "$tshark" ] || kill "$tshark"; rm -rf "$work"' EXIT
mkdir -p "$work/tests" "$work/export"
chmod 755 "$work"
cp "$source"/tests/*.sh "$work/tests/"
find "$build" -name 'prog_*' -type f -perm /111 -exec cp {} "$work/tests/" \;
mkdir "$work/utils"
find "$build" -name 'nfs-*' -type f -perm /111 -exec cp {} "$work/utils/" \;
ln -s "$work/export" "$work/tests/testdata"
export LD_LIBRARY_PATH=$build/lib

set --
[ "$(id -u)" != 0 ] || set -- --posix
"$AEGIS_BUILD/bin/aegis" nfs serve "$work/export" --export "$work/export" "$@" >"$work/server" 2>&1 &
server=$!
for _ in $(seq 600); do
	port=$(sed -n 's/.* on 127.0.0.1:\([0-9]*\).*/\1/p' "$work/server" | head -n 1)
	[ -z "$port" ] || break
	sleep 0.1
done
[ -n "$port" ] || {
	sed 's/^/# /' "$work/server"
	ok "the server starts" false
	done_testing
}

if command -v tshark >/dev/null && [ "$(id -u)" = 0 ]; then
	tshark -q -i lo -f "tcp port $port" -w "$work/pcap" 2>"$work/tshark" &
	tshark=$!
	for _ in $(seq 300); do
		[ ! -s "$work/pcap" ] || break
		sleep 0.1
	done
fi

# Where a test names the server without a port, libnfs would ask the portmapper for it.
ports="?version=3\&nfsport=$port\&mountport=$port"
sed -i "/version=/!s|\(\\\${TESTURL}[a-z/]*\)\"|\1$ports\"|" "$work"/tests/test_*.sh

cat >"$work/tests/functions.sh" <<EOF
TESTDIR=$work/export
TESTSHARE="127.0.0.1:\${TESTDIR}"
TESTURL="nfs://127.0.0.1\${TESTDIR}"
VERS="3&nfsport=$port&mountport=$port"
start_share() { find "\${TESTDIR}" -mindepth 1 -delete; }
stop_share() { find "\${TESTDIR}" -mindepth 1 -delete; }
success() { echo "[OK]"; }
failure() { echo "[FAILED]"; exit 1; }
EOF

run_one() { (cd "$work/tests" && timeout 60 bash "$1"); }
# Nothing is denied to root.
run_as_nobody() {
	chown -R 65534:65534 "$work/export"
	(cd "$work/tests" && timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups bash "$1")
}
for path in "$work"/tests/test_*.sh; do
	name=$(basename "$path")
	case $name in
	*valgrind*) continue ;; # they look for leaks of libnfs itself
	*discover*) skip "$name" "it asks the portmapper, on port 111, for the server" ;;
	*access*)
		if [ "$(id -u)" = 0 ]; then
			ok "$name" run_as_nobody "$name"
		else
			ok "$name" run_one "$name"
		fi
		;;
	*) ok "$name" run_one "$name" ;;
	esac
done
ok "the server has survived it all" kill -0 "$server"

# A second decoder, which shares no code either: it must understand every reply, of nearly every procedure.
replies() { tshark -r "$work/pcap" -d "tcp.port==$port,rpc" -Y "rpc.msgtyp == 1 && ($1)" -T fields -e nfs.procedure_v3; }
if [ -n "$tshark" ]; then
	sleep 1
	kill "$tshark"
	wait "$tshark" 2>/dev/null
	tshark=
	is "tshark finds no malformed reply" "$(replies _ws.malformed 2>/dev/null | wc -l)" 0
	procedures=$(replies nfs 2>/dev/null | sort -u | wc -l)
	ok "it has seen replies of $procedures procedures, 19 at least" [ "$procedures" -ge 19 ]
else
	skip "tshark finds no malformed reply" "tshark is not installed, or this is not root, who may capture"
fi
done_testing
