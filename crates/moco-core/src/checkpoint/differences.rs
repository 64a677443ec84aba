//! Differences between two configurations.

use serde::Serialize;
use serde_json::Value;

/// Settings in which two configurations differ, as `key: was OLD, is NEW` with keys joined by dots, without those that
/// `may_differ` allows. Works on any serialisable type.
pub fn differences(old: &impl Serialize, new: &impl Serialize, may_differ: impl Fn(&str) -> bool) -> Vec<String> {
    let value = |v: serde_json::Result<Value>| v.unwrap_or(Value::Null);
    let mut found = Vec::new();
    compare("", &value(serde_json::to_value(old)), &value(serde_json::to_value(new)), &mut found);
    found.retain(|(key, _)| !may_differ(key));
    found.into_iter().map(|(key, change)| format!("{key}: {change}")).collect()
}

fn compare(key: &str, old: &Value, new: &Value, found: &mut Vec<(String, String)>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for name in keys {
                let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                compare(&inner, a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null), found);
            }
        }
        _ if old == new => (),
        _ => found.push((key.to_owned(), format!("was {old}, is {new}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_named_and_exceptions_left_out() {
        let old = json!({"epochs": 20, "moco": {"k": 4096, "m": 0.999}, "gone": 1});
        let new = json!({"epochs": 30, "moco": {"k": 1024, "m": 0.999}, "fresh": [1]});
        let found = differences(&old, &new, |key| key == "epochs");
        assert_eq!(found, ["fresh: was null, is [1]", "gone: was 1, is null", "moco.k: was 4096, is 1024"]);
        assert!(differences(&old, &old, |_| false).is_empty());
    }
}
