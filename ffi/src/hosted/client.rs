//! Live credentials of profiles.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use std::borrow::Cow;
use std::boxed::Box;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};

use ::cloudauth_client::blocking::Runtime;
use ::cloudauth_client::{
    AwsKeys, BearerToken, Client, Config, Error, Inputs, PROFILE_VARIABLE, Provider, variable,
};
use cloudauth_core::Error as CoreError;

use super::message::{Failed, cloudauth_message, telling};
use super::shared;
use crate::aws::cloudauth_aws_credentials;
use crate::bytes::cloudauth_bytes;
use crate::call::{Cx, Outcome, Output, fill, run};
use crate::handle::{self, Handle};
use crate::result::{Fault, cloudauth_error, cloudauth_result};

/// A configuration, and the credentials of its profiles as far as they were asked for: they are kept, and
/// renewed before they end. May be used by several threads at once; however many ask, one call is made.
/// It must not be copied, nor used in a child that a fork made. Close it with cloudauth_client_close.
#[repr(C)]
pub struct cloudauth_client {
    /// Opaque.
    pub reserved: [u64; 8],
}

/// What is behind it.
pub(crate) struct Profiles {
    config: Config,
    client: Client,
    runtime: Runtime,
    providers: Mutex<HashMap<String, Provider>>,
}

// SAFETY: nothing but an array, and a tag of its own.
unsafe impl Handle for cloudauth_client {
    type Value = Box<Profiles>;
    const TAG: u64 = u64::from_le_bytes(*b"profiles");
}

const _: () = assert!(handle::fits::<cloudauth_client>());
const _: () = shared::<Profiles>(PhantomData);

impl Profiles {
    fn open(path: &str) -> Result<Self, Failed> {
        let path = match path {
            "" => Config::default_path()?.ok_or_else(|| Error::Config {
                place: "configuration".into(),
                help:
                    "there is no home directory to look in; give the path, or set CLOUDAUTH_CONFIG"
                        .into(),
            })?,
            path => PathBuf::from(path),
        };
        Self::of(Config::from_file(&path)?)
    }

    fn open_text(text: &str, folder: &str) -> Result<Self, Failed> {
        let folder = match folder {
            "" => Cow::Owned(std::env::current_dir().map_err(|e| Error::File {
                operation: "find",
                place: "the working directory".into(),
                source: Arc::new(e),
            })?),
            folder => Cow::Borrowed(Path::new(folder)),
        };
        if !folder.is_absolute() {
            let help = "is not absolute; give the whole path, or none for the working directory";
            return Err(Error::Config {
                place: "folder of the configuration".into(),
                help: help.into(),
            }
            .into());
        }
        Self::of(Config::parse(text, &folder, "configuration")?)
    }

    fn of(config: Config) -> Result<Self, Failed> {
        let client = config.client(Inputs::default(), 0)?;
        Ok(Self { config, client, runtime: Runtime::new()?, providers: Mutex::default() })
    }

    /// The provider of a profile, always the same one: it is what keeps the credential.
    fn provider(&self, profile: &str) -> Result<Provider, Failed> {
        let named;
        let profile = match profile {
            "" => {
                named = variable(PROFILE_VARIABLE)?.ok_or_else(|| Error::Config {
                    place: "profile".into(),
                    help: std::format!("is not given; name one, or set {PROFILE_VARIABLE}"),
                })?;
                &*named
            }
            profile => profile,
        };
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(provider) = providers.get(profile) {
            return Ok(provider.clone());
        }
        let provider = self.config.provider(&self.client, profile)?;
        providers.insert(profile.into(), provider.clone());
        Ok(provider)
    }
}

/// What is asked for, and of whom.
fn asked(
    cx: &Cx,
    client: *const cloudauth_client,
    profile: cloudauth_bytes,
) -> Outcome<(&Profiles, &str)> {
    let profile = cx.text(profile, "profile")?;
    Ok((handle::get(cx, client, "client")?, profile))
}

