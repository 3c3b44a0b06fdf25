//! Renders a page from its data as JSON, such as `tests/study.json`, to look at changes without a run:
//! `cargo run -p spacewright-spaceevo-page --example render data.json page.html`.

use std::{env, error::Error, fs};

use spacewright_spaceevo_page::{PageData, page};

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = env::args().skip(1).collect();
    let [data, to] = &files[..] else { return Err("name the data and the page".into()) };
    let data: PageData = serde_json::from_str(&fs::read_to_string(data)?)?;
    Ok(fs::write(to, page(&data))?)
}
