//! `tests/bench`: times and allocations, each beside a peer's, measured in turn in one process.
//!
//! A shared machine's absolute times mean little, so rows are ratios: both sides run in short slices, one
//! after the other, and the ratio is the median over all pairs of slices. The one absolute goal is held
//! against the fastest of many short slices: other programs can only add to it.

// A benchmark stops at the first thing that is not as it expects.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use cloudauth_core::aws::sigv4::{Payload, Request, SigV4};
use cloudauth_core::aws::{SecretAccessKey, SigningKey};
use cloudauth_core::gcp::SelfSigned;
use cloudauth_core::jws::{self, Expect, KeySet, Token};
use cloudauth_core::verifier::Verifier;
use cloudauth_core::{Assertion as _, Attempt, Scheme, Signer as _, UnixTime};
use cloudauth_keys::{Key, PublicVerifier};

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SLICES: usize = 41;

/// One row: ours against a peer.
struct Row {
    what: &'static str,
    ours: Duration,
    peer: Duration,
    peer_name: &'static str,
    /// Our fastest short slice.
    fastest: Duration,
    /// The peer's time over ours, median over the slices.
    ratio: f64,
    allocations: usize,
    goal: Goal,
}

enum Goal {
    /// At least this many times as fast as the peer.
    Faster(f64),
    /// The same, without an allocation.
    FasterWithoutAllocation(f64),
    /// At most this much slower than the bare operation.
    Overhead(f64),
    /// At most so many microseconds in the fastest short slice, without an allocation.
    WithinWithoutAllocation(f64),
}

impl Row {
    fn measure(
        what: &'static str,
        peer_name: &'static str,
        goal: Goal,
        mut ours: impl FnMut(),
        mut peer: impl FnMut(),
    ) -> Self {
        // A slice of about 8 ms: short beside the drifts of a shared machine.
        let count = |f: &mut dyn FnMut()| {
            f();
            let start = Instant::now();
            let mut n = 0;
            while start.elapsed() < Duration::from_millis(8) {
                f();
                n += 1;
            }
            n.max(1)
        };
        let (ours_n, peer_n) = (count(&mut ours), count(&mut peer));
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        ours();
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let time = |f: &mut dyn FnMut(), n: u32| {
            let start = Instant::now();
            for _ in 0..n {
                f();
            }
            start.elapsed() / n
        };
        let mut slices: Vec<(Duration, Duration)> =
            (0..SLICES).map(|_| (time(&mut ours, ours_n), time(&mut peer, peer_n))).collect();
        let median = |slices: &mut Vec<(Duration, Duration)>,
                      key: fn(&(Duration, Duration)) -> f64| {
            slices.sort_by(|a, b| key(a).total_cmp(&key(b)));
            key(&slices[SLICES / 2])
        };
        let short = ours_n.div_ceil(40);
        let fastest = (0..SLICES * 40).map(|_| time(&mut ours, short)).min().unwrap();
        let ratio = median(&mut slices, |(o, p)| p.as_secs_f64() / o.as_secs_f64());
        let ours = Duration::from_secs_f64(median(&mut slices, |(o, _)| o.as_secs_f64()));
        let peer = Duration::from_secs_f64(median(&mut slices, |(_, p)| p.as_secs_f64()));
        Self { what, ours, peer, peer_name, fastest, ratio, allocations, goal }
    }

    /// The fastest slice, in microseconds.
    fn best(&self) -> f64 {
        self.fastest.as_secs_f64() * 1e6
    }

