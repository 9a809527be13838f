//! Requests and tokens under construction: their parts, and where the signature goes.

use core::fmt;

use super::{Attempt, Detached, DetachedJws};
use crate::encode::{base64, hex};
use crate::http::HttpRequest;
use crate::out::{Out, Sink};
use crate::signer::{MAX_ECDSA_DER_LEN, MAX_SIGNATURE_LEN, Scheme, ToSign, ecdsa_der_from_raw};
use crate::{Error, Result};

/// A JWS without its signature.
pub struct PreparedJws<'b> {
    pub(super) buf: &'b mut [u8],
    pub(super) rest: DetachedJws,
}

impl fmt::Debug for PreparedJws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreparedJws({:?}, {} octets)", self.rest.scheme, self.rest.len)
    }
}

impl<'b> PreparedJws<'b> {
    /// What to sign, and how.
    #[must_use]
    pub fn to_sign(&self) -> (Scheme, ToSign<'_>) {
        self.rest.to_sign(self.buf)
    }

    /// The second step: the token, with `signature` (ECDSA: r||s) appended.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the signature's length cannot be right;
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
    pub fn finish(self, signature: &[u8]) -> Result<&'b str> {
        text(self.rest.finish(self.buf, signature)?)
    }
}

/// A request under construction. Parts are written in any order, each at once; the part that takes the
/// signature (headers or body) comes last.
#[derive(Debug)]
pub struct Draft<'b> {
    /// Where the parts are written.
    pub out: Out<'b>,
    pub(super) layout: Layout,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    method: &'static str,
    host: Span,
    target: Span,
    head: Span,
    body: Span,
    end: usize,
    pub(super) signing: Option<Signing>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Signing {
    pub(super) scheme: Scheme,
    pub(super) message: Span,
    encoding: Encoding,
}

/// How a signature is written where it belongs.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    /// `.` and base64url, at the end of the body.
    Jws,
    /// Hexadecimal (ECDSA: of the DER form), at the end of the headers.
    Hex,
}

impl<'b> Draft<'b> {
    pub(super) fn new(buf: &'b mut [u8]) -> Self {
        let none = Span::default();
        Self {
            out: Out::new(buf),
            layout: Layout {
                method: "GET",
                host: none,
                target: none,
                head: none,
                body: none,
                end: 0,
                signing: None,
            },
        }
    }

    /// Sets the method (`GET`, `POST`, `PUT`).
    pub fn method(&mut self, method: &'static str) {
        self.layout.method = method;
    }

