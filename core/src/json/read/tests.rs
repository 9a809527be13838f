use super::parse::{DEPTH, MEMBERS, REPEATED};
use super::*;
use crate::ErrorKind;
use crate::out::Out;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value as Theirs;

fn ours(value: Value<'_>) -> Theirs {
    match value.kind() {
        Kind::Array => value.elements().map(ours).collect(),
        Kind::Bool => value.as_bool().unwrap().into(),
        Kind::Null => Theirs::Null,
        Kind::Number => serde_json::from_str(value.number_text().unwrap()).unwrap(),
        Kind::Object => {
            value.members().map(|(name, value)| (name.to_owned(), ours(value))).collect()
        }
        Kind::String => value.as_str().unwrap().into(),
    }
}

fn written(value: Value<'_>) -> Vec<u8> {
    let mut buf = vec![0; 1 << 20];
    let mut out = Out::new(&mut buf);
    value.write(&mut out);
    out.finish().unwrap().to_vec()
}

/// Colons and the greatest depth of brackets, outside strings.
fn shape(text: &[u8]) -> (usize, usize) {
    let (mut colons, mut depth, mut deepest) = (0, 0, 0);
    let mut octets = text.iter();
    while let Some(c) = octets.next() {
        match c {
            b'"' => {
                while let Some(c) = octets.next().filter(|c| **c != b'"') {
                    if *c == b'\\' {
                        octets.next();
                    }
                }
            }
            b':' => colons += 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    (colons, deepest)
}

/// Members in all objects, and the most in one.
fn members(value: &Theirs) -> (usize, usize) {
    let inner: Vec<_> = match value {
        Theirs::Array(array) => array.iter().map(members).collect(),
        Theirs::Object(object) => object.values().map(members).collect(),
        _ => Vec::new(),
    };
    let own = value.as_object().map_or(0, |o| o.len());
    let all = own + inner.iter().map(|i| i.0).sum::<usize>();
    (all, inner.iter().map(|i| i.1).fold(own, usize::max))
}

/// All pointers into a value.
fn pointers(value: &Theirs, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Theirs::Array(array) => {
            for (i, value) in array.iter().enumerate() {
                pointers(value, &format!("{at}/{i}"), all);
            }
        }
        Theirs::Object(object) => {
            for (name, value) in object {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(value, &format!("{at}/{name}"), all);
            }
        }
        _ => {}
    }
}

/// Holds what `parse` makes of `text` against what serde_json makes of it. Gives whether it was accepted.
fn compare(text: &[u8]) -> bool {
    let mut buf = text.to_vec();
    let read = parse(&mut buf);
    let theirs: Theirs = match serde_json::from_slice(text) {
        Ok(theirs) => theirs,
        // Where we keep the text of numbers, serde_json has a range; it does not look further.
        Err(error) if error.to_string().starts_with("number out of range") => return read.is_ok(),
        Err(_) => {
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Malformed);
            return false;
        }
    };
    let (colons, depth) = shape(text);
    let (all, most) = members(&theirs);
    let value = match read {
        Ok(value) => value,
        Err(error) if error.help() == REPEATED.help() => {
            // serde_json keeps one of the same name, so it has fewer members than there are colons.
            assert!(colons > all, "no name is repeated");
            return false;
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Capacity, "{error}");
            match error.help() == DEPTH.help() {
                true => assert!(depth > MAX_DEPTH),
                false => assert!(error.help() == MEMBERS.help() && most > MAX_MEMBERS),
            }
            return false;
        }
    };
    assert_eq!(colons, all, "a repeated name is accepted");
    assert!(depth <= MAX_DEPTH && most <= MAX_MEMBERS);
    assert_eq!(ours(value), theirs);

    let again = written(value);
    assert_eq!(serde_json::from_slice::<Theirs>(&again).unwrap(), theirs);
    assert_eq!(written(parse(&mut again.clone()).unwrap()), again);

    let mut all = Vec::new();
    pointers(&theirs, "", &mut all);
    for pointer in all {
        let there = theirs.pointer(&pointer).unwrap();
        let here = value.pointer(&pointer).unwrap();
        assert_eq!(&ours(here), there);
        assert_eq!(here.as_str(), there.as_str());
        assert_eq!(here.as_bool(), there.as_bool());
        assert_eq!(here.as_u64(), there.as_u64());
        if here.number_text() != Some("-0") {
            assert_eq!(here.as_i64(), there.as_i64());
        }
        if let Some(seconds) = here.as_seconds() {
            // As close as an f64 can be to a number whose fraction was dropped.
            let (seconds, number) = (seconds as f64, there.as_f64().unwrap());
            let rounding = seconds * f64::EPSILON;
            assert!((-rounding..=1.0 + rounding).contains(&(number - seconds)));
        }
        if let Some(object) = there.as_object() {
            for (name, member) in object {
                assert_eq!(&ours(here.get(name).unwrap()), member);
            }
        }
    }
    true
}

