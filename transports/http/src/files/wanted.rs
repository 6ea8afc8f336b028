//! Which file the path of a request means.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// A file in a folder, or a folder in it whose index is meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// From the folder on, and never out of it.
    pub(super) path: PathBuf,
    /// The path ends with a slash.
    pub(super) index: bool,
}

impl Wanted {
    /// What is meant by the path of a request; `None` when that can be nothing of the folder's.
    pub(super) fn new(path: &str) -> Option<Self> {
        let index = path.ends_with('/');
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = match path.strip_suffix('/') {
            // Of two slashes neither ends a path.
            Some("") => return None,
            inside => inside.unwrap_or(path),
        };
        let path = match path {
            // The folder itself.
            "" => PathBuf::new(),
            path => path.split('/').map(name).collect::<Option<_>>()?,
        };
        Some(Self { path, index })
    }
}

/// The name that a segment of a path stands for.
fn name(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    let is_sound = |letter: char| !matches!(letter, '/' | '\\' | ':') && !letter.is_control();
    let is_name = !name.is_empty() && !is_hidden(&name) && name.chars().all(is_sound);
    is_name.then(|| name.into_owned())
}

/// Whether a name, or one of those in a path, is not for everybody; among them are those that lead out of a folder.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Whether nothing on the way from the folder is hidden.
pub(super) fn is_open(path: &Path) -> bool {
    let mut names = path.components();
    names.all(|name| !is_hidden(&name.as_os_str().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_asked_for_is_below_the_folder(pieces in prop::collection::vec(
            prop::sample::select(vec!["/", ".", "%2e", "%2F", "\\", "%5c", ":", "%00", "a", "%61", "%", "é"]), 0..12,
        )) {
            if let Some(wanted) = Wanted::new(&pieces.concat()) {
                let mut parts = wanted.path.components();
                prop_assert!(parts.all(|part| matches!(part, Component::Normal(_))), "{wanted:?}");
                prop_assert!(is_open(&wanted.path), "{wanted:?}");
            }
        }
    }

    #[test]
    fn paths_mean_files_or_indexes() {
        for (path, file, index) in [
            ("", "", false),
            ("/", "", true),
            ("/a.js", "a.js", false),
            ("/a/b%20c.js", "a/b c.js", false),
            ("/a/", "a", true),
            ("/%C3%BC/%25", "ü/%", false),
            ("/a..b", "a..b", false),
        ] {
            let path = Wanted::new(path);
            let file = PathBuf::from(file);
            assert_eq!(path, Some(Wanted { path: file, index }));
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        for path in [
            "//",
            "//a",
            "/a//b",
            "/..",
            "/../a",
            "/a/..",
            "/a/../b",
            "/%2e%2e/a",
            "/.%2E/a",
            "/.",
            "/./a",
            "/.git/config",
            "/a/.env",
            "/%2egit",
            "/a%2fb",
            "/..%2fa",
            "/a%5cb",
            "/..%5ca",
            "/c:",
            "/a%00",
            "/a%0a",
            "/%ff",
            "//etc/passwd",
            "/%2fetc",
        ] {
            assert_eq!(Wanted::new(path), None, "{path}");
        }
    }
}
