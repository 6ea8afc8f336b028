//! The files of a page as a server gives them out.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lapwing_http::{Files, Server};

use super::check_prepared;

/// Beside the folder that is served.
const SECRET: &str = "nobody may read this";

const PAGE: &str = "<!doctype html><p>ü";

/// A folder of this test's own, new each time.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        let folder = Self(path);
        folder.write("secret", SECRET);
        folder.write("page/index.html", PAGE);
        folder.write("page/script.js", "run()");
        folder.write("page/sub/index.html", "below");
        folder.write("page/sub/a b.css", "p {}");
        folder.write("page/empty.txt", "");
        folder.write("page/none/data", "\u{1}");
        folder.write("page/.git/config", SECRET);
        folder.write("page/.env", SECRET);
        folder
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a place to write");
        fs::write(&path, text).expect("a place to write");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs `test` against a server on each runtime, with the folder's page at `/` and all of it at `/all`.
fn check(name: &str, test: impl Fn(&str, &Folder)) {
    let folder = |server: &mut Server| {
        let folder = Folder::new(name);
        server.files("/", folder.0.join("page")).expect("a folder");
        server.files("/all/", &folder.0).expect("a folder");
        folder
    };
    check_prepared(
        folder,
        |options| options,
        |addr, folder| test(addr, &folder),
    );
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a text")
    }
}

fn request(line: &str, headers: &[&str]) -> String {
    let mut request = format!("{line} HTTP/1.1\r\nHost: hub.example\r\n");
    for header in headers.iter().chain(&["Connection: close"]) {
        request += &format!("{header}\r\n");
    }
    request + "\r\n"
}

fn hear(mut socket: TcpStream) -> Answer {
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = socket.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = answer.split_off(end.expect("a head") + 4);
    let head = String::from_utf8(answer).expect("a text");
    Answer {
        status: head[9..12].parse().expect("a number"),
        head,
        body,
    }
}

fn ask(addr: &str, line: &str, headers: &[&str]) -> Answer {
    let mut socket = TcpStream::connect(addr).expect("somebody listens");
    let request = request(line, headers);
    socket.write_all(request.as_bytes()).expect("it listens");
    hear(socket)
}

#[test]
fn files_are_served_with_what_they_are() {
    check("kinds", |addr, _| {
        for (path, kind, text) in [
            ("/", "text/html; charset=utf-8", PAGE),
            ("/index.html", "text/html; charset=utf-8", PAGE),
            ("/script.js?v=1", "text/javascript; charset=utf-8", "run()"),
            ("/sub/", "text/html; charset=utf-8", "below"),
            ("/sub/a%20b.css", "text/css; charset=utf-8", "p {}"),
            ("/empty.txt", "text/plain; charset=utf-8", ""),
            ("/none/data", "application/octet-stream", "\u{1}"),
            (
                "/all/page/script.js",
                "text/javascript; charset=utf-8",
                "run()",
            ),
        ] {
            let length = text.len().to_string();
            let got = ask(addr, &format!("GET {path}"), &["Range: bytes=1-2"]);
            assert_eq!((got.status, got.text()), (200, text), "{path}");
            let head = ask(addr, &format!("HEAD {path}"), &[]);
            assert_eq!((head.status, head.text()), (200, ""), "{path}");
            for answer in [got, head] {
                assert_eq!(answer.header("content-type"), Some(kind), "{path}");
                assert_eq!(answer.header("content-length"), Some(&*length), "{path}");
                assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            }
        }
        assert_eq!(ask(addr, "GET /health", &[]).text(), "ok");
        assert_eq!(ask(addr, "GET /hub", &[]).status, 400, "it is an endpoint");
    });
}

#[test]
fn a_folder_is_asked_for_with_a_slash() {
    check("folders", |addr, _| {
        for (path, to) in [
            ("/sub", "./sub/"),
            ("/sub?name=ann&a=//b", "./sub/?name=ann&a=//b"),
            ("/all", "./all/"),
            ("/all/page", "./page/"),
        ] {
            let answer = ask(addr, &format!("GET {path}"), &[]);
            assert_eq!((answer.status, answer.header("location")), (308, Some(to)));
            assert_eq!(answer.header("cache-control"), Some("no-cache"));
        }
        assert_eq!(ask(addr, "GET /none/", &[]).status, 404, "no index");
        assert_eq!(ask(addr, "GET /script.js/", &[]).status, 404, "no folder");
    });
}

