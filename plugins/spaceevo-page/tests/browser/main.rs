//! The page in a browser whose network leads nowhere, in light, dark and on a phone: nothing is asked for,
//! nothing is complained about, and what is drawn is where the data says. Pictures are left in
//! `target/tmp`.

#[path = "../common.rs"]
mod common;
mod devtools;

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use common::{compared, compared_page, data, data_of_run, hostile_compared, hostile_data, page};
use devtools::Browser;
use serde_json::Value;

const DESK: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

/// A folder for a page, a browser's files and pictures.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A page on the disk, and a browser.
fn opened(name: &str, page: &str) -> (Browser, PathBuf) {
    let folder = folder(name);
    let file = folder.join("report.html");
    fs::write(&file, page).unwrap();
    (Browser::start(&folder.join("browser")), file)
}

/// Opens the page in every way, and leaves a picture of each.
fn looked_at(browser: &mut Browser, file: &Path) {
    for (view, size, scheme) in
        [("light", DESK, "light"), ("dark", DESK, "dark"), ("phone", PHONE, "light")]
    {
        browser.open(&format!("file://{}", file.display()), size, scheme);
        let width = browser.value("document.documentElement.scrollWidth");
        assert!(width.as_u64().unwrap() <= u64::from(size.0), "{view}: {width} pixels wide");
        let picture = BASE64_STANDARD.decode(browser.picture(size.0)).unwrap();
        fs::write(file.with_file_name(format!("{view}.png")), picture).unwrap();
    }
}

/// Every mark whose place is not that of its value; how many there are.
const PLACES: &str = r#"(() => {
    const wrong = [];
    let count = 0;
    for (const chart of document.querySelectorAll("svg[data-scales]")) {
        const [x, y] = chart.dataset.scales.split(";").map((scale) => scale.split(",").map(Number));
        const place = ([low, high, from, to], value) => from + (value - low) / (high - low) * (to - from);
        for (const mark of chart.querySelectorAll("[data-x]")) {
            const [left, top] = mark.getAttribute("transform").match(/-?[\d.]+/g).map(Number);
            const off = [left - place(x, +mark.dataset.x), top - place(y, +mark.dataset.y)];
            if (off.some((distance) => !(Math.abs(distance) <= 0.06))) wrong.push(mark.outerHTML);
            count += 1;
        }
    }
    for (const chart of document.querySelectorAll("svg[data-unit]")) {
        for (const bar of chart.querySelectorAll("[data-length]")) {
            const length = Math.max(1, Math.abs(bar.dataset.length) * chart.dataset.unit);
            if (!(Math.abs(bar.getAttribute("width") - length) <= 0.06)) wrong.push(bar.outerHTML);
            count += 1;
        }
    }
    return [wrong, count];
})()"#;

/// All numbers that are shown or drawn, with their places in the data.
const NUMBERS: &str = r#"[...document.querySelectorAll("[data-path], [data-x-path], [data-y-path]")].flatMap(
    ({ dataset }) => [[dataset.path, dataset.value], [dataset.xPath, dataset.x], [dataset.yPath, dataset.y]]
).filter(([path]) => path).map(([path, value]) => [path, Number(value)])"#;

fn at<'v>(data: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(data, |value, name| match name.parse::<usize>() {
        Ok(index) if value.is_array() => &value[index],
        _ => &value[name],
    })
}

/// That at least so many marks are where their values belong, and twice as many numbers are those of the data.
fn agrees(browser: &mut Browser, data: &Value, least: usize) {
    let places = browser.value(PLACES);
    assert_eq!(places[0], Value::Array(Vec::new()), "not where their values are");
    assert!(places[1].as_u64().unwrap() > least as u64, "{}", places[1]);
    let numbers = browser.value(NUMBERS);
    let numbers = numbers.as_array().unwrap();
    assert!(numbers.len() > 2 * least, "{}", numbers.len());
    for shown in numbers {
        let path = shown[0].as_str().unwrap();
        assert_eq!(at(data, path).as_f64(), shown[1].as_f64(), "{path}");
    }
}

