//! The flags of the `aws-channel-jwt-credential` process credential, read as Go's package `flag` reads them.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use cloudauth_client::{Attested, AttestedScheme, SeedRequest};
use cloudauth_core::attest::teeserver::SOCKET;
use cloudauth_keys::KeyUri;

use crate::error::CliError;

/// What a flag is followed by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing, or `=true` and its like.
    Bool,
    Number,
    Text,
}
use Kind::{Bool, Number, Text};

/// Name, kind, default, and what it says.
const FLAGS: &[(&str, Kind, &str, &str)] = &[
    ("attestation_token_path", Text, SOCKET, "the socket that gives attestation tokens"),
    ("audience", Text, "", "the audience of the attestation token"),
    ("aws-access-key-id", Text, "", "an access key id, which the broker does not use"),
    ("aws-arn", Text, "", "the role to assume"),
    ("aws-region", Text, "", "a region, which the broker does not use"),
    ("aws-session-name", Text, "", "the role session's name (default gcp- and a UUID)"),
    ("cert", Text, "", "the client certificate, PEM"),
    ("duration", Number, "900", "the life of the credentials in seconds, at least 900"),
    ("endpoint", Text, "", "the URL of the broker's API"),
    ("host", Text, "", "the host:port to connect to"),
    (
        "key",
        Text,
        "",
        "the client certificate's key: a PEM file, or a key URI such as tpm:… or pkcs11:…",
    ),
    ("sts-sni", Text, "", "the name in the broker's certificate (default the host connected to)"),
    ("trust-ca", Text, "", "the certificates that the broker's is held against, PEM"),
    ("use-assume-role", Bool, "false", "assume the role of --aws-arn"),
    ("use-mtls", Bool, "false", "show the client certificate"),
];

/// The values of all flags.
#[derive(Debug)]
struct Values(Vec<String>);

impl Values {
    fn get(&self, name: &str) -> &str {
        let at = FLAGS.iter().position(|(flag, ..)| *flag == name);
        at.and_then(|at| self.0.get(at)).map_or("", String::as_str)
    }

    /// A value that must be there.
    fn required(&self, name: &str) -> Result<&str, CliError> {
        match self.get(name) {
            "" => Err(CliError::Usage(format!("--{name} is missing; see -h"))),
            value => Ok(value),
        }
    }

    fn is(&self, name: &str) -> bool {
        self.get(name) == "true"
    }
}

/// What the flags ask for; `None` when they asked for help, and got it.
pub(super) fn read(flags: &[OsString]) -> Result<Option<Attested>, CliError> {
    let flags: Option<Vec<_>> = flags.iter().map(|flag| flag.to_str()).collect();
    let flags = flags.ok_or_else(|| CliError::Usage("a flag is not UTF-8".to_owned()))?;
    let Some(values) = parse(&flags)? else {
        // Where Go writes it.
        let _ = std::io::stderr().write_all(help().as_bytes());
        return Ok(None);
    };
    source(&values).map(Some)
}

/// One or two dashes; a value behind `=` or in the next argument, but for booleans; of a repeated flag the last
/// counts; `--` ends the flags.
fn parse(args: &[&str]) -> Result<Option<Values>, CliError> {
    let usage = |text: String| Err(CliError::Usage(format!("{text}; see -h")));
    let mut values = Values(FLAGS.iter().map(|(_, _, default, _)| (*default).to_owned()).collect());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let flag = match arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) {
            Some("") if *arg == "--" => break,
            Some(flag) if !flag.is_empty() => flag,
            // Go stops here, and leaves out what follows: `--use-mtls true --cert=…` loses the certificate.
            _ => {
                return usage(format!(
                    "{arg:?} is no flag (a boolean takes its value with an equals sign: --use-mtls=true)"
                ));
            }
        };
        if flag.starts_with(['-', '=']) {
            return usage(format!("bad flag syntax: {arg}"));
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let found = FLAGS.iter().zip(&mut values.0).find(|((flag, ..), _)| *flag == name);
        let Some(((_, kind, ..), to)) = found else {
            if matches!(name, "h" | "help") {
                return Ok(None);
            }
            return usage(format!("flag provided but not defined: -{name}"));
        };
        let value = match (kind, value) {
            (Bool, None) => "true",
            (_, Some(value)) => value,
            (Number | Text, None) => match args.next() {
                Some(value) => value,
                None => return usage(format!("flag needs an argument: -{name}")),
            },
        };
        *to = match kind {
            Text => value.to_owned(),
            Bool => match value {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => "true".to_owned(),
                "0" | "f" | "F" | "FALSE" | "false" | "False" => "false".to_owned(),
                _ => return usage(format!("invalid boolean value {value:?} for -{name}")),
            },
            Number => match number(value) {
                Some(number) => number.to_string(),
                None => return usage(format!("invalid value {value:?} for flag -{name}")),
            },
        };
    }
    Ok(Some(values))
}

