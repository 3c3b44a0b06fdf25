//! What tests of pages share: the data of a study and of several, and of some whose names are hostile.

use serde_json::Value;
use spacewright_spaceevo_page::{ComparePageData, PageData};

/// What a hostile study calls everything.
pub const HOSTILE: &str =
    "</title></script><script>alert(1)</script>\"><img src=x onerror=alert(1)>'\u{202e}\u{0}=1+1\n";

/// A small study that was run; the reports of extra steps, the trace of its search, shapes of blocks and a rival are made
/// up, in the form that the program writes.
pub fn data() -> Value {
    serde_json::from_str(include_str!("study.json")).unwrap()
}

/// The same without what extra steps found.
pub fn data_of_run() -> Value {
    let mut data = data();
    for report in ["plain", "proxy", "spaces"] {
        data[report] = Value::Null;
    }
    data["traces"] = Value::Array(Vec::new());
    data
}

/// The same with the hostile name before every name.
pub fn hostile_data() -> Value {
    let mut data = data();
    rename(&mut data, "");
    data
}

/// Three small studies that were run and compared, for two targets and for both.
pub fn compared() -> Value {
    serde_json::from_str(include_str!("compared.json")).unwrap()
}

/// The same with the hostile name before every name.
pub fn hostile_compared() -> Value {
    let mut data = compared();
    rename(&mut data, "");
    data
}

/// The page of several studies.
pub fn compared_page(data: &Value) -> String {
    spacewright_spaceevo_page::compare_page(
        &serde_json::from_value::<ComparePageData>(data.clone()).unwrap(),
    )
}

/// Fields of fixed words, which are no names.
const WORDS: [&str; 6] = ["kind", "share", "part", "device", "precision", "verdict"];

fn rename(value: &mut Value, field: &str) {
    match value {
        Value::String(text) if !WORDS.contains(&field) && !is_space(text) => {
            *text = format!("{HOSTILE}{text}");
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, field)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| rename(value, name)),
        _ => {}
    }
}

/// Encodings of spaces are read again, and cannot have other characters.
fn is_space(text: &str) -> bool {
    text.starts_with("mini-") || text.starts_with("tiny-") && text.len() == "tiny-00-00".len()
}

/// The page of data as JSON.
pub fn page(data: &Value) -> String {
    spacewright_spaceevo_page::page(&serde_json::from_value::<PageData>(data.clone()).unwrap())
}
