//! PROXY protocol, version 2: whose connection a balancer passes on
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>, section 2.2).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const HEAD_LEN: usize = 16;
/// The most octets behind those. Addresses take 36; balancers add a few fields.
const MAX_LEN: usize = 2048;

/// Why a connection does not begin with a header that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("the connection ended within the PROXY header: {0}")]
    Io(#[from] io::Error),
    #[error("PROXY header: {0}")]
    Header(&'static str),
}

/// Reads the header, and not an octet more. `None` when the balancer connects on its own behalf.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<IpAddr>, ProxyError> {
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head).await?;
    let head = Head::parse(&head).map_err(ProxyError::Header)?;
    let mut rest = vec![0; head.len];
    stream.read_exact(&mut rest).await?;
    head.address(&rest).map_err(ProxyError::Header)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    /// The balancer's own connection, such as a look at the broker's health.
    Local,
    /// Over IPv4.
    Inet,
    /// Over IPv6.
    Inet6,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    command: Command,
    len: usize,
}

impl Head {
    fn parse(octets: &[u8; HEAD_LEN]) -> Result<Self, &'static str> {
        let Some([version, family, high, low]) = octets.strip_prefix(&SIGNATURE) else {
            return Err("there is none; this address is in proxy-protocol-from");
        };
        let command = match (version, family) {
            (0x20, _) => Command::Local,
            (0x21, 0x11) => Command::Inet,
            (0x21, 0x21) => Command::Inet6,
            (0x21, _) => return Err("not of a TCP connection"),
            _ => return Err("neither version 2 nor a known command"),
        };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        if len > MAX_LEN {
            return Err("longer than 2048 octets");
        }
        Ok(Self { command, len })
    }

    /// The client's address out of what follows.
    fn address(self, rest: &[u8]) -> Result<Option<IpAddr>, &'static str> {
        const SHORT: &str = "too short for its addresses";
        // Source, destination, and a port of two octets for each.
        let (source, fields) = match self.command {
            Command::Local => return Ok(None),
            Command::Inet => {
                let (addresses, fields) = rest.split_first_chunk::<12>().ok_or(SHORT)?;
                let source = addresses.first_chunk::<4>().ok_or(SHORT)?;
                (IpAddr::from(Ipv4Addr::from(*source)), fields)
            }
            Command::Inet6 => {
                let (addresses, fields) = rest.split_first_chunk::<36>().ok_or(SHORT)?;
                let source = addresses.first_chunk::<16>().ok_or(SHORT)?;
                (IpAddr::from(Ipv6Addr::from(*source)).to_canonical(), fields)
            }
        };
        if source.is_unspecified() || source.is_multicast() {
            return Err("no client has this address");
        }
        whole(fields)?;
        Ok(Some(source))
    }
}

/// Checks that the further fields fill the room they have: type, length in two octets, value.
fn whole(mut fields: &[u8]) -> Result<(), &'static str> {
    const SHORT: &str = "a field is cut off";
    while !fields.is_empty() {
        let ([_, high, low], rest) = fields.split_first_chunk::<3>().ok_or(SHORT)?;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        fields = rest.split_at_checked(len).ok_or(SHORT)?.1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(version: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[version, family], &len, rest].concat()
    }

    fn inet(source: [u8; 4], fields: &[u8]) -> Vec<u8> {
        header(0x21, 0x11, &[&source[..], &[10, 0, 0, 1], &[1, 2, 3, 4], fields].concat())
    }

    fn run(octets: &[u8]) -> Result<(Option<IpAddr>, usize), String> {
        let mut stream = octets;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let address = runtime.block_on(read(&mut stream)).map_err(|e| e.to_string())?;
        Ok((address, stream.len()))
    }

    #[test]
    fn addresses() {
        let client: IpAddr = [192, 0, 2, 7].into();
        // What follows is left where it is.
        let with_more = [inet([192, 0, 2, 7], &[]), b"\x16\x03\x01".to_vec()].concat();
        assert_eq!(run(&with_more), Ok((Some(client), 3)));
        assert_eq!(run(&inet([192, 0, 2, 7], &[4, 0, 2, 9, 9, 1, 0, 0])), Ok((Some(client), 0)));
        let six: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let rest = [&six.octets()[..], &[0; 16], &[0; 4]].concat();
        assert_eq!(run(&header(0x21, 0x21, &rest)), Ok((Some(six.into()), 0)));
        let mapped: Ipv6Addr = "::ffff:192.0.2.7".parse().unwrap();
        let rest = [&mapped.octets()[..], &[0; 16], &[0; 4]].concat();
        assert_eq!(run(&header(0x21, 0x21, &rest)), Ok((Some(client), 0)));
        assert_eq!(run(&header(0x20, 0, &[])), Ok((None, 0)));
        assert_eq!(run(&header(0x20, 0x11, &[1, 2, 3])), Ok((None, 0)));
    }

    #[test]
    fn what_is_refused() {
        let good = inet([192, 0, 2, 7], &[]);
        for (octets, why) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), "there is none"),
            (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 and more".to_vec(), "there is none"),
            (good[..27].to_vec(), "ended"),
            (good[..15].to_vec(), "ended"),
            (header(0x11, 0x11, &[0; 12]), "version"),
            (header(0x22, 0x11, &[0; 12]), "version"),
            (header(0x21, 0x00, &[]), "not of a TCP"),
            (header(0x21, 0x12, &[1; 12]), "not of a TCP"),
            (header(0x21, 0x31, &[1; 216]), "not of a TCP"),
            (header(0x21, 0x11, &[1; 11]), "too short"),
            (header(0x21, 0x21, &[1; 35]), "too short"),
            (header(0x21, 0x11, &[1; 2049]), "longer"),
            (inet([0; 4], &[]), "no client"),
            (inet([224, 0, 0, 1], &[]), "no client"),
            (inet([192, 0, 2, 7], &[4, 0]), "cut off"),
            (inet([192, 0, 2, 7], &[4, 0, 2, 9]), "cut off"),
        ] {
            let error = run(&octets).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
        assert!(run(&header(0x20, 0x00, &[1; 2048])).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..64), good: bool) {
            let all = if good { [&SIGNATURE[..], &octets].concat() } else { octets };
            let _ = run(&all);
        }

        #[test]
        fn what_is_said_is_understood(
            source in any::<[u8; 4]>(),
            fields in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..9)), 0..4),
            cut in 1_usize..3,
        ) {
            let address = Ipv4Addr::from(source);
            prop_assume!(!address.is_unspecified() && !address.is_multicast());
            let mut more = Vec::new();
            for (kind, value) in &fields {
                more.extend([*kind, 0, u8::try_from(value.len()).unwrap()]);
                more.extend(value);
            }
            prop_assert_eq!(run(&inet(source, &more)), Ok((Some(address.into()), 0)));
            if let Some((_, value)) = fields.last() {
                more.truncate(more.len() - cut.min(2 + value.len()));
                prop_assert!(run(&inet(source, &more)).is_err());
            }
        }
    }
}