fn accepts(text: &str) -> bool {
    compare(text.as_bytes())
}

fn error(text: &str) -> Error {
    parse(&mut text.as_bytes().to_vec()).unwrap_err()
}

const PIECES: &[&str] = &[
    "a",
    "b",
    "~",
    "/",
    "\u{7f}",
    "é",
    "€",
    "😀",
    "\u{ffff}",
    " ",
    ",",
    ":",
    "{",
    "]",
    "plain text that is longer",
    "\\\"",
    "\\\\",
    "\\/",
    "\\b",
    "\\f",
    "\\n",
    "\\r",
    "\\t",
    "\\u0000",
    "\\u0022",
    "\\u005c",
    "\\u0061",
    "\\u00E9",
    "\\u00ff",
    "\\u20ac",
    "\\uD7FF",
    "\\uffff",
    "\\ud83d\\uDE00",
    "\\uDBFF\\uDFFF",
    "\\u007e0",
];

const SOUP: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\"a\"",
    "\"\\u0061\"",
    "\"b\":",
    "0",
    "-",
    "1",
    ".5",
    "e",
    "E+1",
    "true",
    "false",
    "null",
    "t",
    " ",
    "\n",
    "\\u",
    "\\ud800",
    "\\udc00",
    "12",
    "\u{1}",
    "é",
    "\0",
    "[]",
    "{}",
];

fn space() -> impl Strategy<Value = &'static str> {
    select(&["", "", "", "", " ", "\n\t", "\r\n  ", "         "][..])
}

fn string_text() -> impl Strategy<Value = String> {
    let content = prop_oneof![
        6 => proptest::collection::vec(select(PIECES), 0..6).prop_map(|pieces| pieces.concat()),
        // Around the lengths where the form changes.
        1 => (120usize..140, select(PIECES)).prop_map(|(n, piece)| "x".repeat(n) + piece + "yz"),
        1 => "[^\"\\\\\\x00-\\x1f]{0,20}",
    ];
    content.prop_map(|content| format!("\"{content}\""))
}

fn document() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        string_text(),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?",
        "(0|[1-9][0-9]{0,11})",
        select(&["true", "false", "null", "[]", "{}", "{ }", "-0", "0.0", "1e999"][..])
            .prop_map(str::to_owned),
    ];
    let tree = scalar.prop_recursive(6, 60, 8, |inner| {
        let array = proptest::collection::vec((space(), inner.clone(), space()), 0..8).prop_map(
            |elements| {
                let elements: Vec<_> =
                    elements.iter().map(|(a, v, b)| format!("{a}{v}{b}")).collect();
                format!("[{}]", elements.join(","))
            },
        );
        let member = (space(), string_text(), space(), space(), inner, space())
            .prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"));
        let object = proptest::collection::vec(member, 0..8)
            .prop_map(|members| format!("{{{}}}", members.join(",")));
        prop_oneof![1 => array, 2 => object]
    });
    (space(), tree, space()).prop_map(|(a, tree, b)| format!("{a}{tree}{b}"))
}

#[derive(Clone, Debug)]
enum Change {
    Set(u8),
    Flip(u8),
    Delete(usize),
    Insert(&'static str),
    Copy(usize),
    Truncate,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<u8>().prop_map(Change::Set),
        (0u8..8).prop_map(Change::Flip),
        (1usize..5).prop_map(Change::Delete),
        select(SOUP).prop_map(Change::Insert),
        select(PIECES).prop_map(Change::Insert),
        (1usize..30).prop_map(Change::Copy),
        Just(Change::Truncate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn as_serde_json_reads_documents(text in document()) {
        compare(text.as_bytes());
    }

    #[test]
    fn as_serde_json_reads_changed_documents(
        text in document(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), change()), 1..4),
    ) {
        let mut text = text.into_bytes();
        for (index, change) in changes {
            let at = index.index(text.len() + 1);
            let end = |n: usize| (at + n).min(text.len());
            match change {
                Change::Set(to) => text.iter_mut().skip(at).take(1).for_each(|c| *c = to),
                Change::Flip(bit) => text.iter_mut().skip(at).take(1).for_each(|c| *c ^= 1 << bit),
                Change::Delete(n) => drop(text.drain(at..end(n))),
                Change::Insert(new) => drop(text.splice(at..at, new.bytes())),
                Change::Copy(n) => text.extend_from_within(at..end(n)),
                Change::Truncate => text.truncate(at),
            }
        }
        compare(&text);
    }

