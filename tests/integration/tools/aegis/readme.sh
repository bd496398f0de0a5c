#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-only
# The commands under "Going on" in README.md, as they stand there, on a machine whose /etc, /run and /var/lib are this
# test's own.
set -u
source=${AEGIS_SOURCE:?} build=${AEGIS_BUILD:?}
if [ "${1:-}" != inside ]; then
	exec unshare --mount "$0" inside
fi
# shellcheck source=tests/tap.sh
. "$source/tests/tap.sh"
place=$(mktemp -d /tmp/aegis-readme.XXXXXX)
mount --make-rprivate /
mount -t tmpfs -o mode=755 aegis-readme "$place" || exit 1
mkdir "$place/etc" "$place/work"
if ! mount -t overlay -o "lowerdir=/etc,upperdir=$place/etc,workdir=$place/work" aegis-readme /etc; then
	skip_all "this machine mounts no overlay"
fi
mount -t tmpfs -o mode=755 aegis-readme /run && mount -t tmpfs -o mode=755 aegis-readme /var/lib || exit 1
fence=$(printf "\140\140\140")
commands=$(sed -n '/^## Going on/,/^## /p' "$source/README.md" | sed -n "/^$fence/,/^$fence/p" |
	grep -v "^$fence" | grep -v '^export PATH')
cd "$source" || exit 1
output=$(PATH=$build/bin:$PATH bash -e -c "$commands" 2>&1 </dev/null)
status=$?
PATH=$build/bin:$PATH aegis daemon stop --all >/dev/null 2>&1
ok "the commands of the README end with 0" [ "$status" -eq 0 ]
ok "the agent has done its work" grep -q '29' <<<"$output"
ok "the journal is proven with the key that was kept" grep -q 'newest proven by an anchor' <<<"$output"
ok "the daemon is stopped" grep -q 'aegisd stopped' <<<"$output"
[ "$status" -eq 0 ] || printf '%s\n' "$output" | sed 's/^/# /'
cd / || exit 1
umount -l /var/lib /run /etc "$place"
rmdir "$place"
done_testing
