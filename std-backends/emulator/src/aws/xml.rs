//! XML from the JSON of the same answer.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde_json::Value;

use crate::clock;

/// The document with this root: members are elements, a list repeats the element of its name, and
/// `Expiration` is written as RFC 3339.
pub(super) fn document(root: &str, namespace: Option<&str>, content: &Value) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let written = writer
        .write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))
        .and_then(|()| element(&mut writer, root, namespace, content));
    if let Err(error) = written {
        tracing::error!(%error, "writing XML");
    }
    writer.into_inner()
}

fn element(
    writer: &mut Writer<Vec<u8>>,
    name: &str,
    namespace: Option<&str>,
    content: &Value,
) -> io::Result<()> {
    let start = writer.create_element(name);
    let start = match namespace {
        Some(namespace) => start.with_attribute(("xmlns", namespace)),
        None => start,
    };
    match content {
        Value::Object(members) => {
            start.write_inner_content(|writer| {
                members.iter().try_for_each(|(name, value)| match value {
                    Value::Array(all) => {
                        all.iter().try_for_each(|one| element(writer, name, None, one))
                    }
                    one => element(writer, name, None, one),
                })
            })?;
        }
        Value::Null => {
            start.write_empty()?;
        }
        other => {
            let text = match (name, other) {
                ("Expiration", time) => clock::rfc3339(time.as_i64().unwrap_or_default()),
                (_, Value::String(text)) => text.clone(),
                (_, other) => other.to_string(),
            };
            start.write_text_content(BytesText::new(&text))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn written() {
        let value = json!({"A": {"Expiration": 0, "Text": "<&>"}, "B": [1, true], "C": null});
        let text = String::from_utf8(super::document("R", Some("urn:x"), &value)).unwrap();
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><R xmlns=\"urn:x\"><A><Expiration>\
             1970-01-01T00:00:00Z</Expiration><Text>&lt;&amp;&gt;</Text></A><B>1</B><B>true</B><C/></R>"
        );
    }
}