    /// Prints the row; gives whether the goal is met, and whether the result is far below it.
    fn print(&self) -> (bool, bool) {
        let (result, goal, met) = match self.goal {
            Goal::Faster(goal) => (
                format!("{:.2} times as fast", self.ratio),
                format!(">= {goal}"),
                self.ratio >= goal,
            ),
            Goal::FasterWithoutAllocation(goal) => (
                format!("{:.2} times as fast", self.ratio),
                format!(">= {goal}, no allocation"),
                self.ratio >= goal && self.allocations == 0,
            ),
            Goal::Overhead(goal) => {
                let over = (1.0 / self.ratio - 1.0) * 100.0;
                (format!("{over:+.1} %"), format!("<= +{goal} %"), over <= goal)
            }
            Goal::WithinWithoutAllocation(goal) => (
                format!("{:.2} us at best, {:.2} times as fast", self.best(), self.ratio),
                format!("<= {goal} us, no allocation"),
                self.best() <= goal && self.allocations == 0,
            ),
        };
        let us = |d: Duration| format!("{:.2} us", d.as_secs_f64() * 1e6);
        println!(
            "| {} | {} | {} {} | {result} | {} | {goal} | {} |",
            self.what,
            us(self.ours),
            self.peer_name,
            us(self.peer),
            self.allocations,
            if met { "yes" } else { "NO" },
        );
        let regressed = match self.goal {
            Goal::Faster(goal) => self.ratio < goal * FLOOR,
            Goal::FasterWithoutAllocation(goal) => {
                self.ratio < goal * FLOOR || self.allocations > 0
            }
            Goal::Overhead(_) => 1.0 / self.ratio > 1.15,
            Goal::WithinWithoutAllocation(_) => {
                self.ratio < PEER_WITHOUT_CHECKS || self.allocations > 0
            }
        };
        (met, regressed)
    }
}

/// The part of a ratio's goal below which the run fails: noise on a shared machine must not.
const FLOOR: f64 = 0.65;

/// The same for a goal in microseconds, which a slow machine misses: how many times as fast as the peer, which
/// decodes and parses but checks nothing (about 3 on a quiet one).
const PEER_WITHOUT_CHECKS: f64 = 2.0;

/// The STS request of the first two rows.
const BODY: &[u8] =
    b"Action=AssumeRole&DurationSeconds=3600&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012\
%3Arole%2Fdemo&RoleSessionName=mysession&Version=2011-06-15";
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
const HOST: &str = "sts.us-east-1.amazonaws.com";
const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn sigv4(rows: &mut Vec<Row>) {
    let seconds = 1_440_938_160;
    let now = UnixTime::new(seconds).unwrap();
    let request = Request {
        method: "POST",
        path: "/",
        query: "",
        headers: &[("content-type", CONTENT_TYPE), ("host", HOST)],
        payload: Payload::Bytes(BODY),
    };
    let derive = || {
        let secret = SecretAccessKey::new(SECRET).unwrap();
        SigningKey::derive(&secret, now, "us-east-1", "sts").unwrap()
    };
    let mut buf = [0u8; 1024];
    let mut ours = |key: &SigningKey| {
        let signed = SigV4::new(ID, key).sign(black_box(&request), now, &mut buf).unwrap();
        black_box(signed.signature());
    };
    let identity = Credentials::new(ID, SECRET, None, None, "bench").into();
    let peer = || {
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("sts")
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let request = SignableRequest::new(
            "POST",
            "https://sts.us-east-1.amazonaws.com/",
            [("content-type", CONTENT_TYPE)].into_iter(),
            SignableBody::Bytes(black_box(BODY)),
        );
        black_box(sign(request.unwrap(), &params).unwrap());
    };
    let cold = Goal::FasterWithoutAllocation(3.0);
    rows.push(Row::measure("SigV4, STS POST, cold", "aws-sigv4", cold, || ours(&derive()), peer));
    let key = derive();
    let warm = Goal::FasterWithoutAllocation(6.0);
    rows.push(Row::measure(
        "SigV4, STS POST, day's key kept",
        "aws-sigv4",
        warm,
        || ours(&key),
        peer,
    ));
}

const EMAIL: &str = "robot@project.iam.gserviceaccount.com";

#[derive(serde::Serialize)]
struct Claims {
    iss: &'static str,
    sub: &'static str,
    scope: &'static str,
    iat: u64,
    exp: u64,
}

