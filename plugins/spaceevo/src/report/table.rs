//! Tables as comma-separated values.

/// A heading, and rows of as many cells.
pub(super) fn csv_text(
    heading: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<String, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(heading)?;
    for row in rows {
        table.write_record(row)?;
    }
    let bytes = table.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_cell() {
        let row = |name: &str, value: f64| vec![name.to_owned(), value.to_string()];
        let rows = [row("plain", 1.0), row("a, \"b\"", 2.5e-7)];
        let text = csv_text(&["name", "value"], rows).unwrap();
        assert_eq!(text, "name,value\nplain,1\n\"a, \"\"b\"\"\",0.00000025\n");
        assert!(csv_text(&["name"], [row("plain", 1.0)]).is_err(), "a cell too many");
    }
}
