//! The server's part of the configuration: where it listens, what it shows, how much it takes.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use cloudauth_keys::KeyUri;
use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The section `[server]`:
///
/// ```toml
/// [server]
/// listen = "0.0.0.0:8443"
/// certificate = "broker.pem"
/// key = "tpm:handle=0x81000005"
/// client-certificate = "required"      # or "optional"; none is asked for by default
/// client-ca = "clients.pem"
/// proxy-protocol-from = ["10.0.0.0/8"] # the balancers
/// admin-listen = "127.0.0.1:9090"
/// records = "stderr"
///
/// [server.limits]
/// connections = 10000
///
/// [server.rates]
/// client = { per-minute = 60, burst = 20 }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Server {
    /// Where the API is; port 0 takes a free one. A reload does not move it.
    pub(crate) listen: SocketAddr,
    /// The server's certificate chain, PEM, its own certificate first. A reload reads it again.
    pub(crate) certificate: PathBuf,
    /// The key of the certificate: `file:PATH`, `pkcs11:…` or `tpm:…`. TLS 1.3 wants ECDSA, or RSA with PSS.
    #[serde(deserialize_with = "key")]
    pub(crate) key: KeyUri,
    /// The authorities (PEM) that issue clients' certificates. A reload reads them again.
    pub(crate) client_ca: Option<PathBuf>,
    /// Whether clients are asked for a certificate, and what happens without one. Needs
    /// [`client_ca`](Self::client_ca).
    pub(crate) client_certificate: Option<ClientCertificate>,
    /// The balancers that say in PROXY protocol v2 whose connection it is. Their connections must begin with
    /// that header, and nobody else's is looked at for one.
    #[serde(default)]
    pub(crate) proxy_protocol_from: Vec<IpNet>,
    /// Where `/healthz`, `/readyz` and `/metrics` are, without TLS and for whoever reaches it: by default
    /// `127.0.0.1:9090`; `"off"` for nowhere. A reload does not move it.
    #[serde(default)]
    pub(crate) admin_listen: Admin,
    /// Where the decision records go, one JSON line each: `"stderr"` (by default), `"stdout"`, or the path of a
    /// file, to which they are appended and which a reload opens again. A record that cannot be written within
    /// 5 seconds means that its credential is not handed out.
    #[serde(default)]
    pub(crate) records: Records,
    /// How many seconds requests in flight have, once the broker is told to end: 30.
    #[serde(default = "drain")]
    pub(crate) drain_seconds: u32,
    /// How much is taken from outside.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// How often.
    #[serde(default)]
    pub(crate) rates: Rates,
}

impl Server {
    /// What cannot be seen in one field.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match (self.client_certificate, &self.client_ca) {
            (Some(_), None) => {
                Err("server.client-certificate: name the authorities that issue them: client-ca")
            }
            (None, Some(_)) => Err(
                "server.client-ca: nobody is asked for a certificate; say client-certificate = \"required\" or \
                 \"optional\"",
            ),
            _ => Ok(()),
        }
    }

    /// Every path in it.
    pub(crate) fn paths(&mut self, change: &mut dyn FnMut(&mut PathBuf)) {
        change(&mut self.certificate);
        self.client_ca.iter_mut().for_each(&mut *change);
        if let Records::File(path) = &mut self.records {
            change(path);
        }
    }
}

/// Whether a client must have a certificate. One that it shows is always verified.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientCertificate {
    /// It may have none.
    Optional,
    /// Without one there is no connection.
    Required,
}

/// Where the second, plain listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admin {
    /// At this address.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl Default for Admin {
    fn default() -> Self {
        Self::At(([127, 0, 0, 1], 9090).into())
    }
}

impl<'de> Deserialize<'de> for Admin {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| {
            D::Error::custom("expected an address with a port, such as 127.0.0.1:9090, or \"off\"")
        })
    }
}

/// Where the decision records go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Records {
    /// To this file.
    File(PathBuf),
    /// To standard error, beside the log.
    #[default]
    Stderr,
    /// To standard output.
    Stdout,
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(from)?.as_str() {
            "" => return Err(D::Error::custom("expected \"stderr\", \"stdout\" or a path")),
            "stderr" => Self::Stderr,
            "stdout" => Self::Stdout,
            path => Self::File(path.into()),
        })
    }
}

/// The section `[server.limits]`: how much is taken from outside. A request's body has at most 64 KiB.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Limits {
    /// Connections at once, over all listeners but the plain one: 10,000. Further ones are closed.
    pub(crate) connections: NonZeroU32,
    /// Connections at once from one address (of IPv6: from one /64 network): 500.
    pub(crate) connections_per_address: NonZeroU32,
    /// The octets of a request's head: 16 KiB.
    pub(crate) head_octets: NonZeroU32,
    /// The requests of one connection: 100. The answer to the last one closes it.
    pub(crate) requests: NonZeroU32,
    /// For the TLS handshake, and before it for a PROXY header: 10 seconds.
    pub(crate) handshake_seconds: NonZeroU32,
    /// For the body after the head: 10 seconds.
    pub(crate) body_seconds: NonZeroU32,
    /// For the decision and what the cloud takes to give a credential: 30 seconds.
    pub(crate) decision_seconds: NonZeroU32,
    /// From the end of the handshake, or of an answer, to the end of the next request's head: 60 seconds, which is also
    /// how long a challenge lives.
    pub(crate) idle_seconds: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: number(10_000),
            connections_per_address: number(500),
            head_octets: number(16 * 1024),
            requests: number(100),
            handshake_seconds: number(10),
            body_seconds: number(10),
            decision_seconds: number(30),
            idle_seconds: number(60),
        }
    }
}