/// A number as Go's literals are written: decimal, 0b, 0o or 0x, octal behind a 0 alone, an underscore between
/// digits or behind the prefix, and a sign. `None` also for one that no flag takes: below zero, or above 32 bits.
fn number(text: &str) -> Option<u32> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0b") => (2, text.get(2..)?),
        Some("0o") => (8, text.get(2..)?),
        Some("0x") => (16, text.get(2..)?),
        _ if text.len() > 1 && text.starts_with('0') => (8, text.get(1..)?),
        _ => (10, text),
    };
    // One behind the prefix stands between digits, for Go; one in front of everything does not.
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if digits.split('_').any(|part| part.is_empty() || part.starts_with(['+', '-'])) {
        return None;
    }
    let number = u32::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    (!negative || number == 0).then_some(number)
}

fn source(values: &Values) -> Result<Attested, CliError> {
    let text = |name| Some(values.get(name).to_owned()).filter(|text| !text.is_empty());
    let (certificate, key) = if values.is("use-mtls") {
        let key = values.required("key")?;
        let uri = ["env:", "file:", "pkcs11:", "tpm:"].iter().any(|scheme| key.starts_with(scheme));
        let key = if uri { KeyUri::parse(key)? } else { KeyUri::of_file(key.as_ref())? };
        (Some(PathBuf::from(values.required("cert")?)), Some(key))
    } else {
        (None, None)
    };
    let use_assume_role = values.is("use-assume-role");
    if use_assume_role {
        values.required("aws-arn")?;
    }
    let duration = values.get("duration").parse().ok().filter(|seconds| *seconds >= 900);
    if duration.is_none() {
        return Err(CliError::Usage("--duration: expected at least 900 seconds".to_owned()));
    }
    Ok(Attested {
        broker: values.required("endpoint")?.to_owned(),
        address: Some(values.required("host")?.to_owned()),
        server_name: text("sts-sni"),
        ca_file: Some(values.required("trust-ca")?.into()),
        audience: values.required("audience")?.to_owned(),
        teeserver: Some(values.required("attestation_token_path")?.into()),
        certificate,
        key,
        scheme: AttestedScheme::Seed,
        seed: Some(SeedRequest::Aws {
            use_assume_role,
            access_key_id: values.get("aws-access-key-id").to_owned(),
            role_arn: values.get("aws-arn").to_owned(),
            region: values.get("aws-region").to_owned(),
            duration,
            session_name: text("aws-session-name"),
        }),
        ..Attested::default()
    })
}

