//! What went wrong outside, in words that are made for it.

use core::ffi::c_char;
use std::format;
use std::string::{String, ToString as _};

use ::cloudauth_client::Error;
use cloudauth_keys::KeyError;
use cloudauth_tls::TransportError;

use crate::call::{Cx, Outcome};
use crate::result::{
    CLOUDAUTH_ERR_CONFIG, CLOUDAUTH_ERR_FILE, CLOUDAUTH_ERR_INTERNAL, CLOUDAUTH_ERR_INVALID,
    CLOUDAUTH_ERR_KEY, CLOUDAUTH_ERR_SERVICE, CLOUDAUTH_ERR_TRANSPORT, CLOUDAUTH_ERR_UNSUPPORTED,
    Fault, cloudauth_result,
};

/// What a hosted call has to say, in full words, with names of files, profiles and hosts. Pass NULL where
/// it is of no interest. It is written on failure, too. It holds no secret, but it is not free of input:
/// a service's refusal is told in its own words.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cloudauth_message {
    /// sizeof(cloudauth_message)
    pub size: usize,
    /// The length of the text.
    pub len: usize,
    /// 1 if the same call may succeed later: a connection that was not made or broke, throttling, a failure
    /// of the server. Otherwise 0.
    pub transient: u32,
    /// CLOUDAUTH_ERR_SERVICE: the HTTP status of the refusal, if it was one. Otherwise 0.
    pub status: u32,
    /// What failed and what to do, in UTF-8 without control characters, with a NUL at its end; cut off if it
    /// is too long. Where a call succeeded it is a warning about how a key is kept, or empty.
    pub text: [c_char; 2024],
}

impl cloudauth_message {
    fn new(text: &str) -> Self {
        let mut message: Self = crate::call::zeroed();
        let mut utf8 = [0; 4];
        for c in text.chars() {
            // What comes from outside must forge no lines of a log, and steer no terminal.
            let c = if c.is_control() { ' ' } else { c };
            let octets = c.encode_utf8(&mut utf8).as_bytes();
            let end = message.len + octets.len();
            // With the NUL.
            let Some(to) = message.text.get_mut(message.len..=end) else { break };
            for (to, octet) in to.iter_mut().zip(octets) {
                *to = c_char::from_ne_bytes([*octet]);
            }
            message.len = end;
        }
        message
    }
}

/// A failure with its words.
pub(crate) struct Failed {
    fault: Fault,
    /// Empty for what the fault itself says.
    text: String,
    transient: bool,
    status: u16,
}

impl Failed {
    fn new(result: cloudauth_result, field: &'static str, text: String) -> Self {
        let fault = Fault::new(result, field, "see the text of the cloudauth_message");
        Self { fault, text, transient: false, status: 0 }
    }

    fn message(&self) -> cloudauth_message {
        let (field, help) = self.fault.texts();
        let mut message = match &*self.text {
            "" => cloudauth_message::new(&format!("{field}: {help}")),
            text => cloudauth_message::new(text),
        };
        message.transient = self.transient.into();
        message.status = self.status.into();
        message
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self { fault, text: String::new(), transient: false, status: 0 }
    }
}

impl From<KeyError> for Failed {
    fn from(error: KeyError) -> Self {
        let result = match error {
            KeyError::Uri { .. } => CLOUDAUTH_ERR_INVALID,
            KeyError::NoBackend { .. } | KeyError::Unsupported { .. } => CLOUDAUTH_ERR_UNSUPPORTED,
            _ => CLOUDAUTH_ERR_KEY,
        };
        Self::new(result, "key", error.to_string())
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match &error {
            Error::Config { .. } => Self::new(CLOUDAUTH_ERR_CONFIG, "profile", text),
            Error::File { .. } => Self::new(CLOUDAUTH_ERR_FILE, "file", text),
            Error::Key(error) => Self { text, ..error.clone().into() },
            Error::Request(error) => Self { text, ..Fault::from(*error).into() },
            Error::Expired { .. } | Error::Empty { .. } | Error::Refused { .. } => {
                Self::new(CLOUDAUTH_ERR_SERVICE, "service", text)
            }
            Error::Service { source, .. } => {
                let refusal = source.refusal();
                let result = match (&**source, refusal) {
                    (_, Some(_)) => CLOUDAUTH_ERR_SERVICE,
                    (TransportError::Config { .. }, _) => CLOUDAUTH_ERR_CONFIG,
                    _ => CLOUDAUTH_ERR_TRANSPORT,
                };
                Self {
                    transient: source.is_transient(),
                    status: refusal.map_or(0, |refusal| refusal.status),
                    ..Self::new(result, "service", text)
                }
            }
            // This library knows all that there are in this version.
            _ => Self::new(CLOUDAUTH_ERR_INTERNAL, "library", text),
        }
    }
}

/// Runs `body`, unless the outputs of the call are wrong, and says in `message` what came of it.
pub(crate) fn telling<T>(
    cx: &Cx,
    outputs: Outcome,
    message: *mut cloudauth_message,
    body: impl FnOnce(&mut String) -> Result<T, Failed>,
) -> Outcome<T> {
    let claimed = if message.is_null() { Ok(()) } else { cx.clear(message, "message") };
    let tell = claimed.is_ok() && !message.is_null();
    let mut warning = String::new();
    let result = match outputs.and(claimed).and_then(|()| cx.ready()) {
        Ok(()) => body(&mut warning),
        Err(fault) => Err(fault.into()),
    };
    let told = match &result {
        Ok(_) => cloudauth_message::new(&warning),
        Err(failed) => failed.message(),
    };
    // Where it is only the size that was asked for, there is nothing to tell yet. What overlaps something
    // may be an input.
    let fits = |failed: &Failed| failed.fault.needed().is_some_and(|need| need <= cx.cap());
    if tell && cx.is_apart(message) && !result.as_ref().is_err_and(fits) {
        cx.write(message, &told);
    }
    result.map_err(|failed| failed.fault)
}
