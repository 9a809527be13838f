//! What does not load, and what is said of it.

use super::world::*;
use crate::config::Config;

#[track_caller]
fn wrong(world: &World, attested: &str, give: &str, parts: &[&str]) {
    let error = world.grant(attested, give).err().unwrap_or_else(|| panic!("loads: {attested}"));
    let found = error.lines().iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(found, "{attested}\n{give}\n{error}");
    assert!(
        error.lines().iter().all(|line| line.starts_with("broker.toml: grants.g: ")),
        "{error}"
    );
}

/// [`WORKLOAD`] without the field.
fn without(field: &str) -> String {
    let lines = WORKLOAD.lines().filter(|line| !line.starts_with(field));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_must_be_fixed_or_waived() {
    let world = World::new();
    world.grant(WORKLOAD, GIVE).unwrap();
    for (field, name) in [
        ("issuer", "issuer"),
        ("image-digests", "image"),
        ("dbgstat", "debug"),
        ("swname", "swname"),
        ("hwmodel", "hwmodel"),
        ("projects", "project"),
    ] {
        let rest = without(field);
        let place = format!("attested: {name}: is neither fixed nor waived");
        wrong(&world, &rest, GIVE, &[&place, &format!("waive = [\"{name}\"]")]);
        let waived = format!("{rest}\nwaive = ['{name}']");
        world.grant(&waived, GIVE).unwrap();
        wrong(
            &world,
            &format!("{WORKLOAD}waive = ['{name}']"),
            GIVE,
            &["waive", "is waived, and yet"],
        );
    }
    for (name, value) in [
        ("env", "{ A = 'b' }"),
        ("env-override", "{ A = 'b' }"),
        ("cmd-override", "['x']"),
        ("args", "['x']"),
    ] {
        world.grant(&format!("{WORKLOAD}waive = ['{name}']"), GIVE).unwrap();
        world.grant(&format!("{WORKLOAD}{name} = {value}"), GIVE).unwrap();
        let both = format!("{WORKLOAD}waive = ['{name}']\n{name} = {value}");
        wrong(&world, &both, GIVE, &["waive", "and yet"]);
    }
    let account =
        format!("{}\nservice-accounts = 'w@p.iam.gserviceaccount.com'", without("projects"));
    world.grant(&account, GIVE).unwrap();

    let head = world.head().replace(&format!("audience = '{AUDIENCE}'\n"), "");
    let text = format!("{head}[grants.g.attested]\n{WORKLOAD}\n[grants.g.give]\n{GIVE}");
    let error = world.load(&text).err().unwrap();
    assert!(error.to_string().contains("audience: is neither fixed nor waived"), "{error}");
    for fixed in ["audience = 'a'", "waive = ['audience']"] {
        let text =
            format!("{head}[grants.g.attested]\n{fixed}\n{WORKLOAD}\n[grants.g.give]\n{GIVE}");
        world.load(&text).unwrap();
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let world = World::new();
    let error =
        world.grant("issuer = 'google'", "kind = 'aws-session-token'\nregion = 'r'").err().unwrap();
    for part in ["image:", "debug:", "swname:", "hwmodel:", "project:", "give: accept-base-rights:"]
    {
        assert!(error.lines().iter().any(|line| line.contains(part)), "{part}: {error}");
    }
}

#[test]
fn what_could_never_hold() {
    let world = World::new();
    for (more, place) in [
        ("swversion = 1", "unknown field"),
        ("mrenclave = 'ab'", "unknown field"),
        ("waive = ['exp']", "\"exp\" cannot be waived"),
        ("waive = ['nonce']", "\"nonce\" cannot be waived"),
        ("waive = ['signature']", "\"signature\" cannot be waived"),
        ("zones = []", "zones"),
        ("zones = ''", "zones"),
        ("zones = 'europe-*'", "compared exactly"),
        ("zones = 1", "zones"),
        ("secure-boot = 'yes'", "secure-boot"),
        ("image-signature-keys = 'k'", "not both"),
        ("client-certificate = 'required'", "no client is asked for one"),
        ("client-certificate = 'optional'", "client-certificate"),
        ("source-networks = []", "source-networks"),
        ("source-networks = ['10.0.0.0/33']", "source-networks"),
        ("audience = ''", "audience"),
        ("claims = { 'a' = 1 }", "JSON pointer"),
        ("claims = { '/a~2' = 1 }", "JSON pointer"),
        ("claims = { '/a' = [] }", "is empty"),
        ("claims = { '/a' = 1.5 }", "claims"),
        ("claims = { '/a' = { least = 1 } }", "claims"),
    ] {
        wrong(&world, &format!("{WORKLOAD}{more}"), GIVE, &["attested", place]);
    }
    for (field, value, place) in [
        ("image-digests", "image-digests = 'latest'", "64 lower-case"),
        ("image-digests", "image-digests = []", "is empty"),
        ("dbgstat", "dbgstat = 'enabled'", "disabled-since-boot"),
        ("issuer", "issuer = 'nobody'", "[issuers.nobody]"),
        ("issuer", "issuer = []", "is empty"),
        ("issuer", "issuer = ['google', 'microsoft']", "two kinds"),
    ] {
        wrong(&world, &format!("{}\n{value}", without(field)), GIVE, &["attested", place]);
    }
}

#[test]
fn versions() {
    let world = World::new();
    for good in ["250101", "261299", "260800", "20260800", "20251299"] {
        world.grant(&format!("{WORKLOAD}min-swversion = {good}"), GIVE).unwrap();
    }
    for bad in ["0", "26", "2608", "26080", "2026080", "202608001", "260000", "261300", "20260000"]
    {
        let attested = format!("{WORKLOAD}min-swversion = {bad}");
        wrong(&world, &attested, GIVE, &["attested: min-swversion", "YYYYMM##"]);
    }
}

#[test]
fn microsofts() {
    let world = World::new();
    let base = "issuer = 'microsoft'\npolicy-hashes = 'h'\ndebuggable = false\n";
    let sgx = format!("{base}type = 'sgx'\n");
    let give = GIVE;
    for good in [
        "type = 'sgx'\nmrenclave = 'ab'",
        "type = 'sgx'\nmrsigner = 'ab'\nproduct-id = 1\nmin-svn = 1",
        "type = 'sgx'\nwaive = ['measurement']",
        "type = 'sevsnpvm'\nlaunch-measurements = 'ab'\nhost-data = 'cd'",
        "type = 'sevsnpvm'\nlaunch-measurements = 'ab'\nwaive = ['host-data']",
        "type = 'sevsnpvm'\nhost-data = 'cd'\nwaive = ['measurement']",
        "type = 'sevsnpvm'\nwaive = ['measurement', 'host-data']",
        "type = 'tdxvm'\nmrtd = 'ab'\nconfig-id = 'cd'\nrtmr1 = '01'\nrtmr2 = '02'\nrtmr3 = '03'",
        // Software in the domain has added nothing.
        "type = 'tdxvm'\nmrtd = 'ab'\nconfig-id = 'cd'\nrtmr1 = '01'\nrtmr2 = '02'\nrtmr3 = '00'",
        "type = 'tdxvm'\nmrtd = 'ab'\nwaive = ['config-id', 'rtmr']",
        "type = 'sevsnpvm'\nlaunch-measurements = 'ab'\nhost-data = '0010'",
    ] {
        world.grant(&format!("{base}{good}"), give).unwrap();
    }
    for (bad, place) in [
        ("mrenclave = 'AB'", "lower-case"),
        ("mrenclave = 'abc'", "lower-case"),
        ("", "measurement: is neither fixed nor waived"),
        ("mrsigner = 'ab'", "measurement"),
        ("mrsigner = 'ab'\nproduct-id = 1", "measurement"),
        ("mrenclave = 'ab'\nmrsigner = 'ab'\nproduct-id = 1\nmin-svn = 1", "measurement"),
        ("mrenclave = 'ab'\nhost-data = 'ab'", "host-data"),
        ("mrenclave = 'ab'\nwaive = ['measurement']", "and yet"),
        ("mrenclave = 'ab'\naudience = 'a'", "audience"),
        ("mrenclave = 'ab'\nimage-digests = 'x'", "unknown field"),
    ] {
        wrong(&world, &format!("{sgx}{bad}"), give, &["attested", place]);
    }
    for (bad, place) in [
        ("mrenclave = 'ab'", "type"),
        ("type = 'vbs'\nmrenclave = 'ab'", "type"),
        ("type = 'azurevm'\nmrenclave = 'ab'", "azurevm"),
        ("type = 'sevsnpvm'\nlaunch-measurements = 'ab'", "host-data: is neither"),
        ("type = 'sevsnpvm'\nwaive = ['measurement']", "host-data: is neither"),
        ("type = 'tdxvm'\nwaive = ['measurement']", "config-id: is neither"),
        // The firmware alone: it starts anything.
        (
            "type = 'tdxvm'\nmrtd = 'ab'\nwaive = ['config-id']",
            "give rtmr1, or write waive = [\"rtmr\"]",
        ),
        (
            "type = 'tdxvm'\nmrtd = 'ab'\nconfig-id = 'cd'\nrtmr1 = '01'\nrtmr2 = '02'",
            "give rtmr3, or write waive = [\"rtmr\"]",
        ),
        (
            "type = 'tdxvm'\nmrtd = 'ab'\nrtmr1 = '01'\nwaive = ['config-id', 'rtmr']",
            "\"rtmr\" is waived, and yet rtmr1",
        ),
        ("type = 'sgx'\nmrenclave = 'ab'\nrtmr1 = '01'", "rtmr1: says nothing of the type"),
        // Zeros say nothing.
        (
            "type = 'sevsnpvm'\nlaunch-measurements = 'ab'\nhost-data = ['cd', '0000']",
            "host-data: is all zeros: the host set nothing at launch",
        ),
        (
            "type = 'sevsnpvm'\nlaunch-measurements = 'ab'\nhost-data = '00'",
            "waive = [\"host-data\"]",
        ),
        ("type = 'tdxvm'\nmrtd = 'ab'\nconfig-id = '00'", "waive = [\"config-id\"]"),
        ("type = 'tdxvm'\nmrtd = 'ab'\nrtmr1 = '00'", "rtmr1: is all zeros: no kernel"),
        ("type = 'tdxvm'\nmrtd = 'ab'\nrtmr2 = '00'", "rtmr2: is all zeros"),
        (
            "type = 'sevsnpvm'\nlaunch-measurements = 'ab'\nhost-data = 'cd'\nwaive = ['measurement']",
            "and yet",
        ),
    ] {
        wrong(&world, &format!("{base}{bad}"), give, &["attested", place]);
    }
    let sgx = "issuer = 'microsoft'\ntype = 'sgx'\nmrenclave = 'ab'\n";
    wrong(&world, &format!("{sgx}debuggable = false"), give, &["policy-hash: is neither"]);
    wrong(&world, &format!("{sgx}policy-hashes = 'h'"), give, &["debug: is neither"]);
    wrong(&world, &format!("{sgx}policy-hashes = 'h'\ndebuggable = true"), give, &["debuggable"]);
}

#[test]
fn gives_that_give_too_much_or_nothing() {
    let world = World::new();
    let role = "kind = 'aws-assume-role'\nrole-arn = 'arn:aws:iam::123456789012:role/r'\nregion = 'eu-central-1'\n";
    let session = "kind = 'aws-session-token'\nregion = 'eu-central-1'\n";
    let good = |give: &str| drop(world.grant(WORKLOAD, give).unwrap());
    good(role);
    good(&format!("{session}accept-base-rights = true"));
    good(&format!("{role}source-ip = true\npolicy = '''{{\"Statement\":[]}}'''"));
    for (give, place) in [
        (session.to_owned(), "accept-base-rights"),
        (format!("{session}accept-base-rights = true\nduration = 100"), "duration"),
        (format!("{role}duration = 899"), "duration"),
        (format!("{role}duration = 43201"), "duration"),
        (format!("{role}source-ip = true"), "source-ip"),
        (format!("{role}profile = 'nobody'"), "profile"),
        (format!("{role}profile = 'p'\naccess-key-id = 'A'"), "profile"),
        (format!("{role}policy = '{{'"), "policy"),
        (format!("{role}policy = '''{{\"Statement\":[\"a-${{claim:/a}}\"]}}'''"), "policy"),
        (format!("{role}policy-file = 'missing.json'"), "missing.json"),
        (format!("{role}session-name = 'a b'"), "session-name"),
        (format!("{role}session-name = 'x-${{claim:/sub}}'"), "session-name"),
        (format!("{role}source-identity = '${{claim:sub}}'"), "source-identity"),
        (format!("{role}tags = {{ a = '${{claim:/a}}b' }}"), "tags.a"),
        (format!("{role}key = 's3cr3t'"), "key"),
        (format!("{role}unknown = 1"), "unknown"),
        ("kind = 'azure-token'\nscopes = ['s']".into(), "tenant"),
        ("kind = 'azure-token'\ntenant = 't'".into(), "scopes"),
        ("kind = 'gcp-token'\nkey = 'file:k'".into(), "scopes"),
        ("kind = 'gcp-token'\nkey = 'file:k'\nscopes = ['s']\nlifetime = 60".into(), "lifetime"),
        ("kind = 'gcp-oauth'\nkey = 'file:k'".into(), "scopes"),
        ("kind = 'everything'".into(), "give"),
        ("region = 'r'".into(), "kind"),
    ] {
        wrong(&world, WORKLOAD, &give, &["give", place]);
        let error = world.grant(WORKLOAD, &give).err().unwrap();
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
    // For Microsoft there is no instance to name a session after.
    let maa = "issuer = 'microsoft'\npolicy-hashes = 'h'\ndebuggable = false\ntype = 'sgx'\nmrenclave = 'ab'";
    wrong(&world, maa, role, &["give: session-name"]);
    world.grant(maa, &format!("{role}session-name = '${{claim:/jti}}'")).unwrap();
}

/// Claims that whoever starts the workload chooses, or that are the connection's secret.
#[test]
fn claims_that_say_nothing() {
    let world = World::new();
    let role = "kind = 'aws-assume-role'\nrole-arn = 'arn:aws:iam::123456789012:role/r'\nregion = 'eu-central-1'\n";
    let places = |pointer: &str| {
        let claim = format!("${{claim:{pointer}}}");
        [
            ("session-name", format!("{role}session-name = '{claim}'")),
            ("source-identity", format!("{role}source-identity = '{claim}'")),
            ("tags.a", format!("{role}tags = {{ a = '{claim}' }}")),
            (
                "policy",
                format!("{role}policy = '''{{\"Statement\":[{{\"Resource\":[\"{claim}\"]}}]}}'''"),
            ),
        ]
    };
    let refuses = |attested: &str, pointer: &str| {
        for (place, give) in places(pointer) {
            wrong(&world, attested, &give, &[&format!("give: {place}: "), pointer]);
        }
    };
    let loads = |attested: &str, pointer: &str| {
        for (_, give) in places(pointer) {
            world.grant(attested, &give).unwrap();
        }
    };
    let maa = "issuer = 'microsoft'\npolicy-hashes = 'h'\ndebuggable = false\ntype = 'sgx'\nmrenclave = 'ab'\n";
    for pointer in [
        "/eat_nonce",
        "/eat_nonce/0",
        "/nonce",
        "/x-ms-runtime/nonce",
        "/x-ms-sgx-ehd",
        "/maa-ehd",
        "/aas-ehd",
    ] {
        refuses(WORKLOAD, pointer);
        // For Microsoft's there is no session's name by default.
        for (place, give) in places(pointer) {
            let give = match place {
                "session-name" => give,
                _ => format!("session-name = 'broker'\n{give}"),
            };
            wrong(&world, maa, &give, &[&format!("give: {place}: "), pointer]);
        }
    }
    loads(WORKLOAD, "/eat_nonces");
    loads(WORKLOAD, "/x-ms-runtime/keys/0/kid");
    // A tilde is escaped: these are other names.
    loads(WORKLOAD, "/eat_nonce~10");
    loads(WORKLOAD, "/submods~1container/env/A");

    for (name, member) in [
        ("env", "env/MODE"),
        ("args", "args/1"),
        ("env-override", "env_override/MODE"),
        ("cmd-override", "cmd_override/0"),
    ] {
        for block in ["submods", "tee"] {
            let pointer = format!("/{block}/container/{member}");
            // Nothing overridden, or exactly this: the image's signer has a say in it.
            loads(WORKLOAD, &pointer);
            let value = if name.starts_with("env") { "{ MODE = 'b' }" } else { "['x']" };
            loads(&format!("{WORKLOAD}{name} = {value}\n"), &pointer);
            refuses(&format!("{WORKLOAD}waive = ['{name}']\n"), &pointer);
        }
    }
    // The whole goes by its overrides.
    for (waived, pointer) in [
        ("env-override", "/submods/container/env/MODE"),
        ("cmd-override", "/submods/container/args/1"),
    ] {
        refuses(&format!("{WORKLOAD}waive = ['{waived}']\n"), pointer);
    }
    loads(&format!("{WORKLOAD}env-override = {{ MODE = 'b' }}\n"), "/submods/container/env/MODE");
    loads(&format!("{WORKLOAD}waive = ['env']\n"), "/submods/container/args/1");

    // As a rule, the nonce of an old report's bearer says nothing either.
    let claims = |pointer: &str| format!("{maa}claims = {{ '{pointer}' = 'x' }}");
    wrong(&world, &claims("/nonce"), GIVE, &["attested: claims.\"/nonce\""]);
    world.grant(&claims("/nonces"), GIVE).unwrap();
}

#[test]
fn listeners_of_older_clients() {
    let world = World::new();
    let load = |scheme: &str, grant: &str, give: &str| {
        let head = world.head();
        world.load(&format!(
            "{head}[grants.g.attested]\n{WORKLOAD}\n[grants.g.give]\n{give}\n\
             [[compatibility]]\nlisten = '127.0.0.1:0'\nscheme = '{scheme}'\ngrant = '{grant}'"
        ))
    };
    let aws =
        "kind = 'aws-assume-role'\nrole-arn = 'arn:aws:iam::123456789012:role/r'\nregion = 'r'";
    load("seed-azure", "g", GIVE).unwrap();
    load("seed-aws", "g", aws).unwrap();
    load("google-codelab", "g", aws).unwrap();
    assert!(load("seed-aws", "g", GIVE).err().unwrap().to_string().contains("begins with aws-"));
    assert!(load("seed-azure", "g", aws).err().unwrap().to_string().contains("azure-token"));
    assert!(load("seed-aws", "h", aws).err().unwrap().to_string().contains("no grant \"h\""));
}

#[test]
fn the_file_as_a_whole() {
    let world = World::new();
    let parse = |text: &str| Config::parse(text, world.folder.path(), "broker.toml").map(drop);
    let head = world.head();
    parse(&head).unwrap();
    for (text, part) in [
        (format!("unknown = 1\n{head}"), "unknown field"),
        (head.replace("kind = 'maa'", "kind = 'other'"), "line"),
        (head.replace("[server]", "[servers]"), "unknown field"),
        (format!("{head}[grants.'a b']\nattested = {{}}\ngive = {{}}"), "A-Z a-z"),
        (format!("{head}[grants.g]\nattested = {{}}"), "give"),
        (
            format!(
                "{head}[issuers.again]\nkind = 'maa'\nissuer = '{}/maa'\nkeys = 'discovery'",
                world.emulator.url()
            ),
            "another has the same",
        ),
        (head.replace(AUDIENCE, ""), "audience"),
        (
            format!(
                "{head}[profiles.p]\nkind = 'aws-session-token'\nkey = 'pkcs11:?pin-value=s3cr3t%'"
            ),
            "line",
        ),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with("broker.toml") && error.contains(part), "{part}: {error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
    let error = world.load(&head).err().unwrap().to_string();
    assert!(error.contains("no grants"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_change() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let path = world.folder.path().join("broker.toml");
    std::fs::write(&path, world.head()).unwrap();
    let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o644);
    Config::from_file(&path).unwrap();
    mode(0o664);
    assert!(Config::from_file(&path).unwrap_err().to_string().contains("chmod go-w"));
    assert!(Config::from_file(&world.folder.path().join("none.toml")).is_err());
}

#[cfg(unix)]
#[test]
fn what_it_names_that_others_can_change() {
    use crate::check::Check;
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let folder = world.folder.path();
    let server = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    for (name, text) in [
        ("c.pem", &*server.cert.pem()),
        ("ca2.pem", world.emulator.ca_pem()),
        ("clients.pem", world.emulator.ca_pem()),
        ("policy.json", "{\"Statement\":[]}"),
        ("keys.json", &world.emulator.attacker_jwks().unwrap().to_string()),
    ] {
        write(folder, name, text);
    }
    let head = world
        .head()
        .replace(
            "[issuers.google]",
            "client-ca = 'clients.pem'\nclient-certificate = 'optional'\n[issuers.google]",
        )
        .replacen("trusted-ca = 'ca.pem'", "trusted-ca = 'ca2.pem'", 1);
    let text = format!(
        "{head}[issuers.file]\nkind = 'confidential-space'\nissuer = 'https://file.example'\n\
         keys-file = 'keys.json'\n[grants.g.attested]\n{WORKLOAD}\n[grants.g.give]\n\
         kind = 'aws-assume-role'\nrole-arn = 'arn:aws:iam::123456789012:role/r'\n\
         region = 'eu-central-1'\npolicy-file = 'policy.json'\n"
    );
    // Its issuer has a file of its own.
    let text = text.replace("issuer = 'google'", "issuer = ['google', 'file']");
    write(folder, "broker.toml", &text);
    let load = || Check::load(&folder.join("broker.toml"));
    load().unwrap();
    for name in
        ["root.pem", "ca.pem", "ca2.pem", "clients.pem", "policy.json", "keys.json", "c.pem"]
    {
        let mode = |mode| {
            let path = folder.join(name);
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        for bad in [0o664, 0o646] {
            mode(bad);
            let error = load().err().unwrap_or_else(|| panic!("{name} {bad:o}")).to_string();
            assert!(error.contains(&format!("/{name}\"")) && error.contains("go-w"), "{error}");
        }
        mode(0o644);
        load().unwrap();
    }
}

#[test]
fn google_is_known_by_name() {
    let world = World::new();
    let head = world.head().replace("[issuers.google]", "[issuers.emulated]");
    let text = format!("{head}[grants.g.attested]\n{WORKLOAD}\n[grants.g.give]\n{GIVE}");
    let loaded = world.load(&text).unwrap();
    assert!(loaded.key_sets.ready().unwrap_err().contains("issuers.google"));
}

/// The sample, whose words about flags are also checked.
const EXAMPLE: &str = include_str!("../../broker.example.toml");

#[test]
fn the_sample_loads() {
    let world = World::new();
    world.load(EXAMPLE).unwrap();
    // Every flag of the older brokers' servers.
    for flag in [
        "clientCertRootCA",
        "serverCert",
        "serverKey",
        "audience",
        "audienct",
        "awsRegion",
        "awsRoleArn",
        "awsSessionName",
        "awsAccessKeyID",
        "awsSecretAccessKey",
        "useCert",
        "azurePublic",
        "azurePrivate",
        "azureTenant",
        "azureAppID",
        "azureSecret",
        "scope",
    ] {
        let row = |line: &str| {
            let cell = line.strip_prefix("# | ").and_then(|rest| rest.split('|').next());
            cell.is_some_and(|cell| cell.split([' ', ',']).any(|word| word == flag))
        };
        assert!(EXAMPLE.lines().any(row), "{flag}");
    }
}
