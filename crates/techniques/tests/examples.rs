//! The table of examples is about the examples that there are.

use std::fs;

#[test]
fn every_example_stands_in_the_table_and_every_row_is_an_example() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let table = fs::read_to_string(format!("{folder}/README.md")).unwrap();
    let mut rows: Vec<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned()))
        .collect();
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    rows.sort();
    files.sort();
    assert_eq!(rows, files);
}