/// Two rows: against jsonwebtoken, and against the bare signature of the same octets.
fn jwt(
    rows: &mut Vec<Row>,
    names: [&'static str; 2],
    times: f64,
    scheme: Scheme,
    der: &[u8],
    bare: impl Fn(&[u8], &mut [u8]),
) {
    let key = Key::from_pkcs8(der).unwrap();
    let pem = pem("PRIVATE KEY", der);
    let token = SelfSigned { scheme, ..SelfSigned::new(EMAIL) };
    let at = Attempt::new(UnixTime::new(1_795_348_800).unwrap(), [7; 32]);
    let mut buf = vec![0u8; token.needed(&at, key.max_signature_len(scheme)).unwrap()];
    let mut ours = || {
        black_box(token.sign(&key, black_box(&at), &mut buf).unwrap());
    };
    let (algorithm, encoding_key): (_, fn(&[u8]) -> _) = match scheme {
        Scheme::RsaPkcs1Sha256 => {
            (jsonwebtoken::Algorithm::RS256, |pem| jsonwebtoken::EncodingKey::from_rsa_pem(pem))
        }
        _ => (jsonwebtoken::Algorithm::ES256, |pem| jsonwebtoken::EncodingKey::from_ec_pem(pem)),
    };
    let encoding_key = encoding_key(pem.as_bytes()).unwrap();
    let header = jsonwebtoken::Header::new(algorithm);
    let claims = Claims {
        iss: EMAIL,
        sub: EMAIL,
        scope: cloudauth_core::gcp::CLOUD_PLATFORM,
        iat: 1_795_348_800,
        exp: 1_795_352_400,
    };
    let peer = || {
        black_box(jsonwebtoken::encode(&header, black_box(&claims), &encoding_key).unwrap());
    };
    rows.push(Row::measure(names[0], "jsonwebtoken", Goal::Faster(times), &mut ours, peer));
    let mut space = vec![0u8; 2048];
    let text = token.sign(&key, &at, &mut space).unwrap().to_owned();
    let input = text.rsplit_once('.').unwrap().0.as_bytes();
    let mut signature = vec![0u8; key.max_signature_len(scheme)];
    let bare = || bare(black_box(input), &mut signature);
    rows.push(Row::measure(names[1], "bare signature", Goal::Overhead(3.0), ours, bare));
}

const ISSUER: &str = "https://confidentialcomputing.googleapis.com";
const AUDIENCE: &str = "https://broker.example";
const KID: &str = "0123456789abcdef0123456789abcdef01234567";

/// What Confidential Space says of a workload: the claims of its documentation, with values of the sizes
/// that real ones have.
fn attestation(now: u64) -> serde_json::Value {
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let instance = "https://www.googleapis.com/compute/v1/projects/a-project/zones/us-central1-a/\
                    instances/workload-1";
    serde_json::json!({
        "aud": AUDIENCE, "exp": now + 3600, "iat": now, "iss": ISSUER, "nbf": now, "sub": instance,
        "eat_nonce": [
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE",
        ],
        "eat_profile": "https://cloud.google.com/confidential-computing/confidential-space/docs/\
                        reference/token-claims",
        "secboot": true, "oemid": 11129, "hwmodel": "GCP_AMD_SEV", "swname": "CONFIDENTIAL_SPACE",
        "swversion": ["240900"], "dbgstat": "disabled-since-boot", "attester_tcb": ["AMD"],
        "google_service_accounts": ["workload@a-project.iam.gserviceaccount.com"],
        "submods": {
            "confidential_space": {
                "monitoring_enabled": { "memory": false },
                "support_attributes": ["LATEST", "STABLE", "USABLE"],
            },
            "container": {
                "image_reference":
                    format!("us-central1-docker.pkg.dev/a-project/images/workload@{digest}"),
                "image_digest": digest, "image_id": digest, "restart_policy": "Never",
                "image_signatures": [{
                    "key_id": "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210",
                    "signature": "MEUCIQDx".repeat(12),
                    "signature_algorithm": "ECDSA_P256_SHA256",
                }],
                "env_override": { "MODE": "production" }, "cmd_override": ["--serve"],
                "env": {
                    "HOSTNAME": "workload-1", "MODE": "production",
                    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
                },
                "args": ["/server", "--serve", "--port=8080"],
            },
            "gce": {
                "zone": "us-central1-a", "project_id": "a-project",
                "project_number": "123456789012", "instance_name": "workload-1",
                "instance_id": "1234567890123456789",
            },
        },
    })
}

/// Believes every signature.
struct Believer;

impl Verifier for Believer {
    fn supports(&self, _: Scheme) -> bool {
        true
    }

    fn verify(&self, _: Scheme, _: &[u8], _: &[u8]) -> cloudauth_core::Result<()> {
        Ok(())
    }
}

/// Reads and verifies `token` as a broker does.
fn read(token: &str, algorithm: Scheme, now: u64, keys: &dyn KeySet, buf: &mut [u8]) {
    let algorithms = [algorithm];
    let expect = Expect {
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
        ..Expect::new(&algorithms, UnixTime::new(now).unwrap())
    };
    let token = Token::parse(black_box(token), buf).unwrap();
    black_box(token.verify(&expect, keys).verdict().unwrap().claims());
}

/// Rows about reading tokens: with the signature, against jsonwebtoken; and without.
fn verify(rows: &mut Vec<Row>, what: &'static str, scheme: Scheme, der: &[u8]) {
    // jsonwebtoken asks the clock.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let pem = pem("PRIVATE KEY", der);
    let key = Key::from_pkcs8(der).unwrap();
    let public = self::pem("PUBLIC KEY", key.public_key());
    let (encoding_key, decoding_key, algorithm) = match scheme {
        Scheme::RsaPkcs1Sha256 => (
            jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()),
            jsonwebtoken::DecodingKey::from_rsa_pem(public.as_bytes()),
            jsonwebtoken::Algorithm::RS256,
        ),
        _ => (
            jsonwebtoken::EncodingKey::from_ec_pem(pem.as_bytes()),
            jsonwebtoken::DecodingKey::from_ec_pem(public.as_bytes()),
            jsonwebtoken::Algorithm::ES256,
        ),
    };
    let header =
        jsonwebtoken::Header { kid: Some(KID.to_owned()), ..jsonwebtoken::Header::new(algorithm) };
    let token = jsonwebtoken::encode(&header, &attestation(now), &encoding_key.unwrap()).unwrap();
    let mut buf = [0; 4096];

    let verifier = PublicVerifier::from_spki(key.public_key()).unwrap();
    let keys = [jws::Key { kid: Some(KID), scheme: Some(scheme), verifier: &verifier }];
    let decoding_key = decoding_key.unwrap();
    let mut validation = jsonwebtoken::Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_nbf = true;
    rows.push(Row::measure(
        what,
        "jsonwebtoken",
        Goal::Faster(1.0),
        || read(&token, scheme, now, &keys, &mut buf),
        || {
            let read = jsonwebtoken::decode::<serde_json::Value>(
                black_box(&token),
                &decoding_key,
                &validation,
            );
            black_box(read.unwrap());
        },
    ));

    if scheme == Scheme::RsaPkcs1Sha256 {
        println!("A token of {} octets.\n", token.len());
        let keys = [jws::Key { kid: Some(KID), scheme: Some(scheme), verifier: &Believer }];
        rows.push(Row::measure(
            "JWT, all checks but the signature",
            "base64 and serde_json, no checks",
            Goal::WithinWithoutAllocation(3.0),
            || read(&token, scheme, now, &keys, &mut buf),
            || {
                use base64::Engine as _;
                let decode =
                    |part| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
                let mut parts = black_box(&token).split('.').map(decode);
                let json = |octets: Vec<u8>| -> serde_json::Value {
                    serde_json::from_slice(&octets).unwrap()
                };
                let (header, claims) = (json(parts.next().unwrap()), json(parts.next().unwrap()));
                black_box((header, claims, parts.next().unwrap()));
            },
        ));
    }
}

