#!/bin/sh
# SPDX-License-Identifier: AGPL-3.0-only
# tests/conformance/run on folders that are not as one would wish: it reads on behind whatever is broken, and
# its last line counts it.
. "$AEGIS_SOURCE/tests/tap.sh"

run=$AEGIS_SOURCE/tests/conformance/run
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
who='"principal":{"type":"U","id":"a"},"action":{"type":"Action","id":"v"},"resource":{"type":"U","id":"b"}'
good='{"name":"good","policies":"permit(principal,action,resource);","requests":[{'$who',"decision":"allow"}]}'

counts() {
	output=$("$run" cedar "$dir") || true
	printf '%s\n' "$output" | sed 's/^/# /'
	printf '%s\n' "$output" | tail -n 1
}
last() {
	rm -rf "${dir:?}"/*
	mkdir -p "$dir/deeper/still"
	cat >"$dir/deeper/still/cases.jsonl"
	counts >"$dir/out"
	tail -n 1 "$dir/out"
}

is "no case at all" "$(last </dev/null)" "0 passed, 0 failed"
is "what a case need not have, a member that nobody knows, null for none, blank lines" "$(last <<END
$good

{"name":"sparse","policies":"","requests":[]}
{"name":"validation alone","policies":"permit(principal,action,resource);","schema":"entity U; action v appliesTo {principal: U, resource: U};","shouldValidate":true}
{"name":"more","kind":"authz","odd":{"x":[1]},"policies":"forbid(principal,action,resource);","schema":null,"entities":null,"est":null,"requests":[{$who,"context":null,"decision":"deny","reason":["policy0"],"errors":[],"odd":1}]}
{"name":"schema in JSON only","policies":"permit(principal,action,resource);","schemaJson":{"":{"entityTypes":{"U":{}},"actions":{"v":{"appliesTo":{"principalTypes":["U"],"resourceTypes":["U"]}}}}},"shouldValidate":true,"requests":[{$who,"validateRequest":true,"decision":"allow"}]}
{"name":"set","kind":"policyset","text":"permit(principal,action,resource);","accept":true}
{"name":"expression","kind":"expr","text":"1 == 1","accept":true}
{"name":"EST","kind":"est","json":{"effect":"permit","principal":{"op":"All"},"action":{"op":"All"},"resource":{"op":"All"},"conditions":[]},"accept":true,"text":null}
{"name":"no text","kind":"est","json":{"effect":"permit","principal":{"op":"All"},"action":{"op":"All"},"resource":{"op":"All"},"conditions":[{"kind":"when","body":{"Value":{"__extn":{"fn":"nope","arg":"x"}}}}]},"accept":true,"text":"permit(principal, action, resource) when { nope(\"x\") };"}
{"name":"schema","kind":"schema","text":"entity U;","accept":true}
{"name":"JSON","kind":"schema_json","json":{},"accept":true}
{"name":"entities","kind":"entities_json","json":[],"accept":true}
{"name":"another kind","kind":"poem"}
END
)" "12 passed, 0 failed"
is "lines that are no case of any kind fail one by one" "$(last <<END
$good
{"name":"cut
[]
{"kind":"authz"}
{"kind":"policyset"}
{"kind":"est","accept":true}
{"kind":"schema_json","accept":true}
{"kind":"entities_json","accept":true}
{"name":"undecided","policies":"permit(principal,action,resource);","requests":[{$who}]}
{"name":"no list","policies":"permit(principal,action,resource);","requests":7}
$good
END
)" "2 passed, 8 failed"
is "a case that ends the program" "$(last <<END
$good
{"kind":"kill the runner"}
$good
{"kind":"kill the runner"}
END
)" "2 passed, 2 failed"

deep=$(yes '{"!":{"arg":' | head -n 70 | tr -d '\n')1$(yes '}}' | head -n 70 | tr -d '\n')
chain=$(yes 'true && ' | head -n 90 | tr -d '\n')true
is "policies whose JSON is nested deeper than it is read" "$(last <<END
{"kind":"policyset","text":"permit(principal,action,resource) when { $chain };","accept":true,"n_static":1,"est":[$deep],"est_templates": [$deep],"n_templates":0}
{"kind":"policyset","text":"permit(principal,action,resource) when { $chain };","accept":false,"est":[$deep]}
{"kind":"est","json":$deep,"accept":true}
END
)" "1 passed, 2 failed"
is "thousands" "$(yes "$good" | head -n 3000 | last)" "3000 passed, 0 failed"

rm -rf "${dir:?}"/*
printf '%s\n' "$good" >"$dir/b.jsonl"
printf 'no gzip' >"$dir/a.jsonl.gz"
printf '%s\n%s\n' "$good" "$good" | gzip | head -c 40 >"$dir/c.jsonl.gz"
ln -s nowhere "$dir/d.jsonl"
printf '{"name":"\377"}\n' >"$dir/e.jsonl"
printf '{}' >"$dir/MANIFEST.json"
printf '%s\n' '{"kind":"schema","name":"\u00e9 \u6f22","text":"entity","accept":true}' >"$dir/$(printf '\303\251').jsonl"
is "files that cannot be read, names in other alphabets" "$(PYTHONIOENCODING=ascii counts | tail -n 1)" \
	"1 passed, 5 failed"

printf '{"keys":' >"$dir/cut.json"
is "vectors that are no JSON" "$("$run" smcp "$dir/cut.json" 2>/dev/null | tail -n 1)" "0 passed, 1 failed"
is "vectors that are not there" "$("$run" smcp "$dir/none" 2>/dev/null | tail -n 1)" "0 passed, 1 failed"
cat >"$dir/odd.json" <<END
{"format": 2, "odd": [1], "rfc8032": [{"name": "no hexadecimal", "public_hex": "xyz", "valid": true}],
 "envelopes": [{"envelope_text": "{}", "accept": true, "odd": 1}, {"accept": false}, {}, 7],
 "canonical": [{"payload_text": "{}"}], "jwt": "none", "scope_evaluation": {"cases": [{"tool": "x"}]}}
END
is "vectors without what they need" "$("$run" smcp "$dir/odd.json" | tail -n 1)" "3 passed, 4 failed"
done_testing
