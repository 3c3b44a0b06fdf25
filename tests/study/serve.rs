//! Live pages: what the server shows while a study runs and after it was killed, and to whom.

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{Place, kill, tiny};

#[path = "../../plugins/spaceevo-page/tests/browser/devtools.rs"]
mod devtools;

/// Longest that anything may take here.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server of the runs of a place.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let runs = place.folder.path().join("runs");
        fs::create_dir_all(&runs).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_spacewright"))
            .arg("serve")
            .arg(&runs)
            .args(arguments)
            .arg("--json")
            .env("SPACEWRIGHT_HOME", place.home())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut text = String::new();
        for line in lines {
            text += &line;
            if line == "}" {
                break;
            }
        }
        let told: Value = serde_json::from_str(&text).unwrap();
        Self { process, address: told["address"].as_str().unwrap().to_owned() }
    }

    /// Where it listens, as `127.0.0.1:PORT`.
    fn host(&self) -> &str {
        self.address.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    fn connect(&self, path: &str, host: &str, more: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let end = "Connection: close\r\n\r\n";
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}{end}").unwrap();
        stream
    }

    /// Head and body of an answer.
    fn answer(&self, path: &str, host: &str, more: &str) -> (String, String) {
        let mut answer = String::new();
        self.connect(path, host, more).read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn page(&self, path: &str) -> String {
        let (head, body) = self.answer(path, self.host(), "");
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        body
    }

    fn status(&self, path: &str) -> String {
        let (head, _) = self.answer(path, self.host(), "");
        head.split(' ').nth(1).unwrap().to_owned()
    }

    /// Reads what a page is told until a part of this name holds a text.
    fn heard(&self, path: &str, part: &str, text: &str) -> String {
        self.listen(path).until(part, text)
    }

    fn listen(&self, path: &str) -> Listener {
        Listener { lines: BufReader::new(self.connect(path, self.host(), "")).lines() }
    }
}

/// A page that is open.
struct Listener {
    lines: Lines<BufReader<TcpStream>>,
}

