//! Pages as text: what they hold, what they may not hold, and that their numbers are those of the data.

mod common;

use common::{compared, compared_page, data, data_of_run, hostile_compared, hostile_data, page};
use serde_json::Value;

/// The parts, in order.
const PARTS: [&str; 12] = [
    "verdict",
    "front",
    "int8",
    "space",
    "networks",
    "verification",
    "search",
    "proxy",
    "latency",
    "curves",
    "time",
    "origin",
];

/// Those of the page of several studies.
const COMPARED_PARTS: [&str; 7] =
    ["verdict", "fronts", "matched", "spaces", "networks", "costs", "origin"];

/// The value at a path such as `report.budgets.0.int8_ms`.
fn at<'v>(data: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(data, |value, name| match name.parse::<usize>() {
        Ok(index) if value.is_array() => &value[index],
        _ => &value[name],
    })
}

/// All values of an attribute, in order.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let start = format!(" {name}=\"");
    page.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The number at the beginning of a shown text, without the spaces between its digits.
fn number(text: &str) -> f64 {
    let text = text.replace('\u{202f}', "").replace('−', "-");
    text.split(' ').next().unwrap().trim_end_matches('×').parse().unwrap()
}

#[test]
fn all_parts_are_there_in_order() {
    for data in [data(), data_of_run()] {
        let page = page(&data);
        let places = PARTS.map(|part| page.find(&format!("<section id=\"{part}\"")).expect(part));
        assert!(places.is_sorted());
        assert!(page.matches("<figure").count() >= 8);
        assert_eq!(page.matches("<figure").count(), page.matches("data:text/csv").count());
    }
}

#[test]
fn all_parts_of_a_comparison_are_there_in_order() {
    let page = compared_page(&compared());
    let places =
        COMPARED_PARTS.map(|part| page.find(&format!("<section id=\"{part}\"")).expect(part));
    assert!(places.is_sorted());
    assert!(page.contains("at equal accuracy") && page.contains("no difference is shown"));
    // Two fronts, two of differences, the spaces and what they cost.
    assert_eq!(page.matches("<figure").count(), 6);
    assert_eq!(page.matches("data:text/csv").count(), 6);
}

#[test]
fn every_number_is_that_of_the_data() {
    assert!(numbers(&data(), &page(&data())) > 60);
    assert!(numbers(&compared(), &compared_page(&compared())) > 40);
}

/// How many shown numbers are those of the data, as all must be.
fn numbers(data: &Value, page: &str) -> usize {
    let mut checked = 0;
    for shown in page.split("<span class=\"n\" data-path=\"").skip(1) {
        let (path, rest) = shown.split_once("\" data-value=\"").unwrap();
        let (value, rest) = rest.split_once("\" data-scale=\"").unwrap();
        let (scale, rest) = rest.split_once("\">").unwrap();
        let text = rest.split("</span>").next().unwrap();
        let kept = at(data, path).as_f64().unwrap_or_else(|| panic!("no number at {path}"));
        let value: f64 = value.parse().unwrap();
        assert_eq!(value, kept, "{path}");
        let scaled = value * scale.parse::<f64>().unwrap();
        let digits = number_digits(text);
        let most = 0.5001 * 10f64.powi(-digits);
        assert!((number(text) - scaled).abs() <= most, "{path}: {text} is not {scaled}");
        checked += 1;
    }
    checked
}

/// Digits behind the point of a shown number.
fn number_digits(text: &str) -> i32 {
    let number = text.split(' ').next().unwrap();
    number.split_once('.').map_or(0, |(_, digits)| digits.len() as i32)
}

#[test]
fn every_drawn_point_is_that_of_the_data() {
    assert!(drawn(&data(), &page(&data())) > 100);
    assert!(drawn(&compared(), &compared_page(&compared())) > 30);
}