/// The section `[server.rates]`: how often. Each is a token bucket: it holds `burst` at first and at most, each
/// use takes one, and `per-minute` come back.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Rates {
    /// Connections from one client address (of IPv6: from one /64 network): 600 a minute, 100 at once. Beyond it they are
    /// closed before the handshake, which costs the server a signature.
    pub(crate) connections: Rate,
    /// Requests from one client address: 1,200 a minute, 200 at once.
    pub(crate) client: Rate,
    /// Credentials asked for under one grant, from all clients together, once its policy has agreed: 6,000 a
    /// minute, 1,000 at once. The clouds have limits of their own.
    pub(crate) grant: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            connections: Rate { per_minute: number(600), burst: number(100) },
            client: Rate { per_minute: number(1200), burst: number(200) },
            grant: Rate { per_minute: number(6000), burst: number(1000) },
        }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Rate {
    /// How many come back in a minute.
    pub(crate) per_minute: NonZeroU32,
    /// How many it holds.
    pub(crate) burst: NonZeroU32,
}

/// An entry of `[[compatibility]]`: a listener for the clients of older brokers, which stands for one grant.
///
/// ```toml
/// [[compatibility]]
/// listen = "0.0.0.0:8081"
/// scheme = "seed-aws"
/// grant = "old-workload"
/// ```
///
/// Certificate, client certificates, limits and rates are the server's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Compatibility {
    /// Where it listens. A reload does not move it.
    pub(crate) listen: SocketAddr,
    /// The one grant that it gives.
    pub(crate) grant: String,
    /// What the client speaks.
    pub(crate) scheme: Scheme,
}

/// The protocols of older brokers.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scheme {
    /// Of aws-channel-jwt-credential.
    SeedAws,
    /// Of azure-channel-jwt-credential.
    SeedAzure,
    /// Of Google's codelab on Confidential Space: exporter label `testing_nonce`.
    GoogleCodelab,
}

/// A limit of time.
pub(crate) fn seconds(limit: NonZeroU32) -> Duration {
    Duration::from_secs(limit.get().into())
}

const fn drain() -> u32 {
    30
}

/// A default, which is not 0.
const fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(n - 1)
}

/// A key URI. The error does not repeat the text.
fn key<'de, D: Deserializer<'de>>(from: D) -> Result<KeyUri, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "listen = '127.0.0.1:0'\ncertificate = 'c.pem'\nkey = 'file:k.pem'\n";

    fn server(more: &str) -> Result<Server, toml::de::Error> {
        toml::from_str(&format!("{LEAST}{more}"))
    }

    #[test]
    fn defaults() {
        let server = server("").unwrap();
        assert_eq!(server.admin_listen, Admin::At("127.0.0.1:9090".parse().unwrap()));
        assert_eq!(server.records, Records::Stderr);
        assert_eq!((server.drain_seconds, server.limits.connections.get()), (30, 10_000));
        assert_eq!(server.rates.grant.per_minute.get(), 6000);
        assert!(server.check().is_ok() && server.proxy_protocol_from.is_empty());
    }

    #[test]
    fn what_is_written_counts() {
        let text = "admin-listen = 'off'\nrecords = 'r.jsonl'\nproxy-protocol-from = ['10.0.0.0/8', 'fd00::/8']\n\
                    client-ca = 'ca.pem'\nclient-certificate = 'required'\n[limits]\nrequests = 3\n\
                    [rates]\nclient = { per-minute = 6, burst = 2 }";
        let mut server = server(text).unwrap();
        assert!(server.check().is_ok());
        server.paths(&mut |path| *path = PathBuf::from("/etc").join(&*path));
        assert_eq!(server.records, Records::File("/etc/r.jsonl".into()));
        assert_eq!(server.client_ca.unwrap(), PathBuf::from("/etc/ca.pem"));
        assert_eq!(server.admin_listen, Admin::Off);
        assert_eq!((server.limits.requests.get(), server.limits.idle_seconds.get()), (3, 60));
        assert_eq!(server.rates.client, Rate { per_minute: number(6), burst: number(2) });
        assert_eq!(server.rates.connections.burst.get(), 100);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for more in [
            "unknown = 1",
            "admin-listen = ''",
            "admin-listen = '9090'",
            "records = ''",
            "client-certificate = 'none'",
            "proxy-protocol-from = ['10.0.0.0/33']",
            "[limits]\nrequests = 0",
            "[limits]\nunknown = 1",
            "[rates]\nclient = { per-minute = 0, burst = 1 }",
            "[rates]\nclient = { per-minute = 1 }",
        ] {
            assert!(server(more).is_err(), "{more}");
        }
        assert!(server("client-ca = 'ca.pem'").unwrap().check().is_err());
        assert!(server("client-certificate = 'optional'").unwrap().check().is_err());
        let error = toml::from_str::<Server>(&LEAST.replace("file:k.pem", "s3cr3t")).unwrap_err();
        assert!(!error.message().contains("s3cr3t"), "{}", error.message());
    }

    #[test]
    fn compatibility() {
        let text = "listen = '127.0.0.1:0'\ngrant = 'g'\nscheme = ";
        let scheme = |name: &str| {
            toml::from_str::<Compatibility>(&format!("{text}'{name}'")).map(|c| c.scheme)
        };
        assert_eq!(scheme("seed-aws").unwrap(), Scheme::SeedAws);
        assert_eq!(scheme("seed-azure").unwrap(), Scheme::SeedAzure);
        assert_eq!(scheme("google-codelab").unwrap(), Scheme::GoogleCodelab);
        assert!(scheme("seed").is_err());
    }
}