#[test]
fn nothing_leads_out_of_the_folder() {
    check("out", |addr, folder| {
        #[cfg(unix)]
        {
            let link = |to: &str, name: &str| {
                std::os::unix::fs::symlink(to, folder.0.join("page").join(name)).expect("a link");
            };
            link("../secret", "out");
            link("..", "up");
            link(".env", "hidden");
            link("loop", "loop");
            link("script.js", "inside.js");
            assert_eq!(ask(addr, "GET /inside.js", &[]).text(), "run()");
        }
        for path in [
            "/../secret",
            "/..%2fsecret",
            "/%2e%2e/secret",
            "/%2e%2e%2fsecret",
            "/sub/../../secret",
            "/sub/%2e%2e/%2e%2e/secret",
            "/..%5csecret",
            "/.env",
            "/%2eenv",
            "/.git/config",
            "/sub/../.env",
            "//secret",
            "/out",
            "/up/secret",
            "/up/",
            "/hidden",
            "/secret%00",
            "/all/page/.env",
            "/all/../secret",
            "/allsecret",
            "/nothing",
            "/nothing/at/all",
            "/script.js/more",
        ] {
            let answer = ask(addr, &format!("GET {path}"), &[]);
            assert_eq!(answer.status, 404, "{path}");
            assert!(!answer.text().contains(SECRET), "{path}");
        }
        let answer = ask(addr, "GET /loop", &[]);
        assert!(matches!(answer.status, 404 | 503), "{}", answer.status);
        let long = format!("GET /{}", "x".repeat(5_000));
        assert_eq!(ask(addr, &long, &[]).status, 404);
    });
}

#[test]
fn other_methods_are_refused_and_so_is_a_request_with_two_hosts() {
    check("methods", |addr, _| {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = ask(addr, &format!("{method} /"), &["Content-Length: 0"]);
            assert_eq!(answer.status, 405, "{method}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
        assert_eq!(ask(addr, "GET /", &["Host: other"]).status, 400);
    });
}

#[test]
fn who_has_a_file_as_it_is_does_not_get_it_again() {
    check("tags", |addr, folder| {
        let first = ask(addr, "GET /", &[]);
        let tag = first.header("etag").expect("a tag");
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let status = |tags: &str| {
            let header = format!("If-None-Match: {tags}");
            let answers = ["GET /", "HEAD /"].map(|line| ask(addr, line, &[&header]));
            let has_body = !answers[0].body.is_empty();
            assert_eq!(has_body, answers[0].status == 200);
            assert!(answers.iter().all(|answer| answer.header("etag").is_some()));
            answers.map(|answer| answer.status)
        };
        for known in [
            tag,
            "*",
            &format!("\"x\", W/{tag}"),
            &format!("{tag},\"y\""),
        ] {
            assert_eq!(status(known), [304, 304], "{known}");
        }
        for other in ["\"x\"", "", "x*", &tag.replace('"', "")] {
            assert_eq!(status(other), [200, 200], "{other}");
        }
        // Another text of the same length, a moment later.
        let path = folder.write("page/index.html", PAGE.to_uppercase());
        let later = SystemTime::now() + Duration::from_secs(1);
        let file = fs::File::options()
            .write(true)
            .open(path)
            .expect("it is there");
        file.set_modified(later).expect("a time");
        assert_eq!(status(tag), [200, 200]);
        assert_eq!(ask(addr, "GET /", &[]).text(), PAGE.to_uppercase());
    });
}

/// Asks for a file that is larger than what sockets hold, and reads no more of it than its head.
fn ask_for_large(addr: &str, folder: &Folder) -> (TcpStream, PathBuf) {
    let path = folder.write("page/large", vec![b'x'; LARGE]);
    let mut socket = TcpStream::connect(addr).expect("somebody listens");
    let request = request("GET /large", &[]);
    socket.write_all(request.as_bytes()).expect("it listens");
    let mut begin = [0; 4];
    socket.peek(&mut begin).expect("an answer");
    (socket, path)
}

const LARGE: usize = 32 << 20;

#[test]
fn a_large_file_arrives_as_its_reader_takes_it_and_others_are_served_meanwhile() {
    check("large", |addr, folder| {
        let (socket, _) = ask_for_large(addr, folder);
        assert_eq!(ask(addr, "GET /script.js", &[]).text(), "run()");
        let answer = hear(socket);
        assert_eq!(answer.header("content-length"), Some(&*LARGE.to_string()));
        assert!(answer.body.len() == LARGE && answer.body.iter().all(|byte| *byte == b'x'));
    });
}

#[test]
fn an_answer_whose_file_becomes_shorter_is_broken_off() {
    check("shorter", |addr, folder| {
        let (socket, path) = ask_for_large(addr, folder);
        fs::write(path, "x").expect("it can be written");
        let answer = hear(socket);
        assert_eq!(answer.header("content-length"), Some(&*LARGE.to_string()));
        assert!(answer.body.len() < LARGE, "{}", answer.body.len());
    });
}

#[test]
fn there_has_to_be_a_folder() {
    let folder = Folder::new("none");
    let error = |path: &str| {
        Files::new(folder.0.join(path))
            .expect_err("no folder")
            .kind()
    };
    assert_eq!(error("nothing"), std::io::ErrorKind::NotFound);
    assert_eq!(error("secret"), std::io::ErrorKind::NotADirectory);
}