fn main() -> ExitCode {
    let mut rows = Vec::new();
    sigv4(&mut rows);

    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let rsa_der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    jwt(
        &mut rows,
        ["JWT RS256", "JWT RS256, over the signature"],
        2.4,
        Scheme::RsaPkcs1Sha256,
        rsa_der.as_ref(),
        |message, out| rsa.sign(&RSA_PKCS1_SHA256, &random, message, out).unwrap(),
    );
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ec_der = ec.to_pkcs8v1().unwrap();
    jwt(
        &mut rows,
        ["JWT ES256", "JWT ES256, over the signature"],
        1.6,
        Scheme::EcdsaP256Sha256,
        ec_der.as_ref(),
        |message, out| out.copy_from_slice(ec.sign(&random, message).unwrap().as_ref()),
    );
    verify(&mut rows, "JWT RS256, verified", Scheme::RsaPkcs1Sha256, rsa_der.as_ref());
    verify(&mut rows, "JWT ES256, verified", Scheme::EcdsaP256Sha256, ec_der.as_ref());

    println!("| what | ours | peer | result | allocations | goal | met |");
    println!("|---|---|---|---|---|---|---|");
    let results: Vec<(bool, bool)> = rows.iter().map(Row::print).collect();
    let met = results.iter().filter(|(met, _)| *met).count();
    let regressed = results.iter().filter(|(_, regressed)| *regressed).count();
    println!("\n{met} of {} goals met; {regressed} results far below their goal.", rows.len());
    if regressed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64ct::{Base64, Encoding as _};
    let text = Base64::encode_string(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