fn help() -> String {
    let mut text = "Usage of cloudauth attested seed:\n".to_owned();
    for (name, kind, default, says) in FLAGS {
        let takes = match kind {
            Bool => "",
            Number => " number",
            Text => " text",
        };
        let default = match *default {
            "" | "false" => String::new(),
            default => format!(" (default {default})"),
        };
        text += &format!("  -{name}{takes}\n        {says}{default}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 4] = [
        "--host=localhost:8081",
        "--endpoint=https://s.example:8081/token",
        "--audience=https://s.example",
        "--trust-ca=ca.pem",
    ];

    fn refused(more: &[&str]) -> String {
        let args: Vec<_> = GOOD.iter().chain(more).copied().map(OsString::from).collect();
        match read(&args) {
            Err(CliError::Usage(text)) => text,
            other => panic!("{more:?}: {other:?}"),
        }
    }

    fn good(more: &[&str]) -> Attested {
        let args: Vec<_> = GOOD.iter().chain(more).copied().map(OsString::from).collect();
        read(&args).unwrap().unwrap()
    }

    #[test]
    fn as_go_reads_them() {
        let of = |args: &[&str]| {
            let values = parse(args).unwrap().unwrap();
            ["host", "use-mtls", "duration", "audience"].map(|name| values.get(name).to_owned())
        };
        for (args, expected) in [
            (&[][..], ["", "false", "900", ""]),
            (&["-host=a", "--use-mtls"], ["a", "true", "900", ""]),
            (&["-host", "a", "-use-mtls=T", "--duration", "901"], ["a", "true", "901", ""]),
            (&["--audience=a", "--audience=b", "-audience=c=d"], ["", "false", "900", "c=d"]),
            (&["--use-mtls", "--use-mtls=0"], ["", "false", "900", ""]),
            // The next argument, whatever it looks like.
            (&["-host", "--use-mtls"], ["--use-mtls", "false", "900", ""]),
            (&["--host=a", "--", "--host=b"], ["a", "false", "900", ""]),
            (&["--audience="], ["", "false", "900", ""]),
        ] {
            assert_eq!(of(args), expected, "{args:?}");
        }
        for help in ["-h", "--h", "-help", "--help"] {
            assert!(parse(&["--host=a", help, "--nonsense"]).unwrap().is_none());
        }
        for (args, says) in [
            (&["--use-mtls", "true"][..], "equals sign"),
            (&["-"], "no flag"),
            (&["---host=a"], "syntax"),
            (&["--=a"], "syntax"),
            (&["--hosts=a"], "not defined: -hosts"),
            (&["--host"], "needs an argument"),
            (&["--use-mtls=yes"], "boolean"),
            (&["--duration=15m"], "duration"),
            (&["--duration=-1"], "duration"),
        ] {
            assert!(refused(args).contains(says), "{args:?}: {}", refused(args));
        }
    }

    /// What `strconv.ParseInt(text, 0, …)` makes of them.
    #[test]
    fn numbers_as_go_writes_them() {
        for (text, expected) in [
            ("900", 900),
            ("+900", 900),
            ("1_000", 1000),
            ("0x384", 900),
            ("0X3_8_4", 900),
            ("0x_384", 900),
            ("0o1604", 900),
            ("0O1604", 900),
            ("01604", 900),
            ("0_1604", 900),
            ("0b11_1000_0100", 900),
            ("0", 0),
            ("-0", 0),
            ("00", 0),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "+",
            "-",
            "_",
            "_900",
            "900_",
            "9__00",
            "0900",
            "0_",
            "0x",
            "0x_",
            "0x__1",
            "0b2",
            "0o8",
            "0xg",
            "++9",
            "+-9",
            "0x+9",
            "0+7",
            "1_+0",
            "-900",
            "4294967296",
            " 900",
            "9e2",
            "900.0",
            "é0",
            "0é",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert!(refused(&["--duration=0900"]).contains("invalid value"));
        let Some(SeedRequest::Aws { duration, .. }) = good(&["--duration=0x385"]).seed else {
            panic!()
        };
        assert_eq!(duration, Some(901));
    }

    #[test]
    fn what_they_ask_for() {
        let plain = good(&[]);
        assert_eq!(plain.address.as_deref(), Some("localhost:8081"));
        assert_eq!((plain.server_name, plain.certificate), (None, None));
        assert_eq!(plain.teeserver, Some(SOCKET.into()));
        assert!(!plain.trust_environment);
        let mutual = ["--use-mtls", "--cert=c.pem", "--key=k.pem"];
        assert_eq!(good(&mutual).key.unwrap().to_string(), "file:k.pem");
        let device = ["--use-mtls", "--cert=c.pem", "--key=tpm:handle=0x81000001"];
        assert_eq!(good(&device).key.unwrap().to_string(), "tpm:handle=0x81000001");
        // Only with --use-mtls, as it was.
        assert!(good(&["--cert=c.pem", "--key=k.pem"]).certificate.is_none());
        let role = good(&["--use-assume-role", "--aws-arn=arn:r", "--aws-session-name=s"]);
        let Some(SeedRequest::Aws { use_assume_role, role_arn, session_name, .. }) = role.seed
        else {
            panic!()
        };
        assert_eq!((use_assume_role, role_arn.as_str()), (true, "arn:r"));
        assert_eq!(session_name.as_deref(), Some("s"));
        for (more, says) in [
            (&["--use-mtls"][..], "--key"),
            (&["--use-mtls", "--key=k"], "--cert"),
            (&["--use-assume-role"], "--aws-arn"),
            (&["--duration=899"], "900"),
            (&["--audience="], "--audience"),
            (&["--attestation_token_path="], "--attestation_token_path"),
        ] {
            assert!(refused(more).contains(says), "{more:?}");
        }
    }
}
