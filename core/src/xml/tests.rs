//! Known documents, refusals beside accepted neighbours, and roxmltree as the second opinion.

use proptest::prelude::*;

use super::parse::{ATTRIBUTES, DEPTH};
use super::*;

/// An element as both readers see it.
#[derive(Debug, PartialEq)]
struct Tree {
    name: String,
    /// Of a leaf.
    text: String,
    children: Vec<Tree>,
}

fn ours(element: Element<'_>) -> Tree {
    Tree {
        name: element.name().to_owned(),
        text: element.text().to_owned(),
        children: element.children().map(ours).collect(),
    }
}

fn theirs(node: roxmltree::Node<'_, '_>) -> Tree {
    let children: Vec<Tree> = node.children().filter(|c| c.is_element()).map(theirs).collect();
    let texts = node.children().filter(|c| c.is_text()).filter_map(|c| c.text());
    let text = if children.is_empty() { texts.collect() } else { String::new() };
    Tree { name: node.tag_name().name().to_owned(), text, children }
}

fn read(text: &str) -> Result<Tree> {
    let mut octets = text.as_bytes().to_vec();
    parse(&mut octets).map(ours)
}

/// Reads with both and compares.
#[track_caller]
fn same(text: &str) -> Tree {
    let tree = read(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let document = roxmltree::Document::parse(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(tree, theirs(document.root_element()), "{text}");
    tree
}

#[test]
fn walks() {
    let mut text = br#"<?xml version="1.0" encoding="UTF-8"?>
        <!-- before --><r:root xmlns:r="urn:x" a='>'>
          <a>1 &lt; 2 &amp;&amp; x</a><!-- <b/> --><list ><member>x</member><member/></list >
          <a2 b="&#x3c;"/><two>1</two><two>2</two>
        </r:root><!-- after -->
    "#
    .to_vec();
    let root = parse(&mut text).unwrap();
    assert_eq!(root.name(), "root");
    assert_eq!(root.text(), "");
    let names: Vec<&str> = root.children().map(|c| c.name()).collect();
    assert_eq!(names, ["a", "list", "a2", "two", "two"]);
    let a = root.child("a").unwrap().unwrap();
    assert_eq!(a.text(), "1 < 2 && x");
    assert_eq!(a.children().count(), 0);
    let list = root.child("list").unwrap().unwrap();
    let members: Vec<&str> = list.children().map(|c| c.text()).collect();
    assert_eq!(members, ["x", ""]);
    assert!(root.child("b").unwrap().is_none());
    let error = root.child("two").unwrap_err();
    assert_eq!((error.field(), error.kind()), ("two", crate::ErrorKind::Malformed));
    assert_eq!(format!("{a:?} {:?}", root.children()), "Element(\"a\") Children { .. }");
}

#[test]
fn texts() {
    for (text, want) in [
        ("", ""),
        (" ", " "),
        ("a", "a"),
        ("a<!---->", "a"),
        ("<!-- x -->", ""),
        ("<!-- x -->a<!-- y -->b", "ab"),
        ("a\r\nb", "a\nb"),
        ("\r\n", "\n"),
        ("a\rb", "a\nb"),
        ("\r\r\n\r\r", "\n\n\n\n"),
        ("\r\n\r\n", "\n\n"),
        ("a&#13;&#xA;", "a\r\n"),
        ("&lt;", "<"),
        ("&lt;/e>", "</e>"),
        ("&#60;x/&#62;\r\n", "<x/>\n"),
        ("<![CDATA[]]>", ""),
        ("<![CDATA[<e>&amp;</e>]]>", "<e>&amp;</e>"),
        ("<![CDATA[]]]]><![CDATA[>]]>", "]]>"),
        ("a<![CDATA[\r\n]\r]]>b", "a\n]\nb"),
        ("] ]> >]", "] ]> >]"),
        ("]]&gt;", "]]>"),
        ("&amp;&lt;&gt;&quot;&apos;", "&<>\"'"),
        ("&#x10FFFF;&#x00000041;&#xe9;&#9;", "\u{10ffff}Aé\t"),
        ("é&#xFFFD;\u{7f}\u{85}", "é\u{fffd}\u{7f}\u{85}"),
    ] {
        let tree = same(&format!("<e>{text}</e>"));
        assert_eq!(tree.text, want, "{text}");
        // Beside siblings, so that what follows is found again.
        let tree = same(&format!("<r> <e>{text}</e><e>{text}</e>\r\n<n>x</n> </r>"));
        assert_eq!(tree.children.len(), 3, "{text}");
        assert_eq!(tree.children[1].text, want, "{text}");
        assert_eq!(tree.children[2].text, "x", "{text}");
    }
}

/// Each refusal beside what would be accepted.
#[test]
fn refusals() {
    for (good, bad) in [
        // The document.
        ("<a/>", ""),
        ("<a/>", " "),
        ("<a/>", "x"),
        ("<a/>", "\u{feff}<a/>"),
        ("<a/> ", "<a/>x"),
        ("<a/>", "<a/><b/>"),
        ("<a/><!---->", "<a/><!--"),
        ("<a/>", "<a/><?pi?>"),
        ("<a/>", "<?pi?><a/>"),
        ("<a></a>", "<a><?pi x?></a>"),
        ("<a/>", "<!DOCTYPE a><a/>"),
        ("<a>x</a>", "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>"),
        ("<a/>", "<a><!DOCTYPE a></a>"),
        // The declaration.
        ("<?xml version='1.0'?><a/>", "<?xml?><a/>"),
        ("<?xml version='1.0'?><a/>", " <?xml version='1.0'?><a/>"),
        ("<?xml version='1.0'?><a/>", "<?xml version='1.1'?><a/>"),
        ("<?xml version='1.0'?><a/>", "<?xml version=1.0?><a/>"),
        ("<?xml version='1.0'?><a/>", "<?xml version='1.0'><a/>"),
        ("<?xml version='1.0'?><a/>", "<?xml version='1.0' version='1.0'?><a/>"),
        ("<?xml version='1.0' encoding='utf-8'?><a/>", "<?xml encoding='utf-8'?><a/>"),
        (
            "<?xml version = '1.0'\tencoding=\"UTF-8\" ?><a/>",
            "<?xml version='1.0'encoding='UTF-8'?><a/>",
        ),
        (
            "<?xml version='1.0' encoding='UTF-8'?><a/>",
            "<?xml version='1.0' encoding='UTF-16'?><a/>",
        ),
        (
            "<?xml version='1.0' encoding='UTF-8'?><a/>",
            "<?xml version='1.0' encoding='UTF-8\"?><a/>",
        ),
        (
            "<?xml version='1.0' encoding='UTF-8' standalone='yes'?><a/>",
            "<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>",
        ),
        (
            "<?xml version='1.0' standalone='no'?><a/>",
            "<?xml version='1.0' standalone='maybe'?><a/>",
        ),
        // Tags.
        ("<a></a>", "<a>"),
        ("<a></a>", "<a></a"),
        ("<a></a>", "<a></b>"),
        ("<a></a>", "<a></A>"),
        ("<a></a>", "<a></ab>"),
        ("<a></a >", "<a></ a>"),
        ("<a></a>", "<a></a b='c'>"),
        ("<a/>", "</a>"),
        ("<a />", "< a/>"),
        ("<a/>", "<a/"),
        ("<a/>", "<a/ >"),
        ("<a/>", "<"),
        ("<a/>", "<>"),
        ("<_a-.1/>", "<1a/>"),
        ("<é/>", "<×/>"),
        ("<a·/>", "<·a/>"),
        ("<a xmlns:b='u'><b:a/></a>", "<a xmlns:b='u'><b:/></a>"),
        ("<a xmlns:b='u'><b:a/></a>", "<a xmlns:b='u'><b:a:a/></a>"),
        ("<a xmlns:b='u'><b:a></b:a></a>", "<a xmlns:b='u'><b:a></a></a>"),
        ("<a><b></b></a>", "<a><b></a></b>"),
        // Attributes.
        ("<a b='c' d=\"e\"/>", "<a b='c'd=\"e\"/>"),
        ("<a b='c'/>", "<a b=c/>"),
        ("<a b='c'/>", "<a b='c/>"),
        ("<a b='c'/>", "<a b/>"),
        ("<a b='c'/>", "<a b=/>"),
        ("<a b='c'/>", "<a b='c'"),
        ("<a b='&lt;'/>", "<a b='<'/>"),
        ("<a b='&amp;'/>", "<a b='&'/>"),
        ("<a b='&#1234;'/>", "<a b='&x;'/>"),
        ("<a b='c' d='e'/>", "<a b='c' b='e'/>"),
        ("<a b='c' bb='e'/>", "<a bb='c' b='x' bb='e'/>"),
        ("<a b='\"'/>", "<a b='''/>"),
        // Comments and CDATA sections.
        ("<a><!-- - --></a>", "<a><!-- -- --></a>"),
        ("<a><!-- - --></a>", "<a><!-- ---></a>"),
        ("<a><!----></a>", "<a><!--></a>"),
        ("<a><!----></a>", "<a><!---></a>"),
        ("<a><![CDATA[x]]></a>", "<a><![CDATA[x]></a>"),
        ("<a><![CDATA[x]]></a>", "<a><![cdata[x]]></a>"),
        ("<a><![CDATA[x]]></a>", "<![CDATA[x]]><a/>"),
        ("<a/>", "<a/><![CDATA[]]>"),
        // Text.
        ("<a>]]</a>", "<a>]]></a>"),
        ("<a>&amp;</a>", "<a>&amp</a>"),
        ("<a>&amp;</a>", "<a>&Amp;</a>"),
        ("<a>&amp;</a>", "<a>& </a>"),
        ("<a>&amp;</a>", "<a>&nbsp;</a>"),
        ("<a>&#65;</a>", "<a>&#;</a>"),
        ("<a>&#65;</a>", "<a>&#4A;</a>"),
        ("<a>&#x65;</a>", "<a>&#x;</a>"),
        ("<a>&#x65;</a>", "<a>&#X65;</a>"),
        ("<a>&#9;</a>", "<a>&#0;</a>"),
        ("<a>&#x20;</a>", "<a>&#x1f;</a>"),
        ("<a>&#xfffd;</a>", "<a>&#xfffe;</a>"),
        ("<a>&#65;</a>", "<a>&#4294967361;</a>"),
        ("<a>&#65;</a>", "<a>&#-65;</a>"),
        ("<a>\t\n</a>", "<a>\u{0}</a>"),
        ("<a> </a>", "<a>\u{1f}</a>"),
        ("<a>\u{fffd}</a>", "<a>\u{fffe}</a>"),
        ("<a>\u{fffd}</a>", "<!--\u{ffff}--><a/>"),
        ("<a>x</a>", "x<a/>"),
    ] {
        same(good);
        assert!(read(bad).is_err(), "{bad}");
        // What we refuse is no XML, or one of the parts that we do without.
        let without = ["<?", "<!DOCTYPE", "\u{feff}"].iter().any(|part| bad.contains(part));
        assert!(without || roxmltree::Document::parse(bad).is_err(), "XML after all: {bad}");
    }
}

/// What XML and its namespaces forbid, though roxmltree reads it.
#[test]
fn stricter_than_roxmltree() {
    for (good, bad) in [
        ("<a/>", "<:a/>"),
        ("<a>&#xd7ff;</a>", "<a>&#xd800;</a>"),
        ("<a>&#x10ffff;</a>", "<a>&#x110000;</a>"),
    ] {
        same(good);
        assert!(roxmltree::Document::parse(bad).is_ok() && read(bad).is_err(), "{bad}");
    }
}

/// What XML allows, but not between us and a service.
#[test]
fn mixed_content() {
    same("<a> <b/>\r\n<!-- x --> <b>x</b> </a>");
    for bad in [
        "<a>x<b/></a>",
        "<a><b/>x</a>",
        "<a><b/>x<b/></a>",
        "<a>&#32;<b/></a>",
        "<a><![CDATA[ ]]><b/></a>",
        "<a><b/><![CDATA[]]></a>",
    ] {
        assert!(roxmltree::Document::parse(bad).is_ok(), "{bad}");
        assert!(read(bad).unwrap_err().help().contains("beside child elements"), "{bad}");
    }
}

#[test]
fn not_utf8() {
    assert!(parse(&mut b"<a>\xc3\xa9</a>".to_vec()).is_ok());
    for bad in [b"<a>\xc3</a>".as_slice(), b"<a>\xff</a>", b"<a>\xfe</a>", b"<a>\xed\xa0\x80</a>"] {
        assert_eq!(parse(&mut bad.to_vec()).unwrap_err().position(), Some(3));
    }
}

#[test]
fn limits() {
    let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
    same(&nested(MAX_DEPTH));
    let error = read(&nested(MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(error.help(), DEPTH.help());
    let inner = |n: usize| format!("{}<a/>{}", "<a>".repeat(n - 1), "</a>".repeat(n - 1));
    same(&inner(MAX_DEPTH));
    assert!(read(&inner(MAX_DEPTH + 1)).is_err());
    let attributes = |n: usize| {
        let all: String = (0..n).map(|i| format!(" a{i}='x'")).collect();
        format!("<a{all}/>")
    };
    same(&attributes(MAX_ATTRIBUTES));
    assert_eq!(read(&attributes(MAX_ATTRIBUTES + 1)).unwrap_err().help(), ATTRIBUTES.help());
}

/// A text, as it may be written. No carriage return stands alone before a reference: there roxmltree
/// keeps it (XML 1.0, section 2.11, makes it a line feed).
fn written_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z ]{0,6}",
        1 => "[é日😀\u{85}\u{2028}]{1,2}",
        2 => proptest::sample::select(vec![
            "&lt;", "&gt;", "&amp;", "&quot;", "&apos;", "&#60;", "&#x2F;", "&#13;", "&#x1F600;",
            "\r\n", "\rx", "\n", "\t", "]", "]]", ">", "'", "\"", "/", "<!-- c -->", "<!---->",
            "<![CDATA[<x>&lt;]]>", "<![CDATA[]]>", "<![CDATA[ \r\n]\r]]>",
        ]).prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|all| {
        // `]]>` by accident is a case of its own.
        all.concat().replace("]]>", "]]&gt;").replace("]]&gt;</", "]]></")
    })
}

fn space() -> impl Strategy<Value = String> {
    "[ \r\n\t]{0,3}(<!-- [a-z<&>]{0,4} -->[ \n]{0,2})?"
}

fn element() -> impl Strategy<Value = String> {
    let attributes = proptest::sample::select(vec![
        "",
        " ",
        " a='1'",
        "\n a = \"<\" b='&#60;>/'",
        " xml:lang='en'\r\n",
        " xmlns='urn:n' p:a='/'",
    ])
    .prop_map(|text| text.replace("\"<\"", "\"&lt;\""));
    let name = proptest::sample::select(vec!["a", "b-c", "p:d", "é", "Code", "member"]);
    let leaf = (name.clone(), attributes.clone(), written_text(), any::<bool>()).prop_map(
        |(name, attributes, text, empty)| match empty {
            true => format!("<{name}{attributes}/>"),
            false => format!("<{name}{attributes}>{text}</{name} >"),
        },
    );
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let children = proptest::collection::vec((space(), inner), 1..4);
        (name.clone(), attributes.clone(), children, space()).prop_map(
            |(name, attributes, children, end)| {
                let all: String = children.into_iter().map(|(s, c)| s + &c).collect();
                format!("<{name}{attributes}>{all}{end}</{name}>")
            },
        )
    })
}

