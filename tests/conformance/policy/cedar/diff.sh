#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-only
# This implementation of Cedar beside the reference, the Rust crate. Cases that once differed are kept
# with the reference's answers in found.jsonl and need no Rust. `tools/test --all` generates some
# thousands, always the same; `--long` others for ten minutes; and by hand, for as long as one likes:
#
#	cargo build --release --manifest-path tests/conformance/policy/cedar/oracle/Cargo.toml --target-dir DIR
#	AEGIS_BUILD=build/release tests/conformance/policy/cedar/diff.py run DIR/release/cedar-oracle --seconds 3600
#
# AEGIS_CEDAR_ORACLE names an oracle that has been made already.
. "$AEGIS_SOURCE/tests/tap.sh"

here=$AEGIS_SOURCE/tests/conformance/policy/cedar
export PYTHONDONTWRITEBYTECODE=1

ok "cases that once differed are answered as the reference does" "$here/diff.py" replay "$here/found.jsonl"

generated="generated cases are answered as the reference does"
oracle=${AEGIS_CEDAR_ORACLE:-$AEGIS_BUILD/oracle/release/cedar-oracle}

# Makes the oracle, or says in $reason why it cannot be made.
make_oracle() {
	[ -z "${AEGIS_CEDAR_ORACLE:-}" ] || return 0
	copy=$AEGIS_BUILD/oracle/source # cargo writes its lock file beside the manifest
	mkdir -p "$copy" && cp -r "$here/oracle/." "$copy"
	reason="no cargo on this machine"
	command -v cargo >/dev/null || return 1
	timeout 1200 cargo build --quiet --release --manifest-path "$copy/Cargo.toml" \
		--target-dir "$AEGIS_BUILD/oracle" >"$AEGIS_BUILD/oracle/log" 2>&1 && return
	reason="the crate cedar-policy cannot be built: $(grep -m1 . "$AEGIS_BUILD/oracle/log" || echo timeout)"
	return 1
}

case ${AEGIS_TEST_LEVEL:-} in
all) bound="--seed 1 --cases 3000 --seconds 300" ;;
long) bound="--seconds 600" ;;
*) bound= ;;
esac

if [ -z "$bound" ]; then
	skip "$generated" "takes minutes; tools/test --all runs it"
elif ! make_oracle; then
	skip "$generated" "$reason"
else
	# shellcheck disable=SC2086 # several arguments
	output=$("$here/diff.py" run "$oracle" $bound)
	printf '%s\n' "$output" | sed 's/^/# /'
	is "$generated" "${output##*cases, }" "0 differ"
fi
done_testing