#[test]
#[cfg_attr(not(spacewright_long), ignore = "SPACEWRIGHT_TEST_LONG asks for tests in a browser")]
fn a_whole_study() {
    let data = data();
    let (mut browser, file) = opened("whole", &page(&data));
    looked_at(&mut browser, &file);
    agrees(&mut browser, &data, 50);
    assert!(browser.value("performance.now()").as_f64().unwrap() < 10_000.0);
    assert_eq!(browser.complaints("file://"), [""; 0]);
}

#[test]
#[cfg_attr(not(spacewright_long), ignore = "SPACEWRIGHT_TEST_LONG asks for tests in a browser")]
fn a_study_without_extra_steps() {
    let data = data_of_run();
    let (mut browser, file) = opened("run", &page(&data));
    looked_at(&mut browser, &file);
    agrees(&mut browser, &data, 50);
    assert_eq!(browser.complaints("file://"), [""; 0]);
}

#[test]
#[cfg_attr(not(spacewright_long), ignore = "SPACEWRIGHT_TEST_LONG asks for tests in a browser")]
fn a_hostile_study_does_nothing() {
    let (mut browser, file) = opened("hostile", &page(&hostile_data()));
    looked_at(&mut browser, &file);
    let elements = "document.querySelectorAll('script, img').length";
    assert_eq!(browser.value(elements), 1, "the page's own script");
    assert_eq!(browser.complaints("file://"), [""; 0]);
}

#[test]
#[cfg_attr(not(spacewright_long), ignore = "SPACEWRIGHT_TEST_LONG asks for tests in a browser")]
fn several_studies_side_by_side() {
    let data = compared();
    let (mut browser, file) = opened("compared", &compared_page(&data));
    looked_at(&mut browser, &file);
    agrees(&mut browser, &data, 30);
    assert_eq!(browser.complaints("file://"), [""; 0]);

    let (mut browser, file) = opened("hostile-compared", &compared_page(&hostile_compared()));
    looked_at(&mut browser, &file);
    assert_eq!(browser.value("document.querySelectorAll('script, img').length"), 1);
    assert_eq!(browser.complaints("file://"), [""; 0]);
}

#[test]
#[cfg_attr(not(spacewright_long), ignore = "SPACEWRIGHT_TEST_LONG asks for tests in a browser")]
fn keys_and_buttons_work() {
    let (mut browser, file) = opened("keys", &page(&data()));
    browser.open(&format!("file://{}", file.display()), DESK, "light");
    let press = |key: &str| {
        format!(
            "(() => {{ const chart = document.querySelector('#accuracy-latency svg'); chart.focus(); \
             chart.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }})); \
             return [document.getElementById('tip').hidden, document.getElementById('tip').textContent, \
             location.hash]; }})()"
        )
    };
    let shown = browser.value(&press("ArrowRight"));
    assert!(shown[0] == false && shown[1].as_str().unwrap().contains("network 0, INT8"), "{shown}");
    assert_eq!(browser.value(&press("Enter"))[2], "#network-0");
    assert_eq!(browser.value(&press("Escape"))[0], true);
    let sort = "(() => { const table = document.querySelector('#verification table'); \
                const button = table.querySelectorAll('th button')[1]; button.click(); button.click(); \
                return [...table.tBodies[0].rows].map((row) => \
                Number(row.cells[1].querySelector('[data-value]').dataset.value)); })()";
    let sorted: Vec<f64> = serde_json::from_value(browser.value(sort)).unwrap();
    assert!(sorted.len() > 1 && sorted.is_sorted_by(|a, b| a >= b), "{sorted:?}");
    let saved = "new Promise((done) => { const make = URL.createObjectURL; \
                 URL.createObjectURL = (blob) => { blob.text().then(done); return make(blob); }; \
                 document.querySelector('#accuracy-latency .save-svg').click(); })";
    let svg = browser.value(saved);
    assert!(svg.as_str().unwrap().starts_with("<svg") && svg.as_str().unwrap().contains("<style"));
    assert_eq!(browser.complaints("file://"), [""; 0]);
}
