#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-only
# This implementation of Cedar beside the reference, the Rust crate. Cases that once differed are kept
# with the reference's answers in found.jsonl and need no Rust. New ones are generated with
# `tools/test --all`, for a minute; by hand, for as long as one likes:
#
#	cargo build --release --manifest-path tests/conformance/policy/cedar/oracle/Cargo.toml --target-dir DIR
#	AEGIS_BUILD=build/release tests/conformance/policy/cedar/diff.py run DIR/release/cedar-oracle --seconds 3600
. "$AEGIS_SOURCE/tests/tap.sh"

here=$AEGIS_SOURCE/tests/conformance/policy/cedar
export PYTHONDONTWRITEBYTECODE=1

ok "cases that once differed are answered as the reference does" "$here/diff.py" replay "$here/found.jsonl"

generated="generated cases are answered as the reference does"
case ${AEGIS_TEST_LEVEL:-} in
all | long)
	copy=$AEGIS_BUILD/oracle/source # cargo writes its lock file beside the manifest
	mkdir -p "$copy" && cp -r "$here/oracle/." "$copy"
	if ! command -v cargo >/dev/null; then
		skip "$generated" "no cargo on this machine"
	elif ! cargo build --quiet --release --manifest-path "$copy/Cargo.toml" \
		--target-dir "$AEGIS_BUILD/oracle" >"$AEGIS_BUILD/oracle/log" 2>&1; then
		skip "$generated" "the crate cedar-policy cannot be built: $(grep -m1 . "$AEGIS_BUILD/oracle/log")"
	else
		output=$("$here/diff.py" run "$AEGIS_BUILD/oracle/release/cedar-oracle" --seconds 60)
		printf '%s\n' "$output" | sed 's/^/# /'
		is "$generated" "${output##*cases, }" "0 differ"
	fi
	;;
*) skip "$generated" "takes minutes; tools/test --all runs it" ;;
esac
done_testing