/// How many drawn values are those of the data, as all must be.
fn drawn(data: &Value, page: &str) -> usize {
    let mut checked = 0;
    for (value, path) in
        [("data-x", "data-x-path"), ("data-y", "data-y-path"), ("data-length", "data-length-path")]
    {
        for mark in page.split("class=\"mark").skip(1) {
            let mark = mark.split('>').next().unwrap();
            let mark = format!(" {mark}");
            let (values, paths) = (attributes(&mark, value), attributes(&mark, path));
            let (Some(value), Some(path)) = (values.first(), paths.first()) else { continue };
            let (sign, path) = path.strip_prefix('-').map_or((1.0, *path), |path| (-1.0, path));
            let kept = at(data, path).as_f64().unwrap_or_else(|| panic!("no number at {path}"));
            assert_eq!(value.parse::<f64>().unwrap(), sign * kept, "{path}");
            checked += 1;
        }
    }
    checked
}

#[test]
fn blocks_that_the_teacher_flatters_are_named() {
    let mut data = common::data();
    let own = data["report"]["choices"][0]["block"].clone();
    let words = |data: &Value| page(data).contains("blocks itself, like");
    assert!(!words(&data));
    data["report"]["teacher_block"] = own;
    assert!(words(&data));
    data["report"]["teacher_block"] = "another".into();
    assert!(!words(&data));
}

#[test]
fn what_is_lacking_has_its_command() {
    let data = data_of_run();
    let page = page(&data);
    let file = data["study"]["file"].as_str().unwrap();
    for step in ["plain", "proxy", "spaces"] {
        let command = format!("<code>spacewright bench {step} {file} --threads 1</code>");
        assert!(page.contains(&command), "{step}");
    }
    assert!(!self::page(&common::data()).contains("class=\"lacking\""));
}

#[test]
fn nothing_is_loaded() {
    for page in [page(&data()), page(&data_of_run()), compared_page(&compared())] {
        for reference in ["http://", "https://", " src=", "@import", "url(", "<link", "<iframe"] {
            assert!(!page.contains(reference), "{reference}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn the_page_is_small() {
    assert!(page(&data()).len() < 1_500_000);
}

#[test]
fn hostile_names_are_text() {
    harmless(&page(&data()), &page(&hostile_data()));
    harmless(&compared_page(&compared()), &compared_page(&hostile_compared()));
}

/// That names do nothing in a page: it has the tags of one with honest names.
fn harmless(honest: &str, hostile: &str) {
    for tag in ["<script", "</script", "<img", "<title", "</title", "<style", "onerror=\""] {
        assert_eq!(hostile.matches(tag).count(), honest.matches(tag).count(), "{tag}");
    }
    assert!(!hostile.contains(['\u{202e}', '\u{0}']), "what is invisible is written out");
    assert!(hostile.contains("&lt;script&gt;alert(1)"));
    assert!(hostile.contains("\\u{202e}"));
    // A link of a name stays within the page, or beside it.
    for link in attributes(hostile, "href") {
        assert!(["#", "data:text/csv", "./"].iter().any(|kind| link.starts_with(kind)), "{link}");
    }
    // No cell of a spreadsheet computes.
    for file in attributes(hostile, "href").iter().filter(|link| link.starts_with("data:")) {
        for start in ["%0A%3D", "%0A%2B", "%0A%40", ",%3D", ",%2B", ",%40", "%22%3D"] {
            assert!(!file.contains(start), "{start} in {file}");
        }
    }
}

#[test]
fn identifiers_are_unique_and_links_lead_somewhere() {
    let pages = [page(&data()), page(&hostile_data()), compared_page(&compared())];
    for page in pages {
        let ids = attributes(&page, "id");
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ids.len());
        for link in attributes(&page, "href").iter().filter_map(|link| link.strip_prefix('#')) {
            assert!(ids.contains(&link), "{link}");
        }
    }
}

#[test]
fn a_study_without_networks_has_a_page() {
    let mut data = data_of_run();
    data["report"]["budgets"] = Value::Array(Vec::new());
    data["networks"] = Value::Array(Vec::new());
    data["history"] = Value::Array(Vec::new());
    data["sums"] = Value::Array(Vec::new());
    let page = page(&data);
    assert!(page.contains("No network of the space keeps to a budget"));
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn studies_without_networks_can_be_compared() {
    let mut data = compared();
    for study in data["report"]["studies"].as_array_mut().unwrap() {
        study["networks"] = Value::Array(Vec::new());
    }
    for matched in data["report"]["matched"].as_array_mut().unwrap() {
        matched["limits"] = Value::Array(Vec::new());
    }
    let page = compared_page(&data);
    assert!(page.contains("At no latency have two studies a network each"));
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}
