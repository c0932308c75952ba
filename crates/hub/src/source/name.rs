//! The forms of names: paths, hub ids and revisions.

use crate::error::{HubError, Result};

/// Whether a name can only be meant as a path.
pub(crate) fn looks_like_path(name: &str) -> bool {
    name.starts_with(['.', '/', '~'])
        || name.contains('\\')
        || name.matches('/').count() > 1
        || name.ends_with('/')
}

/// Checks that a name is a hub id, `organisation/name` or `name`, and returns it.
pub(crate) fn parse_hub_id(name: &str) -> Result<&str> {
    let problem = if name.is_empty() {
        Some("it is empty")
    } else if name.len() > 96 {
        Some("it is longer than 96 characters")
    } else if !name.bytes().all(|byte| is_name_byte(byte) || byte == b'/') {
        Some("it has characters other than letters, digits, `-`, `_`, `.` and one `/`")
    } else if name.contains("--") || name.contains("..") {
        Some("it contains `--` or `..`")
    } else if name
        .split('/')
        .any(|part| part.is_empty() || part.starts_with(['.', '-']) || part.ends_with(['.', '-']))
    {
        Some("a part is empty, or begins or ends with `.` or `-`")
    } else {
        None
    };
    match problem {
        Some(problem) => Err(HubError::InvalidModelName { name: name.chars().take(100).collect(), problem }),
        None => Ok(name),
    }
}

/// Checks that a revision is fit for an address and for a file name, and returns it.
pub(crate) fn check_revision(revision: &str) -> Result<&str> {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_name_byte);
    if revision.len() <= 255 && revision.split('/').all(is_part) {
        return Ok(revision);
    }
    Err(HubError::InvalidRevision { revision: revision.chars().take(100).collect() })
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_have_at_most_one_slash_and_plain_characters() {
        for good in ["gpt2", "openai-community/gpt2", "meta-llama/Llama-3.2-1B", "a_b/c.d"] {
            assert_eq!(parse_hub_id(good).unwrap(), good);
        }
        for bad in ["", "a b", "a/", "/a", "a--b", "a..b", "-a/b", "a/b.", "ä", "a?b"] {
            assert!(parse_hub_id(bad).is_err(), "{bad}");
        }
        assert!(looks_like_path("models/a/b") && looks_like_path("./gpt2") && !looks_like_path("a/b"));
    }

    #[test]
    fn revisions_cannot_leave_their_folder() {
        for good in ["main", "refs/pr/1", "v1.0", "607a30d783dfa663caf39e06633721c8d4cfcd7e"] {
            assert!(check_revision(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "a/../b", "/a", "a//b", "a b", "a?b", ".hidden"] {
            assert!(check_revision(bad).is_err(), "{bad}");
        }
    }
}