    #[test]
    fn as_serde_json_reads_token_soup(soup in proptest::collection::vec(select(SOUP), 0..12)) {
        compare(soup.concat().as_bytes());
    }

    #[test]
    fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
        compare(&octets);
    }

    #[test]
    fn pointers_of_any_kind(pointer in "(/?[a~/01-]{0,2}){0,4}") {
        let text = r#"{"a":[[0,{"":1,"a":2}],{"~":{"/":3,"0":4},"~1":5,"/":6}],"":{"":7},"0":[8],"a/":9,"~a":1}"#;
        let theirs: Theirs = serde_json::from_str(text).unwrap();
        let mut buf = text.as_bytes().to_vec();
        let value = parse(&mut buf).unwrap();
        // serde_json leaves wrong escapes as they are; RFC 6901 makes them an error.
        let rest = pointer.replace("~0", "").replace("~1", "");
        let want = theirs.pointer(&pointer).filter(|_| !rest.contains('~'));
        prop_assert_eq!(value.pointer(&pointer).map(ours), want.cloned());
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Names that fill the table of hashes from outside, then an object with a repeat or without.
    #[test]
    fn repeats_among_many_names(
        outer in 0usize..250,
        inner in 1usize..250,
        repeat in proptest::option::of((any::<proptest::sample::Index>(), any::<proptest::sample::Index>())),
        long in prop::bool::weighted(0.2),
    ) {
        let name = |i: usize| match long {
            true => format!("{}{i}{}", "same first".repeat(12), "same last!"),
            false => format!("n{i}"),
        };
        let mut names: Vec<_> = (0..inner).map(name).collect();
        let mut wanted = true;
        if let Some((from, to)) = repeat {
            let (from, to) = (from.index(inner), to.index(inner));
            wanted = from == to;
            // "n" escaped or "s" escaped.
            let first = format!("\\u{:04x}", names[from].as_bytes()[0]);
            names[to] = first + names[from].get(1..).unwrap();
        }
        let inner: Vec<_> = names.iter().map(|n| format!("\"{n}\":[{{\"n0\":\"x\"}}]")).collect();
        let outer: String = (0..outer).map(|i| format!("\"{}\":{i},", name(i))).collect();
        let text = format!("{{{outer}\"x\":{{{}}},\"y\":0}}", inner.join(","));
        let mut buf = text.clone().into_bytes();
        match parse(&mut buf) {
            Ok(value) => {
                prop_assert!(wanted, "a repeated name is accepted");
                prop_assert_eq!(ours(value), serde_json::from_str::<Theirs>(&text).unwrap());
            }
            Err(error) => prop_assert!(!wanted && error.help() == REPEATED.help(), "{error}"),
        }
    }
}

#[test]
fn truncated_at_every_octet() {
    let text =
        r#" {"a":"b\n\u00e9\ud83d\ude00","c":[1,-0.5e+3,true,false,null,{}],"€":{"d":[[]]}} "#;
    assert!(accepts(text));
    let last = text.rfind('}').unwrap();
    for end in 0..=text.len() {
        assert_eq!(compare(&text.as_bytes()[..end]), end > last, "{end}");
    }
}

#[test]
fn control_characters() {
    for c in 0..=0x7fu8 {
        let c = char::from(c);
        assert_eq!(accepts(&format!("[\"a{c}q\"]")), c >= ' ' && c != '"' && c != '\\', "{c:?}");
        assert_eq!(accepts(&format!("{{\"a{c}q\":0}}")), c >= ' ' && c != '"' && c != '\\');
        assert_eq!(accepts(&format!("[{c}]")), " \n\r\t0123456789".contains(c), "{c:?}");
        assert!(accepts(&format!("\"\\u{:04x}\"", u32::from(c))));
        assert_eq!(accepts(&format!("\"\\{c}\"")), "\"\\/bfnrt".contains(c));
    }
}

