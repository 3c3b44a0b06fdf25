//! The page of a run: written by it, opened on request, and no reason for a finished study to fail.

use std::{env, fs, os::unix::fs::PermissionsExt, path::Path, slice};

use super::{Place, check_schema, tiny};

/// A program in place of the one that opens files: it notes what it was asked to open.
fn opener(folder: &Path, noted: &Path) {
    let path = folder.join("xdg-open");
    fs::write(&path, format!("#!/bin/sh\nprintf %s \"$1\" > '{}'\n", noted.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_run_has_a_page_that_opens() {
    let place = Place::new();
    let (stdout, _) = place.finish(&["run"]);
    let page = place.run_folder().join("report.html");
    assert!(stdout.contains(&format!("page: {}", page.display())), "{stdout}");
    let text = fs::read_to_string(&page).unwrap();
    assert_eq!(text.matches("<section ").count(), 12);
    assert!(text.contains("id=\"strip-0\"") && text.contains("spacewright bench plain"), "{text}");
    let commands = text.split("<code>spacewright ").skip(1);
    let commands = commands.map(|rest| rest.split("</code>").next().unwrap());
    let of_the_run: Vec<&str> = commands.filter(|typed| !typed.starts_with("profile ")).collect();
    assert!(of_the_run.len() >= 6, "{of_the_run:?}");
    assert!(of_the_run.iter().all(|typed| typed.ends_with(" --threads 1")), "{of_the_run:?}");

    // The step that makes the report says what the whole run says.
    assert_eq!(place.finish(&["report"]).0, stdout);
    let [by_run, report] = ["run", "report"].map(|command| place.finish(&[command, "--json"]).0);
    assert_eq!(report, by_run);
    check_schema("report.json", slice::from_ref(&serde_json::from_str(&report).unwrap()));

    let programs = place.folder.path().join("programs");
    let noted = place.folder.path().join("opened");
    fs::create_dir(&programs).unwrap();
    opener(&programs, &noted);
    let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
    let mut command = place.command(&["report", "--open"], &tiny());
    let output = command.env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&noted).unwrap(), page.display().to_string());
    assert_eq!(fs::read_to_string(&page).unwrap(), text, "nothing has changed");

    // In the way of the page lies a folder, which cannot be replaced.
    fs::remove_file(&page).unwrap();
    fs::create_dir(&page).unwrap();
    let (stdout, stderr) = place.finish(&["run"]);
    assert!(stderr.contains("the page of the run cannot be written"), "{stderr}");
    assert!(!stdout.contains("page: "), "{stdout}");
}
