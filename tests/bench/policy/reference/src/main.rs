// SPDX-License-Identifier: AGPL-3.0-only
//! The shapes of cedar.c, decided by the reference implementation: one JSON object a line.

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use serde_json::json;
use std::fmt::Write;
use std::str::FromStr;
use std::time::Instant;

const REPEATS: usize = 3;
const LEAST: f64 = 0.3; // seconds

fn policies(rbac: bool, count: usize) -> PolicySet {
    let mut text = String::new();
    for i in 0..count {
        if rbac {
            writeln!(
                text,
                "permit(principal in Role::\"role{i}\", action in [Action::\"read\", \
                 Action::\"write\"], resource in Folder::\"folder{i}\");"
            )
        } else {
            writeln!(
                text,
                "permit(principal, action == Action::\"read\", resource is Doc) when {{ \
                 principal.department == \"d{i}\" && principal.level >= 3 && \
                 resource.owner != principal && context.mfa && \
                 context.ip.isInRange(ip(\"10.0.0.0/8\")) }};"
            )
        }
        .expect("a string grows");
    }
    PolicySet::from_str(&text).expect("the policies parse")
}

fn entities(last: usize) -> serde_json::Value {
    let role = format!("role{last}");
    let folder = format!("folder{last}");
    json!([
        {"uid": {"type": "User", "id": "alice"}, "attrs": {"department": format!("d{last}"), "level": 5},
         "parents": [{"type": "Role", "id": role}]},
        {"uid": {"type": "Doc", "id": "report"},
         "attrs": {"owner": {"__entity": {"type": "User", "id": "bob"}}},
         "parents": [{"type": "Folder", "id": folder}]},
        {"uid": {"type": "Role", "id": role}, "attrs": {}, "parents": []},
        {"uid": {"type": "Folder", "id": folder}, "attrs": {}, "parents": []}
    ])
}

fn request() -> Request {
    let uid = |s: &str| EntityUid::from_str(s).expect("a name");
    let context = json!({"mfa": true, "ip": {"__extn": {"fn": "ip", "arg": "10.1.2.3"}}});
    Request::new(
        uid("User::\"alice\""),
        uid("Action::\"read\""),
        uid("Doc::\"report\""),
        Context::from_json_value(context, None).expect("a context"),
        None,
    )
    .expect("a request")
}

/// Decisions per second, the best of some runs.
fn measure(mut decide: impl FnMut()) -> f64 {
    let mut best = 0.0f64;
    for _ in 0..REPEATS {
        let start = Instant::now();
        let mut n = 0u64;
        while start.elapsed().as_secs_f64() < LEAST {
            for _ in 0..8 {
                decide();
                n += 1;
            }
        }
        best = best.max(n as f64 / start.elapsed().as_secs_f64());
    }
    best
}

fn bench(rbac: bool, count: usize) {
    let shape = if rbac { "RBAC" } else { "ABAC" };
    let set = policies(rbac, count);
    let wire = entities(count - 1);
    let read = || Entities::from_json_value(wire.clone(), None).expect("entities");
    let (ready, question, authorizer) = (read(), request(), Authorizer::new());
    let prepared = measure(|| {
        let answer = authorizer.is_authorized(&question, &set, &ready);
        assert!(answer.decision() == Decision::Allow);
    });
    let from_json = measure(|| {
        let answer = authorizer.is_authorized(&request(), &set, &read());
        assert!(answer.decision() == Decision::Allow);
    });
    for (what, value) in [("authorize prepared", prepared), ("authorize from JSON values", from_json)] {
        println!("{}", json!({"name": format!("{what}, {shape}, {count} policies"), "value": value}));
    }
}

fn main() {
    for count in [1, 10, 100, 1_000, 10_000] {
        bench(true, count);
        bench(false, count);
    }
}