/// Reads a configuration file and the certificates that it trusts. An empty path is that of
/// CLOUDAUTH_CONFIG, else cloudauth/config.toml in $XDG_CONFIG_HOME or ~/.config. No service is called
/// and no key is opened before a credential is asked for. The proxy variables (HTTPS_PROXY, NO_PROXY)
/// count as they are now.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_CONFIG for a configuration that cannot be used;
/// CLOUDAUTH_ERR_FILE for a file that cannot be read; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_client_open(
    path: cloudauth_bytes,
    client: *mut cloudauth_client,
    message: *mut cloudauth_message,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            let outputs = handle::clear(cx, client, "client");
            telling(cx, outputs, message, |_| {
                let made = Profiles::open(cx.text(path, "path")?)?;
                let mut made = ManuallyDrop::new(Ok::<_, Fault>(Box::new(made)));
                Ok(handle::set(cx, client, &mut made)?)
            })
        })
    }
}

/// Opens a configuration that is in memory: the text that cloudauth_client_open finds in a file (TOML). It
/// is not kept, and never written to a file. Relative paths in it start at `folder`, an absolute path, or
/// where that is empty at the working directory as it is now; those in key URIs always start at the working
/// directory. All else is as with cloudauth_client_open.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_CONFIG for a configuration that cannot be used, and for a folder
/// that is relative; CLOUDAUTH_ERR_FILE for a file that it names and that cannot be read;
/// CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE,
/// CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_client_open_text(
    config: cloudauth_bytes,
    folder: cloudauth_bytes,
    client: *mut cloudauth_client,
    message: *mut cloudauth_message,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            let outputs = handle::clear(cx, client, "client");
            telling(cx, outputs, message, |_| {
                let made =
                    Profiles::open_text(cx.text(config, "config")?, cx.text(folder, "folder")?)?;
                let mut made = ManuallyDrop::new(Ok::<_, Fault>(Box::new(made)));
                Ok(handle::set(cx, client, &mut made)?)
            })
        })
    }
}

/// Gives the AWS credentials of a profile: those that are kept, or new ones where these are about to end;
/// then it takes as long as the service and the key do, but not more than half a minute (or the
/// configuration's timeout) for each call to a service. An empty profile is that of the variable CLOUDAUTH_PROFILE. The texts of `*keys` lie in
/// `out`: wipe it. What the buffer is too small for is kept, too.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_BUFFER_TOO_SMALL; CLOUDAUTH_ERR_CONFIG if there is no such profile,
/// or if it cannot be used, or gives a token; CLOUDAUTH_ERR_KEY if its key cannot be opened;
/// CLOUDAUTH_ERR_SIGNER if its key failed; CLOUDAUTH_ERR_FILE for a file that cannot be read;
/// CLOUDAUTH_ERR_SERVICE if the service refused, or issued what cannot be used; CLOUDAUTH_ERR_TRANSPORT if
/// it gave no usable answer; CLOUDAUTH_ERR_INVALID, CLOUDAUTH_ERR_CAPACITY, CLOUDAUTH_ERR_MALFORMED,
/// CLOUDAUTH_ERR_MISMATCH, CLOUDAUTH_ERR_UNSUPPORTED or CLOUDAUTH_ERR_VERIFICATION for what stands in the
/// profile; CLOUDAUTH_ERR_STATE if the client is not open; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH,
/// CLOUDAUTH_ERR_UTF8, CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_client_aws_keys(
    client: *const cloudauth_client,
    profile: cloudauth_bytes,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    keys: *mut cloudauth_aws_credentials,
    message: *mut cloudauth_message,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    let mut got: Option<AwsKeys> = None;
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            let outputs = cx.clear(keys, "keys");
            telling(cx, outputs, message, |_| {
                let (client, profile) = asked(cx, client, profile)?;
                // The size must be that of what is written.
                let got = match &mut got {
                    Some(got) => got,
                    none => {
                        let provider = client.provider(profile)?;
                        none.insert(client.runtime.wait(provider.aws_keys())?)
                    }
                };
                let [id, secret, token] =
                    put(buf, [&got.access_key_id, &got.secret_access_key, &got.session_token])?;
                let made = cloudauth_aws_credentials {
                    size: 0,
                    access_key_id: id,
                    secret_access_key: secret,
                    session_token: token,
                    expiration: got.expiration.as_secs().cast_signed(),
                };
                cx.write(keys, &made);
                Ok(id.len + secret.len + token.len)
            })
        })
    }
}