impl Listener {
    /// Reads on until a part of this name holds a text.
    fn until(&mut self, part: &str, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        for line in self.lines.by_ref().map_while(Result::ok) {
            assert!(Instant::now() < until, "{part} never held {text:?}");
            let Some(changes) = line.strip_prefix("data: ") else { continue };
            let changes: Vec<[String; 3]> = serde_json::from_str(changes).unwrap();
            let found =
                changes.into_iter().find(|[_, id, markup]| id == part && markup.contains(text));
            if let Some([_, _, markup]) = found {
                return markup;
            }
        }
        panic!("{part} never held {text:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const HERE: [&str; 2] = ["--listen", "127.0.0.1:0"];

#[test]
fn a_run_is_shown_while_it_goes_on() {
    let place = Place::new();
    let server = Server::start(&place, &HERE);
    assert!(server.page("/").contains("No run yet"));
    let mut run = place.command(&["run"], &tiny());
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    server.heard("/events", "list", "running");
    let now = server.heard("/runs/tiny/events", "now-part", "teach</li>");
    assert!(now.contains(">running</span>") && now.contains("<progress"), "{now}");
    server.heard("/runs/tiny/events", "curves-of-teach", "training loss");
    server.heard("/runs/tiny/events", "front-part", "no other one beats");
    let now = server.heard("/runs/tiny/events", "now-part", "All steps are finished");
    assert_eq!(now.matches("class=\"finished\"").count(), 12, "{now}");
    assert!(run.wait().unwrap().success());

    let page = server.page("/runs/tiny/");
    assert_eq!(page.matches("<section ").count(), 4);
    for id in ["curves-of-distil", "curves-of-train", "loss-finetune", "timeline", "networks"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    let (head, report) = server.answer("/runs/tiny/report.html", server.host(), "");
    assert!(head.contains("content-security-policy: sandbox"), "{head}");
    assert_eq!(report, fs::read_to_string(place.run_folder().join("report.html")).unwrap());
    assert!(server.page("/").contains("runs/tiny/report.html"));
}

#[test]
fn a_killed_run_shows_as_such() {
    let place = Place::new();
    assert!(place.kill_in("measure", Duration::from_millis(10)));
    // The system may take a moment to free what the process held.
    let server = Server::start(&place, &HERE);
    server.heard("/events", "list", ">killed</span>");
    let mut page = server.listen("/runs/tiny/events");
    page.until("now-part", "its process ended without a word");

    // The page that is open shows the one that takes its place.
    fs::remove_dir_all(place.run_folder()).unwrap();
    let mut run = place.command(&["run"], &tiny());
    let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    page.until("curves-of-teach", "training loss");
    kill(run);
}

/// Files of a run that are opened to look at it.
const FILES: [&str; 5] = ["study.json", "run.sqlite", "run.sqlite-wal", "run.sqlite-shm", "lock"];

#[test]
fn links_and_pipes_among_the_files_of_a_run_are_not_opened() {
    let place = Place::new();
    assert!(place.kill_in("measure", Duration::from_millis(10)));
    let runs = place.folder.path().join("runs");
    let lay = |kind: &str, name: &str, to: &str| {
        let run = format!("{kind}-{name}");
        let folder = runs.join(&run);
        fs::create_dir(&folder).unwrap();
        for name in FILES.iter().filter(|name| place.run_folder().join(name).exists()) {
            fs::copy(place.run_folder().join(name), folder.join(name)).unwrap();
        }
        let _ = fs::remove_file(folder.join(name));
        match kind {
            "link" => symlink(Path::new("../tiny").join(to), folder.join(name)).unwrap(),
            _ => assert!(Command::new("mkfifo").arg(folder.join(name)).status().unwrap().success()),
        }
        run
    };
    let kinds = ["link", "pipe"];
    let mut hidden = Vec::new();
    for kind in kinds {
        hidden.extend(FILES.map(|name| lay(kind, name, name)));
    }
    let without_report = kinds.map(|kind| lay(kind, "report.html", "run.sqlite"));
    let server = Server::start(&place, &HERE);
    let list = server.page("/");
    for run in &hidden {
        assert!(!list.contains(run), "{run}");
        for page in ["", "events", "report.html"] {
            assert_eq!(server.status(&format!("/runs/{run}/{page}")), "404", "{run}/{page}");
        }
    }
    for run in &without_report {
        assert!(list.contains(run) && !list.contains(&format!("{run}/report.html")), "{run}");
        server.page(&format!("/runs/{run}/"));
        assert_eq!(server.status(&format!("/runs/{run}/report.html")), "404", "{run}");
    }
}

#[test]
fn only_runs_are_shown_and_only_to_whom_they_may_be() {
    let place = Place::new();
    let runs = place.folder.path().join("runs");
    let outside = place.folder.path().join("outside");
    for folder in [runs.join("a run"), outside.clone()] {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("study.json"), r#"{ "method": "spaceevo", "target": "t" }"#).unwrap();
        fs::write(folder.join("report.html"), "a secret").unwrap();
    }
    symlink(&outside, runs.join("link")).unwrap();
    fs::remove_file(runs.join("a run/report.html")).unwrap();
    symlink(outside.join("report.html"), runs.join("a run/report.html")).unwrap();
    let server = Server::start(&place, &HERE);
    for path in [
        "/runs/link/",
        "/runs/link/report.html",
        "/runs/a%20run/report.html",
        "/runs/a%20run/study.json",
        "/runs/..%2foutside/report.html",
        "/runs/../outside/report.html",
        "/runs/%2e%2e/report.html",
        "/runs/./report.html",
        "/runs//report.html",
        "/runs/%00/",
        "/etc/passwd",
    ] {
        assert_eq!(server.status(path), "404", "{path}");
    }
    let (head, body) = server.answer("/", "evil.example", "");
    assert!(head.starts_with("HTTP/1.1 403 ") && body.contains("--host NAME"), "{head} {body}");

    let open = Server::start(&place, &["--listen", "0.0.0.0:0"]);
    let token = open.address.split_once("?token=").unwrap().1;
    let (refused, why) = open.answer("/", open.host(), "");
    assert!(refused.starts_with("HTTP/1.1 401 ") && why.contains("token"), "{refused} {why}");
    let (kept, _) = open.answer(&format!("/?token={token}"), open.host(), "");
    assert!(kept.starts_with("HTTP/1.1 303 ") && kept.contains("location: /\r\n"), "{kept}");
    let cookie = kept.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert!(open.answer("/", open.host(), &cookie).0.starts_with("HTTP/1.1 200 "));
    // A browser would take the first part for another server.
    for path in ["//evil.example/", "/\\evil.example/"] {
        let (kept, _) = open.answer(&format!("{path}?token={token}"), open.host(), "");
        assert!(kept.contains("location: /evil.example/\r\n"), "{kept}");
    }
    let mut named = Command::new(env!("CARGO_BIN_EXE_spacewright"));
    let output = named.arg("serve").arg(&runs).args(["--host", "gpu:7788"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && stderr.contains("without `http://`"), "{stderr}");
}

#[test]
fn a_place_that_is_taken_is_said() {
    let place = Place::new();
    let first = Server::start(&place, &HERE);
    let runs = place.folder.path().join("runs");
    let mut second = Command::new(env!("CARGO_BIN_EXE_spacewright"));
    second.arg("serve").arg(&runs).args(["--listen", first.host()]);
    let output = second.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("cannot listen at"), "{stderr}");
    assert!(stderr.contains("hint: `--listen 127.0.0.1:0`"), "{stderr}");
    let mut nowhere = Command::new(env!("CARGO_BIN_EXE_spacewright"));
    let output = nowhere.args(["serve", "/nowhere/runs"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(first.status("/"), "200", "it still answers");
}

/// What a hostile run is called, as far as a folder can be called so.
const HOSTILE: &str = "<img src=x onerror=alert(1)>'\"&\u{202e}";

/// Opens pages in light, dark and on a phone, and leaves pictures of them in `target/tmp`.
#[test]
#[cfg_attr(not(spacewright_long), ignore = "SPACEWRIGHT_TEST_LONG asks for tests in a browser")]
fn pages_change_in_a_browser_by_themselves() {
    let place = Place::new();
    let server = Server::start(&place, &HERE);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mut browser = devtools::Browser::start(&folder.join("browser"));
    let address = server.address.clone();
    browser.open(&address, (1280, 900), "light");
    let holds = |text: &str| {
        format!(
            "new Promise((done) => {{ const look = () => document.body.innerText.includes('{text}') \
             ? done(true) : setTimeout(look, 100); look(); }})"
        )
    };
    browser.value(&holds("No run yet"));

    let hostile = place.folder.path().join("runs").join(HOSTILE);
    let mut run = place.command(&["run"], &tiny());
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    browser.value(&holds("1 of them running"));
    let page = format!("{address}runs/tiny/");
    browser.open(&page, (1280, 900), "light");
    browser.value(&holds("teach: training loss"));
    browser.value(&holds("no other one beats"));
    browser.value(&holds("All steps are finished"));
    assert!(run.wait().unwrap().success());
    let marks = browser.value("document.querySelectorAll('#networks .mark').length");
    assert!(marks.as_u64().unwrap() > 1, "{marks}");

    fs::create_dir_all(&hostile).unwrap();
    for name in ["study.json", "run.sqlite"] {
        fs::copy(place.run_folder().join(name), hostile.join(name)).unwrap();
    }
    for (name, at, size, scheme) in [
        ("run-light", &page, (1280, 900), "light"),
        ("run-dark", &page, (1280, 900), "dark"),
        ("run-phone", &page, (390, 844), "light"),
        ("list-light", &address, (1280, 900), "light"),
        ("list-phone", &address, (390, 844), "dark"),
    ] {
        browser.open(at, size, scheme);
        browser.value(&holds("tiny"));
        let width = browser.value("document.documentElement.scrollWidth");
        assert!(width.as_u64().unwrap() <= u64::from(size.0), "{name}: {width} pixels wide");
        let picture = BASE64_STANDARD.decode(browser.picture(size.0)).unwrap();
        fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }
    assert_eq!(
        browser.value("document.querySelectorAll('img, script:not(body > script)').length"),
        0
    );
    let link = "document.querySelector('td a[href*=\"onerror\"]').href";
    let link = browser.value(link);
    browser.open(link.as_str().unwrap(), (1280, 900), "light");
    browser.value(&holds("onerror"));
    assert_eq!(browser.value("document.querySelectorAll('img').length"), 0);
    assert_eq!(browser.complaints(&address), [""; 0]);
}