#[test]
fn surrogates() {
    for (high, low) in
        [(0xd7ff, 0xdc00), (0xd800, 0xdbff), (0xdbff, 0xe000), (0xdc00, 0xdc00), (0xd800, 0x61)]
    {
        assert!(!accepts(&format!("\"\\u{high:04x}\\u{low:04x}\"")));
    }
    for (high, low) in [(0xd800, 0xdc00), (0xdbff, 0xdfff), (0xd7ff, 0xe000)] {
        assert!(accepts(&format!("\"\\u{high:04x}\\u{low:04X}\"")));
    }
}

#[test]
fn repeated_names() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\u0061":1,"b":{"c":[]},"a":2}"#,
        r#"{"":1,"":2}"#,
        r#"[{"b":{"a":[{"c":{},"d":1,"c":2}]}}]"#,
        r#"{"a":{"b":1},"c":{"a":1},"a":0}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
        r#"{"\/":1,"/":2}"#,
    ] {
        assert!(!accepts(text), "{text}");
        assert_eq!(error(text).help(), REPEATED.help(), "{text}");
    }
    assert_eq!(error(r#"{"a":1,"\u0061":2}"#).position(), Some(7));
    assert!(accepts(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}],"A":1,"a ":1,"a\u0000":1}"#));
    // Same length, first and last eight octets, so the same hash.
    assert!(accepts(r#"{"https://1.example":1,"https://2.example":2,"https://3.example":3}"#));
}

#[test]
fn as_many_members_as_allowed() {
    let text = |n: usize| {
        let members: Vec<_> = (0..n).map(|i| format!("\"{i}\": {{\"{i}\": [{i}]}}")).collect();
        format!("[{{{}}}]", members.join(", "))
    };
    assert!(accepts(&text(256)));
    assert!(!accepts(&text(257)));
    assert_eq!(error(&text(257)).kind(), ErrorKind::Capacity);
    assert_eq!(error(&text(257)).help(), MEMBERS.help());
    let mut array = format!("[{}0]", "0,".repeat(10_000)).into_bytes();
    assert_eq!(parse(&mut array).unwrap().elements().count(), 10_001);
}

#[test]
fn as_deep_as_allowed() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let each = open.matches(['[', '{']).count();
        let text = |n: usize| open.repeat(n) + "0" + &close.repeat(n);
        assert!(accepts(&text(16 / each)));
        assert!(!accepts(&text(16 / each + 1)));
        assert_eq!(error(&text(16 / each + 1)).help(), DEPTH.help());
        assert_eq!(error(&open.repeat(10_000)).kind(), ErrorKind::Capacity);
    }
    assert!(accepts(&format!("{}{}", "[".repeat(16), "]".repeat(16))));
    assert!(!accepts(&format!("{}{}", "[".repeat(17), "]".repeat(17))));
}

#[test]
fn strings_around_the_lengths_where_the_form_changes() {
    for n in (110..140).chain(65_525..65_540) {
        let long = "x".repeat(n);
        // A short name before a value of this size, a name of this size, and a look-up past both.
        let text =
            format!("{{\"a\":[\"{long}\",{{\"b\":0}}],\"y{long}\":[{n}],\"c\":\"\\u0041{long}\"}}");
        assert!(accepts(&text));
    }
    // A walk over values too far to hop, which nest.
    let long = "x".repeat(70_000);
    assert!(accepts(&format!(
        "{{\"a\":{{\"b\":[[],{{}},\"{long}\",{{\"c\":{{\"d\":\"{long}\"}},\"e\":1}},-1]}},\"f\":\"{long}\",\"g\":null}}"
    )));
}

