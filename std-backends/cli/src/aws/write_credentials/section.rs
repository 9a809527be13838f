//! One section of AWS's shared credentials file, changed where it stands.
//!
//! The rules are those of Python's `configparser`, with which botocore and the AWS CLI read it: a line that is
//! indented further than its key continues its value, comments begin a line, names of keys have no case.

use zeroize::Zeroizing;

/// The most octets of the file.
pub(super) const LIMIT: usize = 1 << 20;

/// A key that is written.
pub(super) struct Entry<'a> {
    pub(super) key: &'static str,
    pub(super) value: &'a str,
    /// Only where it stands already.
    pub(super) replace_only: bool,
}

/// What a line is.
enum Line<'a> {
    /// A section's head, with its name.
    Head(&'a [u8]),
    /// A key, in lower case, and how many octets come before its value; without one where no delimiter is.
    Key(Vec<u8>, Option<usize>),
    /// More of the value before it.
    More,
    /// A blank line or a comment.
    Other,
}

/// The file with `entries` in the section `name`, which comes last when there was none. Everything else stays
/// as it is.
pub(super) fn with(
    file: &[u8],
    name: &str,
    entries: &[Entry<'_>],
) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let lines: Vec<(&[u8], Line<'_>)> = lines(file);
    let heads = lines.iter().filter(|(_, line)| is_head(line, name)).count();
    if heads > 1 {
        return Err("has the section twice; tools do not agree on which counts: remove one");
    }
    let end_of_line: &[u8] = match lines.first() {
        Some((first, _)) if first.ends_with(b"\r\n") => b"\r\n",
        _ => b"\n",
    };
    // All at once: a vector that grows leaves secrets behind.
    let size = file.len() + entries.iter().map(|e| e.key.len() + e.value.len() + 64).sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(size + name.len() + 64));
    let mut written = vec![false; entries.len()];
    // Where missing keys go, and how the section's keys are indented.
    let (mut place, mut indent) = (None, Vec::new());
    let (mut inside, mut replaced) = (false, false);
    for (text, line) in &lines {
        if let Line::Head(_) = line {
            if inside && indent.is_empty() {
                // No key stands here: a new one that is indented less would swallow this head as its value.
                indent = indentation(text);
            }
            inside = is_head(line, name);
        }
        if !inside {
            out.extend_from_slice(text);
            continue;
        }
        let found = match line {
            Line::Key(key, _) => entries.iter().position(|entry| entry.key.as_bytes() == *key),
            // The rest of a value that is no longer there.
            Line::More if replaced => continue,
            _ => None,
        };
        if !matches!(line, Line::Other) {
            replaced = found.is_some();
        }
        match (found, line) {
            (Some(at), Line::Key(_, before)) => {
                let (Some(entry), Some(written)) = (entries.get(at), written.get_mut(at)) else {
                    continue;
                };
                if core::mem::replace(written, true) {
                    continue; // A second time: which counts is not agreed on either.
                }
                match before.and_then(|before| text.get(..before)) {
                    Some(before) => out.extend_from_slice(before),
                    None => {
                        out.extend(indentation(text));
                        out.extend([entry.key.as_bytes(), b" = "].concat());
                    }
                }
                out.extend_from_slice(entry.value.as_bytes());
                out.extend_from_slice(ending(text).unwrap_or(end_of_line));
            }
            _ => out.extend_from_slice(text),
        }
        if let Line::Key(..) = line {
            indent = indentation(text);
        }
        if !matches!(line, Line::Other) {
            place = Some(out.len());
        }
    }
    let place = place.unwrap_or_else(|| {
        end_line(&mut out, end_of_line);
        if !out.is_empty() && !lines.last().is_some_and(|(text, _)| text.trim_ascii().is_empty()) {
            out.extend_from_slice(end_of_line);
        }
        out.extend([b"[", name.as_bytes(), b"]", end_of_line].concat());
        out.len()
    });
    let rest = Zeroizing::new(out.split_off(place));
    for (entry, written) in entries.iter().zip(written) {
        if !written && !entry.replace_only {
            end_line(&mut out, end_of_line);
            out.extend_from_slice(&indent);
            for part in [entry.key.as_bytes(), b" = ", entry.value.as_bytes(), end_of_line] {
                out.extend_from_slice(part);
            }
        }
    }
    out.extend_from_slice(&rest);
    Ok(out)
}

fn is_head(line: &Line<'_>, name: &str) -> bool {
    matches!(line, Line::Head(head) if *head == name.as_bytes())
}

/// Ends the last line, if nothing does.
fn end_line(out: &mut Vec<u8>, end_of_line: &[u8]) {
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.extend_from_slice(end_of_line);
    }
}

/// The end of a line, if it has one.
fn ending(line: &[u8]) -> Option<&[u8]> {
    [&b"\r\n"[..], b"\n"].into_iter().find(|end| line.ends_with(end))
}

const fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t')
}

/// What a line is indented by, in blanks.
fn indentation(line: &[u8]) -> Vec<u8> {
    let blank = |c: &u8| if is_blank(*c) { *c } else { b' ' };
    line.iter().take_while(|c| c.is_ascii_whitespace()).map(blank).collect()
}