/// Gives the bearer token of a profile of Azure or Google Cloud: an access token or an ID token, for the
/// header "Authorization: Bearer ...". `*expiration` becomes the time from which it is refused, in seconds
/// since 1970. All else is as with cloudauth_client_aws_keys.
///
/// @return as cloudauth_client_aws_keys.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_client_bearer_token(
    client: *const cloudauth_client,
    profile: cloudauth_bytes,
    out: *mut u8,
    cap: usize,
    len: *mut usize,
    expiration: *mut i64,
    message: *mut cloudauth_message,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    let mut got: Option<BearerToken> = None;
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        fill(Output { ptr: out, cap, len }, error, &mut |cx, buf| {
            let outputs = cx.put(expiration, "expiration");
            telling(cx, outputs, message, |_| {
                let (client, profile) = asked(cx, client, profile)?;
                // The size must be that of what is written.
                let got = match &mut got {
                    Some(got) => got,
                    none => {
                        let provider = client.provider(profile)?;
                        none.insert(client.runtime.wait(provider.bearer_token())?)
                    }
                };
                let [token] = put(buf, [&got.token])?;
                cx.update(expiration, got.expiration.as_secs().cast_signed());
                Ok(token.len)
            })
        })
    }
}

/// Forgets the credential of a profile, because a service refused it: the next call gets a new one.
///
/// @return CLOUDAUTH_OK; CLOUDAUTH_ERR_CONFIG if there is no such profile; CLOUDAUTH_ERR_STATE if the
/// client is not open; CLOUDAUTH_ERR_NULL, CLOUDAUTH_ERR_LENGTH, CLOUDAUTH_ERR_UTF8,
/// CLOUDAUTH_ERR_STRUCT_SIZE, CLOUDAUTH_ERR_OVERLAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_client_invalidate(
    client: *const cloudauth_client,
    profile: cloudauth_bytes,
    message: *mut cloudauth_message,
    error: *mut cloudauth_error,
) -> cloudauth_result {
    // SAFETY: the caller keeps the header's rules.
    unsafe {
        run(error, &mut |cx| {
            telling(cx, Ok(()), message, |_| {
                let (client, profile) = asked(cx, client, profile)?;
                client.provider(profile)?.invalidate();
                Ok(())
            })
        })
    }
}

/// Closes the client and forgets its credentials, once nothing uses it any more; NULL is allowed, and what
/// is not open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloudauth_client_close(client: *mut cloudauth_client) {
    // SAFETY: the caller keeps the header's rules.
    unsafe { handle::wipe(client) }
}

/// Puts texts one behind the other, and says where they are.
fn put<const N: usize>(buf: &mut [u8], texts: [&str; N]) -> Outcome<[cloudauth_bytes; N]> {
    let need = texts.iter().map(|text| text.len()).sum();
    let mut placed = [cloudauth_bytes::EMPTY; N];
    if buf.len() < need {
        return Err(CoreError::too_small("credential buffer", need).into());
    }
    let mut rest = buf;
    for (text, at) in texts.into_iter().zip(&mut placed) {
        let (to, after) = rest.split_at_mut_checked(text.len()).ok_or(Fault::internal())?;
        to.copy_from_slice(text.as_bytes());
        *at = cloudauth_bytes::of(to);
        rest = after;
    }
    Ok(placed)
}