fn document() -> impl Strategy<Value = String> {
    let declaration = proptest::sample::select(vec![
        "",
        "<?xml version=\"1.0\"?>",
        "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\n",
    ]);
    (declaration, space(), element(), space()).prop_map(|(declaration, before, element, after)| {
        format!("{declaration}{before}<root xmlns:p='urn:p'>{element}</root>{after}")
    })
}

proptest! {
    #[test]
    fn generated_documents_as_roxmltree(text in document()) {
        // The texts may close a CDATA section by accident.
        if let Ok(document) = roxmltree::Document::parse(&text) {
            prop_assert_eq!(read(&text), Ok(theirs(document.root_element())), "{}", text);
        } else {
            prop_assert!(read(&text).is_err(), "{}", text);
        }
    }

    /// Whatever we accept, roxmltree accepts too, and reads the same (but for carriage returns, see
    /// above).
    #[test]
    fn spoiled_documents_as_roxmltree(
        text in document(),
        at in any::<proptest::sample::Index>(),
        with in "[<>&/;'\"=a: \\]!\r-]{0,2}",
        cut in 0usize..3,
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len());
        let end = (at + cut).min(characters.len());
        characters.splice(at..end, with.chars());
        let text: String = characters.into_iter().collect();
        if let Ok(tree) = read(&text) {
            match roxmltree::Document::parse(&text) {
                Ok(document) => {
                    let feeds = |tree: Tree| format!("{tree:?}").replace("\\r", "\\n");
                    let theirs = theirs(document.root_element());
                    prop_assert_eq!(feeds(tree), feeds(theirs), "{}", text);
                }
                // Prefixes are no concern of ours, nor is what an attribute of `xmlns` says.
                Err(error) => prop_assert!(
                    matches!(
                        error,
                        roxmltree::Error::UnknownNamespace(..)
                            | roxmltree::Error::DuplicatedNamespace(..)
                            | roxmltree::Error::UnexpectedXmlUri(_)
                            | roxmltree::Error::UnexpectedXmlnsUri(_)
                            | roxmltree::Error::InvalidXmlPrefixUri(_)
                            | roxmltree::Error::InvalidElementNamePrefix(_)
                            | roxmltree::Error::DuplicatedAttribute(..)
                    ),
                    "{}: {}", error, text
                ),
            }
        }
    }

    #[test]
    fn no_input_panics(mut octets in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = parse(&mut octets).map(ours);
    }

    #[test]
    fn no_markup_panics(text in "(<|>|/|a|b|=|'|&|;|#|lt|!|--|\\[|CDATA\\[|\\]\\]>|\\?|xml| |\r|\n|é){0,40}") {
        let _ = read(&text);
    }

    #[test]
    fn truncated_documents_are_refused(text in document(), at in any::<proptest::sample::Index>()) {
        let whole = text.trim_end();
        let whole = whole.get(..whole.rfind("</root>").unwrap_or_default() + 7).unwrap_or_default();
        let mut at = at.index(whole.len());
        while !whole.is_char_boundary(at) {
            at -= 1;
        }
        prop_assert!(read(whole.get(..at).unwrap_or_default()).is_err());
    }
}
