//! `cloudauth broker convert`.

mod read;
mod session;
mod text;
mod write;
mod yaml;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::context::{place, read};
use crate::error::CliError;
use read::Reader;

/// The most octets of a template.
const MAX_TEMPLATE: u64 = 1 << 20;

const AFTER: &str = "\
Written are broker.toml, with a grant of kind \"secrets\" for each service, and SERVICE.run.toml, with which
cloudauth run starts the service. A grant gives a service the secrets that its environment and its image's files
name, and no others. No value of the template's secrets is written: those that stand in the template itself, and
those that CAS made up, become files for you to make. What its environment and injection_files say in plain words
is written as it stands, also what --use-env fills in: standard error says where, for it may be a secret.

On standard error is, a line each, what was not carried over, and what is to be done before the broker loads the
file: the attestation's policy is in no template, and no grant loads without it.

Exit codes: 0 whatever was not carried over; 4 the template cannot be read, or a variable is not set.

Example:
  cloudauth broker convert scone session.template.yml --use-env --out converted";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// A session template of SCONE (session language 0.3) as a broker's and a client's configuration
    Scone(Args),
}

#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The template of a session or a namespace; - is standard input
    #[arg(value_name = "FILE")]
    template: PathBuf,
    /// Fill $NAME and ${NAME} with environment variables; one that is not set is an error
    #[arg(long)]
    use_env: bool,
    /// Write the files into this directory, which may be new, and over none that is there; else all is
    /// printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(command: &Command) -> Result<Vec<u8>, CliError> {
    let Command::Scone(args) = command;
    let place = place(&args.template);
    let wrong = |e: CliError| match e {
        CliError::Input(text) if !text.starts_with(&place) => CliError::input(&place, text),
        e => e,
    };
    let octets = read(&args.template, MAX_TEMPLATE)?;
    let text =
        core::str::from_utf8(&octets).map_err(|_| CliError::input(&place, "is not UTF-8"))?;
    let root = yaml::parse(text, &place)?;
    if args.use_env {
        all_set(&root).map_err(wrong)?;
    }
    let mut reader = Reader { use_env: args.use_env, ..Reader::default() };
    let session = session::Session::read(root, &mut reader).map_err(wrong)?;
    let name = args.template.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // It goes into a comment.
    let name = if name.chars().any(char::is_control) { "a template".to_owned() } else { name };
    let files = write::files(&session, &name, &mut reader);
    let mut shown = Vec::new();
    match &args.out {
        Some(_) if files.is_empty() => {}
        Some(folder) => write(folder, &files)?,
        None => {
            for (name, content) in &files {
                shown.extend_from_slice(format!("# ---- {name} ----\n{content}\n").as_bytes());
            }
        }
    }
    let mut stderr = std::io::stderr();
    for line in &reader.lost {
        let _ = writeln!(stderr, "cloudauth: not carried over: {line}");
    }
    for line in &reader.to_do {
        let _ = writeln!(stderr, "cloudauth: to do: {line}");
    }
    Ok(shown)
}

/// Refuses a template with variables that are not set: all of them at once, also where a value is not needed.
fn all_set(root: &yaml::Node) -> Result<(), CliError> {
    let mut missing = Vec::new();
    let mut failed = None;
    root.texts(&mut |text| {
        for part in text::parts(text) {
            let text::Part::Variable(name) = part else { continue };
            match crate::context::variable(&name) {
                Ok(Some(_)) => {}
                Ok(None) if missing.contains(&name) => {}
                Ok(None) => missing.push(name),
                Err(e) => failed = Some(e),
            }
        }
    });
    match failed {
        Some(e) => Err(e),
        None if missing.is_empty() => Ok(()),
        None => {
            let missing = missing.join(", ");
            Err(CliError::input("--use-env", format!("set what the template names: {missing}")))
        }
    }
}

/// Writes all files or, where one is there already, none.
fn write(folder: &Path, files: &[write::File]) -> Result<(), CliError> {
    let failed = |path: &Path, e| CliError::input(format_args!("write {}", path.display()), e);
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    if let Some((name, _)) = files.iter().find(|(name, _)| folder.join(name).exists()) {
        let help = "is there already; name another directory, or move it away";
        return Err(CliError::input(folder.join(name).display(), help));
    }
    for (name, content) in files {
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // What filled a variable may be no one else's affair.
            options.mode(0o600);
        }
        let written = options.open(&path).and_then(|mut file| file.write_all(content.as_bytes()));
        written.map_err(|e| failed(&path, e))?;
    }
    Ok(())
}
