//! The person at the terminal.

use std::io::{BufRead as _, ErrorKind, IsTerminal as _, Write as _, stderr, stdin};
use std::sync::{Mutex, PoisonError};

use cloudauth_keys::Prompt;
use zeroize::Zeroizing;

use crate::error::CliError;

/// Asks for PINs and passphrases, without an echo, where there is a terminal. Each is asked for once: a
/// command may need it for several logins.
pub(crate) fn prompt() -> Prompt {
    let answers: Mutex<Vec<(String, Zeroizing<String>)>> = Mutex::default();
    Prompt::new(move |question| {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = answers.iter().find(|(known, _)| known == question) {
            return Ok(Some(answer.clone()));
        }
        let answer = ask(question)?;
        answers.extend(answer.clone().map(|answer| (question.to_owned(), answer)));
        Ok(answer)
    })
}

/// A secret, typed without an echo; none when nobody is there to type it.
pub(crate) fn ask(question: &str) -> Result<Option<Zeroizing<String>>, String> {
    // A daemon's child can have a terminal that nobody looks at.
    if !stdin().is_terminal() && !stderr().is_terminal() {
        return Ok(None);
    }
    // It talks to /dev/tty: standard output and input are for data.
    match rpassword::prompt_password(format!("{question}: ")).map(Zeroizing::new) {
        Ok(answer) => Ok(Some(answer)),
        Err(e) if e.kind() == ErrorKind::NotFound || e.raw_os_error() == Some(NO_TERMINAL) => {
            Ok(None)
        }
        Err(e) => Err(format!("{question}: the terminal cannot be read ({})", e.kind())),
    }
}

/// `ENXIO`: the process has no terminal.
const NO_TERMINAL: i32 = 6;

/// Whether the person at the terminal says `yes`; none when nobody is there.
pub(crate) fn confirm(question: &str) -> Result<Option<bool>, CliError> {
    if !stdin().is_terminal() {
        return Ok(None);
    }
    let failed = |e| CliError::input("terminal", e);
    write!(stderr(), "{question} Type yes to go on: ").map_err(failed)?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(Some(answer.trim() == "yes"))
}
