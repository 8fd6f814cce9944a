//! The program log: on stderr, or in a file of bounded size.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::exit::{CliError, Exit};
use crate::{env_vars, terminal};

/// Older files that are kept: FILE.1 is the newest of them.
const KEPT: u32 = 3;
/// Bytes of a file when nobody says.
const DEFAULT_BYTES: u64 = 10 << 20;

/// Where the log goes and how it looks.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LogArgs {
    /// Log as JSON, one object a line.
    #[arg(long)]
    log_json: bool,
    /// Log into this file (0600) instead of stderr. At its largest size it becomes FILE.1; three are kept.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Largest size of the log file, in KiB [default: 10240].
    #[arg(long, value_name = "KIB", requires = "log_file", value_parser = clap::value_parser!(u64).range(4..=4_194_304))]
    log_file_size: Option<u64>,
}

/// Starts the log; `default` is the filter when `DURWARD_LOG` says nothing.
pub(crate) fn start(args: &LogArgs, default: &str) -> Result<(), CliError> {
    let filter = EnvFilter::try_from_env(env_vars::DURWARD_LOG).unwrap_or_else(|_| EnvFilter::new(default));
    let (writer, colours) = match &args.log_file {
        None => (BoxMakeWriter::new(|| terminal::Notes), terminal::colours_on_stderr()),
        Some(path) => {
            let limit = args.log_file_size.map_or(DEFAULT_BYTES, |kib| kib * 1024);
            let file = Rotating::open(path, limit).map_err(|error| {
                let text = format!("cannot log into {}: {error}", path.display());
                CliError::new(Exit::Other, "log_file", text)
                    .hint("give --log-file a file in a folder of yours")
            })?;
            (BoxMakeWriter::new(move || file.clone()), false)
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let _ = if args.log_json { builder.json().try_init() } else { builder.with_ansi(colours).try_init() };
    Ok(())
}

/// A file that starts anew when it is full.
#[derive(Clone, Debug)]
struct Rotating(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    length: u64,
    limit: u64,
}

impl Rotating {
    fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let (file, length) = append(path)?;
        Ok(Self(Arc::new(Mutex::new(Open { path: path.to_owned(), file, length, limit }))))
    }
}

impl Write for Rotating {
    /// One call is one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.length > 0 && open.length + line.len() as u64 > open.limit {
            // A log that cannot be moved goes on where it is: a message is worth more than the bound.
            let _ = open.rotate();
        }
        open.file.write_all(line)?;
        open.length += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).file.flush()
    }
}

impl Open {
    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            let _ = std::fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1)); // none yet
        }
        std::fs::rename(&self.path, numbered(&self.path, 1))?;
        (self.file, self.length) = append(&self.path)?;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("durward.log");
        let mut log = Rotating::open(&path, 100).unwrap();
        for n in 0..200 {
            log.write_all(format!("line {n:03}\n").as_bytes()).unwrap();
        }
        drop(log);
        let mut names: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["durward.log", "durward.log.1", "durward.log.2", "durward.log.3"]);
        for name in &names {
            assert!(std::fs::metadata(folder.path().join(name)).unwrap().len() <= 100, "{name}");
        }
        let newest = std::fs::read_to_string(&path).unwrap();
        assert!(newest.ends_with("line 199\n"), "{newest}");
        let before = std::fs::read_to_string(folder.path().join("durward.log.1")).unwrap();
        let first: u32 = newest.get(5..8).unwrap().parse().unwrap();
        assert!(
            before.ends_with(&format!("line {:03}\n", first - 1)),
            "nothing is lost in between: {before}"
        );
    }

    #[test]
    fn it_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        Rotating::open(&path, 100).unwrap().write_all(b"one\n").unwrap();
        Rotating::open(&path, 100).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
            0o600
        );
    }
}