#[test]
fn errors_say_where_and_what() {
    for (text, position, help) in [
        ("", None, "the text ends too early"),
        (" ", Some(1), "the text ends too early"),
        ("\u{feff}{}", None, "expected UTF-8 without a byte order mark"),
        ("[1,]", Some(3), "expected a value"),
        ("[1 2]", Some(3), "expected a comma or ] after an element"),
        ("{\"a\":1 \"b\":2}", Some(7), "expected a comma or } after a member"),
        ("{\"a\" 1}", Some(5), "expected a colon after a member name"),
        ("{\"a\":1,}", Some(7), "expected a member name in quotes"),
        ("{a:1}", Some(1), "expected a member name in quotes"),
        ("[tru]", Some(1), "expected true, false or null"),
        ("[-]", Some(2), "expected a digit"),
        ("[1.]", Some(3), "expected a digit"),
        ("[1e+]", Some(4), "expected a digit"),
        ("[01]", Some(2), "expected a comma or ] after an element"),
        ("{} {}", Some(3), "expected nothing but white space after the value"),
        ("1\0", Some(1), "expected nothing but white space after the value"),
        ("\"a\nb\"", Some(2), "control characters in strings must be escaped"),
        ("\"\\x\"", Some(2), "expected \", \\, /, b, f, n, r, t or u after a backslash"),
        ("\"\\u00g0\"", Some(5), "expected four hexadecimal digits after \\u"),
        ("\"\\ud800\"", Some(1), "expected surrogates in pairs, high before low"),
        ("\"\\ud800\\n\"", Some(1), "expected surrogates in pairs, high before low"),
        ("\"\\ud800\\ud800\"", Some(1), "expected surrogates in pairs, high before low"),
        ("\"\\udc00\\ud800\"", Some(1), "expected surrogates in pairs, high before low"),
        ("[\"", Some(2), "the text ends too early"),
        ("{\"a\":", Some(5), "the text ends too early"),
    ] {
        assert!(!accepts(text), "{text}");
        let error = error(text);
        assert_eq!(
            (error.field(), error.position(), error.help()),
            ("JSON", position, help),
            "{text}"
        );
    }
    let mut text = *b"[\"\xc3\x28\"]";
    let error = parse(&mut text).unwrap_err();
    assert_eq!((error.position(), error.help()), (Some(2), "expected UTF-8"));
    // The marks of the rewritten form are no way in.
    for c in 0x80..=0xff {
        assert!(!compare(&[b'[', c, b'a', b']']));
        assert!(!compare(&[b'"', c, b'"']));
    }
}

#[test]
fn numbers() {
    let number = |text: &str| {
        let mut text = text.as_bytes().to_vec();
        let value = parse(&mut text).unwrap();
        (value.as_u64(), value.as_i64(), value.as_seconds())
    };
    assert_eq!(number("0"), (Some(0), Some(0), Some(0)));
    assert_eq!(number("-1"), (None, Some(-1), None));
    assert_eq!(number("-0.5"), (None, None, None));
    assert_eq!(number("1700000000.75"), (None, None, Some(1_700_000_000)));
    assert_eq!(number("17e8"), (None, None, None));
    assert_eq!(number("1.5e3"), (None, None, None));
    assert_eq!(number("1.5E3"), (None, None, None));
    assert_eq!(number("18446744073709551615"), (Some(u64::MAX), None, Some(u64::MAX)));
    assert_eq!(number("18446744073709551616"), (None, None, None));
    assert_eq!(number("-9223372036854775808"), (None, Some(i64::MIN), None));
    assert_eq!(number("\"1\""), (None, None, None));
    assert_eq!(number("[1]"), (None, None, None));
    let mut huge = *b"[1e999]";
    assert_eq!(parse(&mut huge).unwrap().pointer("/0").unwrap().number_text(), Some("1e999"));
}

#[test]
fn only_what_a_kind_has() {
    let mut text = *br#"{"s":"x","n":null,"o":{"k":1},"a":[1]}"#;
    let value = parse(&mut text).unwrap();
    assert_eq!(value.string("s").unwrap(), "x");
    assert_eq!(value.string("z").unwrap_err().help(), "the member is missing");
    assert_eq!(
        value.string("n").unwrap_err(),
        Error::malformed("n", "the member must be a string")
    );
    assert_eq!(value.get("s").unwrap().string("s").unwrap_err().field(), "s");
    assert_eq!(value.elements().count() + value.get("a").unwrap().members().count(), 0);
    assert!(value.get("a").unwrap().get("k").is_none() && value.as_str().is_none());
    assert!(value.get("n").unwrap().as_bool().is_none());
    let mut members = value.members();
    assert_eq!(members.by_ref().map(|(name, _)| name).collect::<String>(), "snoa");
    assert!(members.next().is_none());
    let mut elements = value.get("a").unwrap().elements();
    assert!(elements.next().is_some() && elements.next().is_none() && elements.next().is_none());
}

#[test]
fn debug_hides_the_content() {
    let mut text = *br#"{"secret":["secret"]}"#;
    let value = parse(&mut text).unwrap();
    let shown =
        format!("{value:?} {:?} {:?}", value.members(), value.get("secret").unwrap().elements());
    assert_eq!(shown, "Value(Object) Members { .. } Elements { .. }");
}
