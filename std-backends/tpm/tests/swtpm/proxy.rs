//! Somebody between this process and the TPM: sees every command, changes answers, cuts the connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use cloudauth_tpm::Tcti;

use crate::support::{Swtpm, free_ports};

/// TPM_CC of the commands that the tests look for.
pub(crate) const CREATE_PRIMARY: u32 = 0x131;
pub(crate) const EVICT_CONTROL: u32 = 0x120;
pub(crate) const IMPORT: u32 = 0x156;
pub(crate) const READ_PUBLIC: u32 = 0x173;
pub(crate) const START_AUTH_SESSION: u32 = 0x176;

/// Changes the answer to a command; with `false` the connection is cut in its place.
type Hook = dyn FnMut(u32, &mut Vec<u8>) -> bool + Send;

#[derive(Default)]
struct Seen {
    commands: Mutex<Vec<Vec<u8>>>,
    hook: Mutex<Option<Box<Hook>>>,
}

pub(crate) struct Proxy {
    port: u16,
    seen: Arc<Seen>,
}

impl Proxy {
    pub(crate) fn new(tpm: &Swtpm) -> Self {
        let (port, to) = (free_ports(), tpm.port());
        let seen = Arc::new(Seen::default());
        let data = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let control = TcpListener::bind(("127.0.0.1", port + 1)).unwrap();
        let shared = seen.clone();
        std::thread::spawn(move || {
            for client in data.incoming().flatten() {
                if let Ok(tpm) = TcpStream::connect(("127.0.0.1", to)) {
                    commands(&client, &tpm, &shared);
                    let _ = tpm.shutdown(Shutdown::Both);
                }
                let _ = client.shutdown(Shutdown::Both);
            }
        });
        std::thread::spawn(move || {
            for mut client in control.incoming().flatten() {
                let Ok(mut tpm) = TcpStream::connect(("127.0.0.1", to + 1)) else { continue };
                let (mut from, mut back) = (client.try_clone().unwrap(), tpm.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut tpm);
                    let _ = tpm.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut back, &mut client);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port, seen }
    }

    pub(crate) fn tcti(&self) -> Tcti {
        Tcti::parse(&format!("swtpm:host=127.0.0.1,port={}", self.port)).unwrap()
    }

    pub(crate) fn on_answer(&self, hook: impl FnMut(u32, &mut Vec<u8>) -> bool + Send + 'static) {
        *self.seen.hook.lock().unwrap() = Some(Box::new(hook));
    }

    /// The commands with this code that went to the TPM.
    pub(crate) fn commands(&self, code: u32) -> Vec<Vec<u8>> {
        let seen = self.seen.commands.lock().unwrap();
        seen.iter().filter(|command| self::code(command) == code).cloned().collect()
    }
}

fn code(command: &[u8]) -> u32 {
    u32::from_be_bytes(command[6..10].try_into().unwrap())
}

fn commands(mut client: &TcpStream, mut tpm: &TcpStream, seen: &Seen) {
    while let Some(command) = message(client) {
        seen.commands.lock().unwrap().push(command.clone());
        if tpm.write_all(&command).is_err() {
            return;
        }
        let Some(mut answer) = message(tpm) else { return };
        let go_on = match seen.hook.lock().unwrap().as_mut() {
            Some(hook) => hook(code(&command), &mut answer),
            None => true,
        };
        if !go_on || client.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Tag, size, code, and the rest.
fn message(mut from: &TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![0; 10];
    from.read_exact(&mut message).ok()?;
    let size = u32::from_be_bytes(message[2..6].try_into().unwrap());
    message.resize(size as usize, 0);
    from.read_exact(&mut message[10..]).ok()?;
    Some(message)
}

/// Puts another point into an unprotected answer to TPM2_ReadPublic of the EC key with this Name, and the Name
/// that belongs to it.
pub(crate) fn exchange_point(answer: &mut [u8], name: &[u8], point: &[u8; 64]) {
    if answer[..2] != [0x80, 0x01] || answer.len() < 12 {
        return;
    }
    let len = usize::from(u16::from_be_bytes(answer[10..12].try_into().unwrap()));
    let (area, names) = answer[12..].split_at_mut(len);
    if &names[2..2 + name.len()] != name {
        return;
    }
    let (x, y) = point.split_at(32);
    area[len - 66..len - 34].copy_from_slice(x);
    area[len - 32..].copy_from_slice(y);
    names[4..36].copy_from_slice(&cloudauth_core::digest::sha256(area));
}
