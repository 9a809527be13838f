use super::*;
use crate::KeyUri;
use proptest::prelude::*;

fn parse(text: &str) -> Pkcs11Uri {
    KeyUri::parse(text).unwrap().pkcs11().unwrap().clone()
}

fn refused(text: &str) -> String {
    match KeyUri::parse(text) {
        Err(KeyError::Uri { help } | KeyError::SecretReference { help }) => help,
        other => panic!("{text}: {other:?}"),
    }
}

/// The examples of RFC 7512, section 3. Two name a PIN in a way that is refused here.
#[test]
fn the_rfc_s_examples() {
    assert_eq!(parse("pkcs11:"), Pkcs11Uri::default());
    let uri = parse("pkcs11:object=my-pubkey;type=public");
    assert_eq!(uri.object.as_deref(), Some("my-pubkey"));
    assert_eq!(uri.object_type, Some(Pkcs11Type::Public));
    let uri = parse("pkcs11:object=my-key;type=private?pin-source=file:/etc/token");
    assert_eq!(
        uri.pin_source,
        Some(PinSource::Secret(SecretRef::parse("file:/etc/token").unwrap()))
    );
    let uri = parse(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;\
         model=1.0;object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=\
         ?pin-source=file:/etc/token_pin",
    );
    assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
    assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
    assert_eq!(uri.model.as_deref(), Some("1.0"));
    assert_eq!(uri.serial.as_deref(), Some(""));
    assert_eq!(uri.id.as_deref(), Some(&b"\x69\x95\x3e\x5c\xf4\xbd\xec\x91"[..]));
    let uri = parse("pkcs11:object=my-sign-key;type=private?module-name=mypkcs11");
    assert_eq!(uri.module_name.as_deref(), Some("mypkcs11"));
    let uri = parse("pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1");
    assert_eq!(uri.module_path, Some(PathBuf::from("/mnt/libmypkcs11.so.1")));
    let uri = parse(
        "pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?pin-value=the-pin",
    );
    assert_eq!(uri.pin_value.as_ref().unwrap().as_str(), "the-pin");
    let uri = parse("pkcs11:slot-description=Sun%20Metaslot");
    assert_eq!(uri.slot_description.as_deref(), Some("Sun Metaslot"));
    let uri = parse(
        "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;\
         library-version=1.23",
    );
    assert_eq!(uri.library_version, Some((1, 23)));
    // The one with vendor attributes.
    assert!(refused("pkcs11:token=x;object=y;x-vend-aaa=value-a").contains("vendors' own"));
    let uri = parse(
        "pkcs11:token=My%20token%25%20created%20by%20Joe;library-version=3;id=%01%02%03%Ba%dd%Ca%fe%04%05%06",
    );
    assert_eq!(uri.token.as_deref(), Some("My token% created by Joe"));
    assert_eq!(uri.library_version, Some((3, 0)));
    assert_eq!(uri.id.as_deref(), Some(&b"\x01\x02\x03\xba\xdd\xca\xfe\x04\x05\x06"[..]));
    let uri = parse(
        "pkcs11:token=A%20name%20with%20a%20substring%20%25%3B;object=my-certificate;type=cert",
    );
    assert_eq!(uri.token.as_deref(), Some("A name with a substring %;"));
    let uri = parse(
        "pkcs11:token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1;object=my-certificate;type=cert",
    );
    assert_eq!(uri.token.as_deref(), Some("Name with a small A with acute: á"));
    let uri = parse(
        "pkcs11:token=my-token;object=my-certificate;type=cert;?pin-source=%7C/usr/lib/pinomatic"
            .replace(";?", "?")
            .as_str(),
    );
    assert_eq!(
        uri.pin_source,
        Some(PinSource::Command(Zeroizing::new("/usr/lib/pinomatic".to_owned())))
    );
    assert!(!format!("{uri:?} {uri} {:?}", uri.pin_source).contains("pinomatic"));
}