/// The lines, with their ends, and what each is.
fn lines(file: &[u8]) -> Vec<(&[u8], Line<'_>)> {
    // The indentation of the last key or head, and whether there is a value that could go on.
    let (mut last, mut value) = (0, false);
    let read = |text| {
        let trimmed = <[u8]>::trim_ascii(text);
        if trimmed.is_empty() || matches!(trimmed.first(), Some(b'#' | b';')) {
            return (text, Line::Other);
        }
        let indent = indentation(text).len();
        if value && indent > last {
            return (text, Line::More);
        }
        last = indent;
        if let Some(name) = head(trimmed) {
            value = false;
            return (text, Line::Head(name));
        }
        value = true;
        let delimiter = text.iter().position(|c| matches!(c, b'=' | b':'));
        let name = text.get(..delimiter.unwrap_or(text.len())).unwrap_or_default();
        let name = name.trim_ascii().to_ascii_lowercase();
        let before = delimiter.map(|at| {
            let value = text.get(at + 1..).unwrap_or_default();
            at + 1 + value.iter().take_while(|c| is_blank(**c)).count()
        });
        (text, Line::Key(name, before))
    };
    file.split_inclusive(|c| *c == b'\n').map(read).collect()
}

/// The name between the first bracket and the last.
fn head(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().rposition(|c| *c == b']')?;
    line.get(..end)?.strip_prefix(b"[").filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn changed(file: &str, name: &str) -> Result<String, &'static str> {
        let entry = |key, value| Entry { key, value, replace_only: key == "aws_security_token" };
        let entries = [
            entry("aws_access_key_id", "ID"),
            entry("aws_secret_access_key", "SECRET"),
            entry("aws_session_token", "TOKEN"),
            entry("aws_security_token", "TOKEN"),
        ];
        with(file.as_bytes(), name, &entries).map(|out| String::from_utf8(out.to_vec()).unwrap())
    }

    const OURS: &str =
        "aws_access_key_id = ID\naws_secret_access_key = SECRET\naws_session_token = TOKEN\n";

    #[test]
    fn a_new_section_comes_last() {
        let ours = format!("[a]\n{OURS}");
        for (file, expected) in [
            ("", ours.clone()),
            ("# mine\n", format!("# mine\n\n{ours}")),
            ("[b]\nx = 1", format!("[b]\nx = 1\n\n{ours}")),
            ("[b]\nx = 1\n\n", format!("[b]\nx = 1\n\n{ours}")),
            ("[ab]\n[A]\n", format!("[ab]\n[A]\n\n{ours}")),
            ("[b]\r\nx = 1\r\n", format!("[b]\r\nx = 1\r\n\r\n{}", ours.replace('\n', "\r\n"))),
        ] {
            assert_eq!(changed(file, "a").unwrap(), expected);
        }
    }

    #[test]
    fn a_section_keeps_the_rest() {
        for (file, expected) in [
            ("[a]\n[b]\n", format!("[a]\n{OURS}[b]\n")),
            ("[a]", format!("[a]\n{OURS}")),
            ("[a]\n  [b]\n", format!("[a]\n  {}  [b]\n", OURS.replacen('\n', "\n  ", 2))),
            (
                // Other keys, comments and spaces stay; what is missing goes after the last key.
                "; top\n[a] # x\nregion=r\nAWS_Access_Key_ID=OLD\n# in\n\n[b]\naws_access_key_id = B\n",
                "; top\n[a] # x\nregion=r\nAWS_Access_Key_ID=ID\naws_secret_access_key = SECRET\n\
                 aws_session_token = TOKEN\n# in\n\n[b]\naws_access_key_id = B\n"
                    .to_owned(),
            ),
            (
                // A value over two lines goes as a whole, and a key that stands there twice.
                "[a]\naws_session_token = OLD\n  more\n\n  still\n# c\naws_session_token: X\nz = 1\n  2\n",
                "[a]\naws_session_token = TOKEN\n\n# c\nz = 1\n  2\naws_access_key_id = ID\n\
                 aws_secret_access_key = SECRET\n"
                    .to_owned(),
            ),
            (
                "[a]\n  aws_access_key_id = X\n  aws_security_token = Y",
                "[a]\n  aws_access_key_id = ID\n  aws_security_token = TOKEN\n  aws_secret_access_key = \
                 SECRET\n  aws_session_token = TOKEN\n"
                    .to_owned(),
            ),
            ("[a]\n aws_session_token\n", format!("[a]\n aws_session_token = TOKEN\n {}",
                OURS.replace("aws_session_token = TOKEN\n", "").replacen('\n', "\n ", 1))),
            ("[a]\r\nx=1\r\n", format!("[a]\r\nx=1\r\n{}", OURS.replace('\n', "\r\n"))),
        ] {
            assert_eq!(changed(file, "a").unwrap(), expected, "{file:?}");
        }
        // What looks like a head inside of a value is none.
        let file = "[b]\nx = 1\n  [a]\n";
        assert_eq!(changed(file, "a").unwrap(), format!("{file}\n[a]\n{OURS}"));
    }

    #[test]
    fn a_section_twice_is_refused() {
        assert!(changed("[a]\n[b]\n[a]\n", "a").is_err());
        assert!(changed("[b]\n[b]\n", "a").is_ok());
    }

    proptest! {
        #[test]
        fn again_changes_nothing(file in "([\\[\\]a=:# \\r\\n\t]|aws_session_token|\\[a\\]\n){0,40}") {
            if let Ok(once) = changed(&file, "a") {
                prop_assert_eq!(changed(&once, "a").unwrap(), once);
            }
        }

        #[test]
        fn other_sections_stay(before in "(\\[b\\]\n)?([a-z =#]{0,9}\n){0,5}", after in "([a-z =#]{0,9}\n){0,5}") {
            let changed = changed(&format!("{before}[a]\nq = 1\n[c]\n{after}"), "a").unwrap();
            prop_assert_eq!(changed, format!("{before}[a]\nq = 1\n{OURS}[c]\n{after}"));
        }
    }
}
