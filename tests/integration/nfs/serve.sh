#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-only
# `aegis nfs serve` as a user sees it: what it prints, what it refuses, secret paths, policy, restart, port mapper.
. "$AEGIS_SOURCE/tests/tap.sh"
command -v nfs-ls >/dev/null || skip_all "nfs-ls is not installed (libnfs-utils)"
work=$(mktemp -d)
server=
rpcbind=
trap '[ -z "$server" ] || kill -9 "$server"; [ -z "$rpcbind" ] || kill "$rpcbind"; rm -rf "$work"' EXIT
program=$AEGIS_BUILD/bin/aegis

# Sets $server, $port and $path, so that it must not run in a subshell.
start() {
	: >"$work/out"
	"$program" nfs serve "$work/export" "$@" >"$work/out" 2>"$work/errors" &
	server=$!
	for _ in $(seq 600); do
		# The line with the path is the last one: the port's is there when it is.
		path=$(sed -n 's/^mount .* 127.0.0.1:\(\/[^ ]*\) MOUNTPOINT$/\1/p' "$work/out")
		port=$(sed -n 's/^serving .* on 127.0.0.1:\([0-9]*\).*/\1/p' "$work/out")
		[ -z "$path" ] || return 0
		kill -0 "$server" 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}

stop() { # SIGNAL
	kill "-$1" "$server"
	wait "$server" 2>/dev/null
	status=$?
	server=
}

url() { # PATH
	echo "nfs://127.0.0.1$1?version=3&nfsport=$port&mountport=$port"
}

copy() { nfs-cp "$1" "$(url "$path/$2")"; }
read_back() { nfs-cat "$(url "$path/$1")"; }

until_true() { # COMMAND...: within a minute
	for _ in $(seq 600); do
		! "$@" 2>/dev/null || return 0
		sleep 0.1
	done
	return 1
}

fails() { ! "$program" nfs serve "$work/export" "$@" >"$work/out" 2>"$work/errors"; }
hidden() { ! read_back "$1" >/dev/null 2>&1; }

mkdir "$work/export"
echo content >"$work/file"
start --state "$work/state"
ok "it starts" [ -n "$path" ]
is "its path is a secret of 32 digits" "$(echo "$path" | tr -d '0-9a-f')" /
is "which is that long" "${#path}" 33
ok "who knows it may mount" nfs-ls "$(url "$path")"
refused() { ! nfs-ls "$(url "$1")" 2>/dev/null; }
ok "who does not may not" refused /
ok "nor with another path" refused /0123456789abcdef0123456789abcdef
ok "a file is written" copy "$work/file" one
is "and is there" "$(cat "$work/export/one")" content
is "and is read" "$(read_back one)" content

old_path=$path
old_port=$port
stop KILL
start --state "$work/state" --listen "127.0.0.1:$old_port"
ok "it starts again after kill -9" [ -n "$path" ]
is "with the same path" "$path" "$old_path"
stop TERM
is "it ends well at SIGTERM" "$status" 0
start
ok "it starts without a state directory" [ -n "$path" ]
ok "with another path" [ "$path" != "$old_path" ]
stop INT
is "it ends well at SIGINT" "$status" 0

start --export /named
is "a named path is named" "$path" /named
ok "and said to be open" grep -q '^open: ' "$work/out"
stop TERM

start --records "$work/records" --window 0
ok "it starts with records" [ -n "$path" ]
copy "$work/file" recorded
read_back recorded >/dev/null
rm "$work/export/recorded"
stop TERM
record() { grep "\"operation\":\"$1\",\"path\":\"recorded\"" "$work/records"; }
ok "a record of the file made" record FileCreated
is "of each byte written" "$(record FileWritten | sed 's/.*"bytes":\([0-9]*\),.*/\1/' | awk '{ n += $1 } END { print n }')" 8
ok "and of what was read" record FileRead
ok "a window that is none is refused" fails --window soon

start --read-only
denied() { ! copy "$work/file" two 2>/dev/null && [ ! -e "$work/export/two" ]; }
ok "a read-only one is read" nfs-ls "$(url "$path")"
ok "and refuses to write" denied
stop TERM

cat >"$work/policy" <<'EOF'
permit (principal, action == Action::"fs:read", resource);
EOF
start --policy "$work/policy"
if [ -n "$path" ]; then
	is "a policy that permits reading lets read" "$(read_back one)" content
	ok "and nothing else" denied
	echo 'permit (principal, action, resource); forbid (principal, action, resource) when { resource in Path::"/one" };' \
		>"$work/policy"
	kill -HUP "$server"
	until_true copy "$work/file" two
	ok "after SIGHUP another policy holds" cmp "$work/file" "$work/export/two"
	ok "which denies what the former permitted" hidden one
	echo 'permit (' >"$work/policy"
	kill -HUP "$server"
	until_true grep -q 'goes on to hold' "$work/errors"
	ok "one with a mistake is refused, with its place" grep -q 'line [0-9]* column' "$work/errors"
	ok "and changes nothing" hidden one
	rm "$work/export/two"
	stop TERM
else
	sed 's/^/# /' "$work/errors"
	ok "it starts with a policy" false
fi
echo 'permit (' >"$work/policy"
ok "a policy that cannot be read is refused" fails --policy "$work/policy"
ok "with its place" grep -q 'line [0-9]* column' "$work/errors"
echo 'forbid (principal, action == Action::"fs:wriet", resource);' >"$work/policy"
ok "a policy that is not valid is refused" fails --policy "$work/policy"
ok "with what may be meant" grep -q 'did you mean Action::"fs:write"' "$work/errors"
ok "a directory that is not there is refused" fails "$work/none"
ok "an address that is none is refused" fails --listen 300.1.1.1
ok "an export path without a slash is refused" fails --export named

# Everything of its own, the port mapper's sockets too.
in_namespace() {
	unshare --net --mount bash -c "mount -t tmpfs tmpfs /run && mkdir /run/rpcbind && ip link set lo up && { rpcbind -f & } &&
		rpcbind=\$! && sleep 0.5 && { '$program' nfs serve '$work/export' --portmap >/dev/null & } && server=\$! &&
		for i in \$(seq 50); do sleep 0.1; rpcinfo -p 127.0.0.1 | grep -q 100005 && break; done
		rpcinfo -p 127.0.0.1 >'$work/there'; kill \$server; wait \$server
		rpcinfo -p 127.0.0.1 >'$work/gone'; kill \$rpcbind"
}
if [ "$(id -u)" = 0 ] && command -v rpcbind >/dev/null; then
	in_namespace >/dev/null 2>&1
	is "--portmap registers both programs" "$(awk '$1 == 100003 || $1 == 100005 {print $1, $2, $3}' "$work/there" | sort)" \
		"$(printf '100003 3 tcp\n100005 3 tcp')"
	is "and takes them back" "$(grep -c -E '10000(3|5)' "$work/gone")" 0
else
	skip "--portmap registers both programs" "rpcbind is not installed, or this is not root"
fi
done_testing