#[test]
fn refusals() {
    let cases = [
        ("pkcs11:token=a;token=a", "token stands there twice"),
        ("pkcs11:id=%01;id=%02", "id stands there twice"),
        ("pkcs11:type=private;type=private", "type stands there twice"),
        ("pkcs11:slot-id=1;slot-id=1", "slot-id stands there twice"),
        ("pkcs11:library-version=1;library-version=1", "library-version stands there twice"),
        ("pkcs11:?module-name=a&module-name=a", "module-name stands there twice"),
        ("pkcs11:?module-path=a&module-path=a", "module-path stands there twice"),
        ("pkcs11:?pin-source=fd:3&pin-source=fd:3", "pin-source stands there twice"),
        ("pkcs11:?pin-value=99887766&pin-value=99887766", "pin-value stands there twice"),
        ("pkcs11:?pin-value=99887766&pin-source=fd:3", "exclude each other"),
        ("pkcs11:token", "NAME=VALUE"),
        ("pkcs11:=a", "NAME=VALUE"),
        ("pkcs11:token=a;", "NAME=VALUE"),
        ("pkcs11:token=a;;object=b", "NAME=VALUE"),
        ("pkcs11:token=a?", "NAME=VALUE"),
        ("pkcs11:token=a?module-name=m&", "NAME=VALUE"),
        ("pkcs11:?99887766", "NAME=VALUE"),
        ("pkcs11:Token=a", "unknown attribute of"),
        ("pkcs11:tok%65n=a", "unknown attribute of"),
        ("pkcs11:slot=1", "it is slot-id"),
        ("pkcs11:label=1", "it is object"),
        ("pkcs11:pin=99887766", "it is pin-source"),
        ("pkcs11:?99887766=x", "unknown attribute of"),
        ("pkcs11:pin-value=99887766", "behind the question mark"),
        ("pkcs11:module-path=/x", "behind the question mark"),
        ("pkcs11:?token=t", "before the question mark"),
        ("pkcs11:token=a b", "%20"),
        ("pkcs11:token=a/b", "%2F"),
        ("pkcs11:token=ü", "%C3%BC"),
        ("pkcs11:token=%", "%25"),
        ("pkcs11:token=%4", "%25"),
        ("pkcs11:token=%4g", "%25"),
        ("pkcs11:token=%ff", "token is not UTF-8"),
        ("pkcs11:?pin-value=99887766%ff", "pin-value is not UTF-8"),
        ("pkcs11:type=PRIVATE", "type is one of"),
        ("pkcs11:type=", "type is one of"),
        ("pkcs11:slot-id=", "decimal"),
        ("pkcs11:slot-id=+1", "decimal"),
        ("pkcs11:slot-id=0x1", "decimal"),
        ("pkcs11:slot-id=18446744073709551616", "decimal"),
        ("pkcs11:library-version=", "a number or two"),
        ("pkcs11:library-version=1.2.3", "a number or two"),
        ("pkcs11:library-version=256", "a number or two"),
        ("pkcs11:library-version=1.+2", "a number or two"),
        ("pkcs11:?module-name=", "without lib"),
        ("pkcs11:?module-name=../evil", "without lib"),
        ("pkcs11:?module-name=..", "without lib"),
        ("pkcs11:?module-name=a%2Fb", "without lib"),
        ("pkcs11:?module-path=", "wants the path"),
        ("pkcs11:?module-path=a%00b", "wants the path"),
        ("pkcs11:?module-path=m?pin-value=99887766", "second question mark"),
        ("pkcs11:token=t,pin-value=99887766", "inside another attribute"),
        ("pkcs11:?pin-value=", "pin-value is empty"),
        ("pkcs11:?pin-source=", "env:NAME"),
        ("pkcs11:?pin-source=99887766", "env:NAME"),
        ("pkcs11:?pin-source=/run/99887766", "env:NAME"),
    ];
    for (text, expected) in cases {
        let help = refused(text);
        assert!(help.contains(expected), "{text}: {help}");
        assert!(!help.contains("99887766"), "{text}: {help}");
    }
    // Their neighbours.
    for accepted in [
        "pkcs11:token=a;object=a",
        "pkcs11:slot-id=18446744073709551615",
        "pkcs11:library-version=255.255",
        "pkcs11:token=a%2Fb",
        "pkcs11:token=",
        "pkcs11:id=",
        "pkcs11:id=%00%ff",
        "pkcs11:object=a:[]@!$'()*+,=&b",
        "pkcs11:?module-name=softhsm2",
        "pkcs11:?module-path=a%3Fb",
        "pkcs11:?pin-value=1%262",
        "pkcs11:?pin-source=file:/run/pin%2520x",
        "PKCS11:token=t",
    ] {
        parse(accepted);
    }
}