    /// Writes the host.
    pub fn host(&mut self, write: impl FnOnce(&mut Out<'b>)) {
        self.layout.host = self.part(write);
    }

    /// Writes path and query.
    pub fn target(&mut self, write: impl FnOnce(&mut Out<'b>)) {
        self.layout.target = self.part(write);
    }

    /// Writes the body.
    pub fn body(&mut self, write: impl FnOnce(&mut Out<'b>)) {
        self.layout.body = self.part(write);
    }

    /// Writes the headers: `Name: value` lines with CR LF between them, none at the end.
    pub fn head(&mut self, write: impl FnOnce(&mut Out<'b>)) {
        self.layout.head = self.part(write);
    }

    fn part(&mut self, write: impl FnOnce(&mut Out<'b>)) -> Span {
        let from = self.out.len();
        write(&mut self.out);
        self.layout.end = self.out.len();
        Span { from, to: self.layout.end }
    }

    pub(crate) const fn host_span(&self) -> Span {
        self.layout.host
    }

    pub(crate) const fn target_span(&self) -> Span {
        self.layout.target
    }

    pub(crate) fn body_written(&self) -> &[u8] {
        self.out.written(self.layout.body.from, self.layout.body.to)
    }

    /// The body ends with the JWS signing input that starts at `from`; the signature is appended to it.
    pub fn sign_jws(&mut self, scheme: Scheme, from: usize) {
        let message = Span { from, to: self.layout.body.to };
        self.layout.signing = Some(Signing { scheme, message, encoding: Encoding::Jws });
    }

    /// The headers end where the hexadecimal signature of `message` goes. The message itself is written
    /// behind them, into room that the signature takes over.
    pub fn sign_header(&mut self, scheme: Scheme, message: impl FnOnce(&mut Out<'b>)) {
        let end = self.layout.end;
        let message = self.part(message);
        self.layout.end = end;
        self.layout.signing = Some(Signing { scheme, message, encoding: Encoding::Hex });
    }

    pub(super) fn needed(&self, signature_len: usize) -> usize {
        let signature = match self.layout.signing {
            None => 0,
            Some(Signing { encoding: Encoding::Jws, .. }) => {
                1 + base64::url_encoded_len(signature_len)
            }
            Some(Signing { encoding: Encoding::Hex, scheme, .. }) => hex::encoded_len(
                // DER adds three header octets pairwise, and a zero before a set top bit.
                signature_len + if scheme.coordinate_len().is_some() { 8 } else { 0 },
            ),
        };
        self.out.len().max(self.layout.end + signature)
    }

    pub(super) fn seal(self, at: &Attempt, signature_len: usize) -> Result<Prepared<'b>> {
        let needed = self.needed(signature_len);
        let Self { out, layout } = self;
        let buf = out.into_buffer();
        if buf.len() < needed {
            return Err(Error::too_small("request buffer", needed));
        }
        Ok(Prepared { buf, rest: Detached { layout, at: at.clone() } })
    }
}

/// A request without its signature.
pub struct Prepared<'b> {
    pub(super) buf: &'b mut [u8],
    pub(super) rest: Detached,
}

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared({} octets)", self.rest.layout.end)
    }
}

impl<'b> Prepared<'b> {
    /// What to sign, and how; `None` where nothing is signed.
    #[must_use]
    pub fn to_sign(&self) -> Option<(Scheme, ToSign<'_>)> {
        self.rest.to_sign(self.buf)
    }

    /// The second step: the request, with `signature` (ECDSA: r||s; empty where nothing is signed) in
    /// its place.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the signature's length cannot be right;
    /// [`BufferTooSmall`](crate::ErrorKind::BufferTooSmall).
    pub fn finish(self, signature: &[u8]) -> Result<HttpRequest<'b>> {
        self.rest.finish(self.buf, signature)
    }
}

impl Layout {
    /// The second step.
    pub(super) fn finish<'b>(
        mut self,
        buf: &'b mut [u8],
        signature: &[u8],
    ) -> Result<HttpRequest<'b>> {
        let layout = &mut self;
        match layout.signing {
            Some(Signing { scheme, encoding, .. }) => {
                check_signature_len(scheme, signature)?;
                let der = &mut [0u8; MAX_ECDSA_DER_LEN];
                let signature = match encoding {
                    Encoding::Hex if scheme.coordinate_len().is_some() => {
                        ecdsa_der_from_raw(signature, der)?
                    }
                    _ => signature,
                };
                let end = append(buf, layout.end, encoding, signature)?;
                match encoding {
                    Encoding::Jws => layout.body.to = end,
                    Encoding::Hex => layout.head.to = end,
                }
            }
            None if !signature.is_empty() => {
                return Err(Error::invalid("signature", "this request is not signed"));
            }
            None => {}
        }
        let buf: &'b [u8] = buf;
        let part = |span: Span| buf.get(span.from..span.to).unwrap_or_default();
        Ok(HttpRequest {
            method: layout.method,
            host: text(part(layout.host))?,
            target: text(part(layout.target))?,
            head: text(part(layout.head))?,
            body: part(layout.body),
        })
    }
}

/// The second step of a token: its octets.
pub(super) fn finish_jws<'b>(
    buf: &'b mut [u8],
    len: usize,
    scheme: Scheme,
    signature: &[u8],
) -> Result<&'b [u8]> {
    check_signature_len(scheme, signature)?;
    let end = append(buf, len, Encoding::Jws, signature)?;
    Ok(buf.get(..end).unwrap_or_default())
}

fn check_signature_len(scheme: Scheme, signature: &[u8]) -> Result<()> {
    let good = match scheme.coordinate_len() {
        Some(size) => signature.len() == 2 * size,
        None => (256..=MAX_SIGNATURE_LEN).contains(&signature.len()),
    };
    if good {
        Ok(())
    } else {
        Err(Error::invalid("signature", "its length does not fit the scheme (ECDSA: r||s)"))
    }
}

/// Writes the signature's text at `end` and returns where it stops.
fn append(buf: &mut [u8], end: usize, encoding: Encoding, signature: &[u8]) -> Result<usize> {
    let mut out = Out::new(buf.get_mut(end..).unwrap_or_default());
    match encoding {
        Encoding::Jws => {
            out.octet(b'.');
            base64::url_encode(signature, &mut out);
        }
        Encoding::Hex => hex::encode(signature, &mut out),
    }
    let stop = end + out.len();
    match out.finish() {
        Ok(_) => Ok(stop),
        Err(_) => Err(Error::too_small("request buffer", stop)),
    }
}

fn text(part: &[u8]) -> Result<&str> {
    core::str::from_utf8(part).map_err(|_| Error::invalid("request", "a parameter is not UTF-8"))
}
