//! XML and what is read from it: roxmltree agrees on every document that is accepted, and an answer of STS
//! never gives credentials with an empty part.
#![no_main]

use cloudauth_core::aws::sigv4::SigV4;
use cloudauth_core::aws::sts::{
    AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity, GetSessionToken,
};
use cloudauth_core::aws::{Credentials, SecretAccessKey, SigningKey};
use cloudauth_core::xml::{self, Element};
use cloudauth_core::{Exchange, ResponseHead, UnixTime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut text = data.to_vec();
    if let Ok(root) = xml::parse(&mut text) {
        let document = std::str::from_utf8(data).expect("UTF-8");
        match roxmltree::Document::parse(document) {
            Ok(document) => same(root, document.root_element(), !data.contains(&b'\r')),
            // Namespaces are not looked at here.
            Err(
                roxmltree::Error::DuplicatedAttribute(..)
                | roxmltree::Error::DuplicatedNamespace(..)
                | roxmltree::Error::InvalidElementNamePrefix(_)
                | roxmltree::Error::InvalidXmlPrefixUri(_)
                | roxmltree::Error::UnexpectedXmlUri(_)
                | roxmltree::Error::UnexpectedXmlnsUri(_)
                | roxmltree::Error::UnknownNamespace(..),
            ) => {}
            Err(error) => panic!("roxmltree does not read it: {error}"),
        }
    }
    let now = UnixTime::new(1_795_348_800).expect("a time");
    let secret = SecretAccessKey::new("secret").expect("a secret");
    let key = SigningKey::derive(&secret, now, "us-east-1", "sts").expect("a key");
    let signer = SigV4::new("AKIDEXAMPLE", &key);
    for status in [200, 403] {
        let head = ResponseHead { status, headers: &[] };
        let role = AssumeRole::new(signer, "arn:aws:iam::123456789012:role/r", "session");
        if let Ok(role) = role.response(&head, &mut data.to_vec()) {
            assert_eq!(status, 200);
            complete(role.credentials);
        }
        let arn = "arn:aws:iam::123456789012:role/r";
        let web = AssumeRoleWithWebIdentity::new("us-east-1", arn, "session", "token");
        if let Ok(web) = web.response(&head, &mut data.to_vec()) {
            assert_eq!(status, 200);
            complete(web.role.credentials);
        }
        if let Ok(own) = GetSessionToken::new(signer).response(&head, &mut data.to_vec()) {
            assert_eq!(status, 200);
            complete(own);
        }
        if let Ok(who) = GetCallerIdentity::new(signer).response(&head, &mut data.to_vec()) {
            assert_eq!(status, 200);
            assert!(!who.account.is_empty() && !who.arn.is_empty());
        }
    }
});

fn complete(credentials: Credentials<'_>) {
    assert!(!credentials.access_key_id.is_empty());
    assert!(!credentials.secret_access_key.expose().is_empty());
    assert!(!credentials.session_token.expose().is_empty());
}

/// Line ends are left out of the comparison where there is a CR: before a reference roxmltree keeps it.
fn same(ours: Element<'_>, theirs: roxmltree::Node<'_, '_>, texts_too: bool) {
    assert_eq!(ours.name(), theirs.tag_name().name());
    let mut children = theirs.children().filter(|child| child.is_element());
    let mut leaf = true;
    for child in ours.children() {
        leaf = false;
        same(child, children.next().expect("as many children"), texts_too);
    }
    assert!(children.next().is_none());
    if leaf && texts_too {
        let texts = theirs.children().filter(|child| child.is_text()).filter_map(|t| t.text());
        assert_eq!(ours.text(), texts.collect::<String>());
    }
}
