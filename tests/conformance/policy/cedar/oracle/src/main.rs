// SPDX-License-Identifier: AGPL-3.0-only
//! Answers cases by the reference implementation: one JSON object a line on stdin, one on stdout.
//! answer.c says what a case and an answer hold.

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicyId,
    PolicySet, Request, Schema, SchemaFragment, SlotId, Template, ValidationMode,
    ValidationWarning, Validator,
};
use serde_json::{json, Map, Value};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::str::FromStr;

const LEVELS: u32 = 4;

fn uid(v: &Value) -> Option<EntityUid> {
    EntityUid::from_json(v.clone()).ok()
}

fn add_link(set: &mut PolicySet, link: &Value) -> Option<()> {
    let mut values = HashMap::new();
    for (slot, value) in link["values"].as_object()? {
        let id = if slot == "?principal" {
            SlotId::principal()
        } else {
            SlotId::resource()
        };
        values.insert(id, uid(value)?);
    }
    let template = PolicyId::new(link["templateId"].as_str()?);
    set.link(template, PolicyId::new(link["newId"].as_str()?), values)
        .ok()
}

fn sorted(ids: impl Iterator<Item = String>) -> Value {
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids.dedup();
    json!(ids)
}

fn validate(schema: &Schema, set: &PolicySet, answer: &mut Map<String, Value>) {
    let validator = Validator::new(schema.clone());
    let result = validator.validate(set, ValidationMode::Strict);
    let warned = |which: fn(&ValidationWarning) -> bool| {
        sorted(
            result
                .validation_warnings()
                .filter(|w| which(w))
                .map(|w| w.policy_id().to_string()),
        )
    };
    answer.insert("valid".into(), json!(result.validation_passed()));
    answer.insert(
        "wrong".into(),
        sorted(
            result
                .validation_errors()
                .map(|e| e.policy_id().to_string()),
        ),
    );
    answer.insert(
        "impossible".into(),
        warned(|w| matches!(w, ValidationWarning::ImpossiblePolicy(_))),
    );
    answer.insert(
        "inapplicable".into(),
        warned(|w| matches!(w, ValidationWarning::InvalidActionApplication(_))),
    );
    answer.insert(
        "turning".into(),
        warned(|w| {
            matches!(
                w,
                ValidationWarning::BidiCharsInString(_)
                    | ValidationWarning::BidiCharsInIdentifier(_)
            )
        }),
    );
    let levels: Vec<bool> = (0..LEVELS)
        .map(|level| {
            validator
                .validate_with_level(set, ValidationMode::Strict, level)
                .validation_passed()
        })
        .collect();
    answer.insert("levels".into(), json!(levels));
}

fn authorize(
    set: &PolicySet,
    entities: &Entities,
    schema: Option<&Schema>,
    request: &Value,
) -> Value {
    let parts = (
        uid(&request["principal"]),
        uid(&request["action"]),
        uid(&request["resource"]),
    );
    let (Some(principal), Some(action), Some(resource)) = parts else {
        return json!({"refused": "uid"});
    };
    let Ok(context) =
        Context::from_json_value(request["context"].clone(), schema.map(|s| (s, &action)))
    else {
        return json!({"refused": "context"});
    };
    let Ok(request) = Request::new(principal, action, resource, context, schema) else {
        return json!({"refused": "request"});
    };
    let response = Authorizer::new().is_authorized(&request, set, entities);
    json!({
        "allow": response.decision() == Decision::Allow,
        "reasons": sorted(response.diagnostics().reason().map(|id| id.to_string())),
        "errors": sorted(response.diagnostics().errors().map(|e| match e {
            AuthorizationError::PolicyEvaluationError(e) => e.policy_id().to_string(),
        })),
    })
}

fn requests(case: &Value, set: &PolicySet, schema: Option<&Schema>) -> Value {
    let Ok(entities) = Entities::from_json_value(case["entities"].clone(), schema) else {
        return json!("entities refused");
    };
    let none = Vec::new();
    let list = case["requests"].as_array().unwrap_or(&none);
    json!(list
        .iter()
        .map(|r| authorize(set, &entities, schema, r))
        .collect::<Vec<_>>())
}

