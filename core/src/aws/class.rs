//! What single characters mean to a request: one table for every check.

use crate::SMALL;

/// A letter in upper case.
pub(super) const UPPER: u8 = 1;
/// Not of a token (RFC 9110, section 5.6.2).
pub(super) const NO_TOKEN: u8 = 2;
/// A control character but a tab.
pub(super) const CONTROL: u8 = 4;
/// CR, LF.
pub(super) const LINE_BREAK: u8 = 8;
/// Not visible ASCII.
pub(super) const NO_GRAPHIC: u8 = 16;
/// Percent-encoded by AWS: not unreserved (RFC 3986, section 2.3).
pub(super) const RESERVED: u8 = 32;
/// What ends a path: a question mark, a number sign.
pub(super) const PATH_END: u8 = 64;
/// A space.
pub(super) const SPACE: u8 = 128;

/// Whether a character is of one of `CLASSES`, without a branch, so that looking for one is vectorised.
const fn is<const CLASSES: u8>(c: u8) -> bool {
    let mut found = false;
    if CLASSES & UPPER != 0 {
        found |= c.is_ascii_uppercase();
    }
    if CLASSES & NO_TOKEN != 0 {
        let separator = matches!(
            c,
            b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}'
        );
        found |= !c.is_ascii_graphic() | separator;
    }
    if CLASSES & CONTROL != 0 {
        found |= (c < 0x20) & (c != b'\t') | (c == 0x7f);
    }
    if CLASSES & LINE_BREAK != 0 {
        found |= (c == b'\n') | (c == b'\r');
    }
    if CLASSES & NO_GRAPHIC != 0 {
        found |= !c.is_ascii_graphic();
    }
    if CLASSES & RESERVED != 0 {
        found |= !crate::encode::percent::unreserved(c);
    }
    if CLASSES & PATH_END != 0 {
        found |= (c == b'?') | (c == b'#');
    }
    if CLASSES & SPACE != 0 {
        found |= c == b' ';
    }
    found
}

/// The classes of a character.
const fn work_out(c: u8) -> u8 {
    (is::<UPPER>(c) as u8 * UPPER)
        | (is::<NO_TOKEN>(c) as u8 * NO_TOKEN)
        | (is::<CONTROL>(c) as u8 * CONTROL)
        | (is::<LINE_BREAK>(c) as u8 * LINE_BREAK)
        | (is::<NO_GRAPHIC>(c) as u8 * NO_GRAPHIC)
        | (is::<RESERVED>(c) as u8 * RESERVED)
        | (is::<PATH_END>(c) as u8 * PATH_END)
        | (is::<SPACE>(c) as u8 * SPACE)
}

/// All that is not ASCII has the same classes.
const LEN: usize = if SMALL { 128 } else { 256 };

// The loop keeps the index inside the table.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
static CLASSES: [u8; LEN] = {
    let mut classes = [0; LEN];
    let mut c = 0;
    while c < LEN {
        classes[c] = work_out(c as u8);
        c += 1;
    }
    classes
};

/// The classes of one character.
#[inline]
pub(super) fn of(c: u8) -> u8 {
    CLASSES.get(usize::from(c)).copied().unwrap_or(const { work_out(0xff) })
}

/// The classes of all characters of `text`.
#[cfg_attr(all(target_os = "none", target_pointer_width = "32"), inline(never))]
pub(super) fn classes(text: &[u8]) -> u8 {
    text.iter().fold(0, |found, c| found | of(*c))
}

/// Whether `text` has a character of one of `CLASSES`.
#[inline]
pub(super) fn has<const CLASSES: u8>(text: &[u8]) -> bool {
    if SMALL {
        return classes(text) & CLASSES != 0;
    }
    // Sixteen at a time and without an early end, so that it is vectorised; the last sixteen may overlap
    // those before.
    let among = |found, c: &u8| found | is::<CLASSES>(*c);
    let Some(last) = text.last_chunk::<16>() else {
        return text.iter().fold(false, among);
    };
    let whole = text.as_chunks::<16>().0.iter().chain([last]);
    whole.fold(false, |found, chunk| found | chunk.iter().fold(false, among))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_of_a_text_is_looked_at() {
        for len in 0..70 {
            let mut text = vec![b'a'; len];
            assert!(!has::<SPACE>(&text));
            for at in 0..len {
                text[at] = b' ';
                assert!(has::<SPACE>(&text));
                text[at] = b'a';
            }
        }
    }

    #[test]
    fn both_ways_of_looking_agree() {
        fn agrees<const CLASS: u8>(text: &[u8]) {
            assert_eq!(has::<CLASS>(text), classes(text) & CLASS != 0, "{text:?}");
        }
        for c in 0..=255 {
            let text = [c; 20];
            agrees::<UPPER>(&text);
            agrees::<NO_TOKEN>(&text);
            agrees::<CONTROL>(&text);
            agrees::<LINE_BREAK>(&text);
            agrees::<NO_GRAPHIC>(&text);
            agrees::<RESERVED>(&text);
            agrees::<PATH_END>(&text);
            agrees::<SPACE>(&text);
        }
        // What is not ASCII is not told apart: half the table would do.
        assert!((128..=255).all(|c| of(c) == work_out(0xff)));
    }

    #[test]
    fn classes_as_in_rfc_9110() {
        for c in 0..128u8 {
            let token = c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
            assert_eq!(of(c) & NO_TOKEN == 0, token, "{c}");
            assert_eq!(of(c) & UPPER != 0, c.is_ascii_uppercase(), "{c}");
        }
        assert_ne!(classes("x-\u{e9}".as_bytes()) & NO_TOKEN, 0);
    }
}