#[test]
fn the_variables_that_hold_the_pin() {
    let names = |text: &str| KeyUri::parse(text).unwrap().env_variables();
    assert_eq!(names("pkcs11:token=t"), [crate::PIN_VARIABLE]);
    assert_eq!(names("pkcs11:token=t?pin-source=env:HSM_PIN"), ["HSM_PIN"]);
    assert!(names("pkcs11:token=t?pin-source=file:/run/pin").is_empty());
    assert!(names("pkcs11:token=t?pin-value=1234").is_empty());
    assert!(KeyUri::parse("pkcs11:token=t?pin-value=1234").unwrap().holds_secret());
    assert!(!KeyUri::parse("pkcs11:token=t?pin-source=env:X").unwrap().holds_secret());
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("\\PC{0,12}|[ -~]{0,12}|[\u{0}-\u{ff}]{0,6}")
}

prop_compose! {
    fn any_uri()(
        (token, manufacturer, serial, model) in (text(), text(), text(), text()),
        (library_manufacturer, library_description, object) in (text(), text(), text()),
        (slot_manufacturer, slot_description) in (text(), text()),
        library_version in any::<Option<(u8, u8)>>(),
        id in any::<Option<Vec<u8>>>(),
        slot_id in any::<Option<u64>>(),
        object_type in proptest::option::of(proptest::sample::select(&Pkcs11Type::ALL[..])),
        module_path in proptest::option::of("/[ -~]{0,20}"),
        module_name in proptest::option::of("[a-z0-9][a-z0-9._+-]{0,10}"),
        source in proptest::option::of("env:[A-Z_]{1,8}|file:/[a-z]{1,8}|file:/%20[a-z]{1,8}|fd:[1-9]"),
    ) -> Pkcs11Uri {
        Pkcs11Uri {
            token, manufacturer, serial, model,
            library_manufacturer, library_description, library_version,
            object, id, object_type,
            slot_id, slot_manufacturer, slot_description,
            module_path: module_path.map(PathBuf::from),
            module_name,
            pin_source: source.map(|s| PinSource::Secret(SecretRef::parse(&s).unwrap())),
            pin_value: None,
        }
    }
}

proptest! {
    #[test]
    fn round_trip(uri in any_uri()) {
        let written = uri.to_string();
        prop_assert_eq!(parse(&written), uri.clone(), "{}", written);
        let shown = KeyUri::parse(&written).unwrap();
        prop_assert_eq!(shown.to_string(), written);
    }

    #[test]
    fn never_panics(path in "([a-z-]{0,9}=?[!-~]{0,9};?){0,4}", query in "([a-z-]{0,9}=?[!-~]{0,9}&?){0,4}") {
        let _ = Pkcs11Uri::parse(&path, Some(&query));
    }

    #[test]
    fn any_pin(pin in "[!-~ä ]{1,20}") {
        let encoded: String = pin.bytes().map(|b| format!("%{b:02x}")).collect();
        let uri = KeyUri::parse(&format!("pkcs11:token=t?pin-value={encoded}")).unwrap();
        prop_assert_eq!(uri.pkcs11().unwrap().pin_value.as_ref().unwrap().as_str(), pin);
        let shown = format!("{uri} {uri:?} {:?}", uri.pkcs11());
        prop_assert!(!shown.contains(&encoded));
    }
}