fn load_schema(case: &Value, answer: &mut Map<String, Value>) -> Option<Schema> {
    let text = case["schema"].as_str()?;
    let schema = Schema::from_cedarschema_str(text).ok().map(|(s, _)| s);
    answer.insert("schema".into(), json!(schema.is_some()));
    if schema.is_some() {
        let form = SchemaFragment::from_cedarschema_str(text)
            .ok()
            .and_then(|(f, _)| f.to_json_value().ok());
        answer.insert("schema_json".into(), json!(form));
    }
    schema
}

/// JSON -> policy -> text -> policy -> JSON: what was written several ways becomes one.
fn again(text: &str) -> Value {
    if let Ok(p) = Policy::parse(None, text) {
        return json!(p.to_json().ok());
    }
    let template = Template::parse(None, text);
    json!(template.ok().and_then(|t| t.to_json().ok()))
}

fn answer_est(case: &Value, answer: &mut Map<String, Value>) {
    let set = PolicySet::from_json_value(case["est"].clone());
    answer.insert("accepted".into(), json!(set.is_ok()));
    if let Ok(set) = set {
        let mut all = Map::new();
        for p in set.policies() {
            let form = p.to_cedar().map(|text| again(&text)); // links have none
            all.insert(p.id().to_string(), json!(form));
        }
        for t in set.templates() {
            all.insert(t.id().to_string(), again(&t.to_cedar()));
        }
        answer.insert("again".into(), Value::Object(all));
        judge(case, &set, answer);
    }
}

/// What the policies say of the case's requests, and the schema, if there is one, of them.
fn judge(case: &Value, set: &PolicySet, answer: &mut Map<String, Value>) {
    let schema = load_schema(case, answer);
    if case["schema"].is_string() && schema.is_none() {
        return;
    }
    if let Some(s) = &schema {
        validate(s, set, answer);
    }
    answer.insert("requests".into(), requests(case, set, schema.as_ref()));
}

fn answer_schema(form: &Value, answer: &mut Map<String, Value>) {
    let accepted = Schema::from_json_value(form.clone()).is_ok();
    answer.insert("accepted".into(), json!(accepted));
    if !accepted {
        return;
    }
    let again = SchemaFragment::from_json_value(form.clone())
        .ok()
        .and_then(|f| f.to_cedarschema().ok())
        .and_then(|text| SchemaFragment::from_cedarschema_str(&text).ok())
        .and_then(|(f, _)| f.to_json_value().ok());
    answer.insert("schema".into(), json!(again));
}

fn answer(case: &Value) -> Value {
    let mut answer = Map::new();
    if !case["est"].is_null() {
        answer_est(case, &mut answer);
        return Value::Object(answer);
    }
    if !case["schema_json"].is_null() {
        answer_schema(&case["schema_json"], &mut answer);
        return Value::Object(answer);
    }
    let text = case["policies"].as_str().unwrap_or("");
    let parsed = PolicySet::from_str(text);
    answer.insert("parsed".into(), json!(parsed.is_ok()));
    let Ok(mut set) = parsed else {
        return Value::Object(answer);
    };
    let config = cedar_policy_formatter::Config::default();
    answer.insert(
        "formatted".into(),
        json!(cedar_policy_formatter::policies_str_to_pretty(text, &config).ok()),
    );
    let linked = case["links"].as_array().map_or(Some(()), |l| {
        l.iter().try_for_each(|v| add_link(&mut set, v))
    });
    answer.insert("linked".into(), json!(linked.is_some()));
    if linked.is_none() {
        return Value::Object(answer);
    }
    answer.insert("est".into(), json!(set.clone().to_json().ok()));
    judge(case, &set, &mut answer);
    Value::Object(answer)
}

fn main() {
    let worker = || {
        let mut out = std::io::stdout().lock();
        for line in std::io::stdin().lock().lines() {
            let line = line.expect("stdin is UTF-8");
            let reply = match serde_json::from_str::<Value>(&line) {
                Ok(case) => answer(&case),
                Err(e) => json!({"malformed": e.to_string()}),
            };
            writeln!(out, "{reply}").expect("stdout");
            out.flush().expect("stdout");
        }
    };
    // The reference recurses; it refuses what it has no stack for.
    let thread = std::thread::Builder::new().stack_size(256 * 1024 * 1024);
    thread
        .spawn(worker)
        .expect("a thread")
        .join()
        .expect("the worker");
}
