//! Where the output goes: stdout, or a file that is whole from the moment on that it is there.

use crate::cli::print::Trouble;
use console::Term;
use std::fs::Permissions;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Columns of a page that nobody looks at on a terminal.
const PLAIN_WIDTH: usize = 120;

pub(super) enum Destination {
    Stdout(BufWriter<Stdout>),
    File {
        /// Beside the file, so that it can be renamed.
        written: BufWriter<NamedTempFile>,
        path: PathBuf,
    },
}

/// How words may be shown there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) place: Place,
    pub(super) width: usize,
    pub(super) colour: Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Terminal,
    Elsewhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Yes,
    No,
}

impl Destination {
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Trouble> {
        let Some(path) = path else {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        };
        let problem = |error| Trouble::Usage(format!("{}: {error}", path.display()));
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            Some(_) | None => Path::new("."),
        };
        if path.is_dir() {
            return Err(problem(io::ErrorKind::IsADirectory.into()));
        }
        let mut builder = tempfile::Builder::new();
        // As any other program would make it: the umask takes away what it should.
        let builder = builder
            .prefix(".sealpost-")
            .permissions(Permissions::from_mode(0o666));
        let written = BufWriter::new(builder.tempfile_in(directory).map_err(problem)?);
        let path = path.to_owned();
        Ok(Self::File { written, path })
    }

    pub(super) fn look(&self) -> Look {
        match self {
            Self::Stdout(stdout) if stdout.get_ref().is_terminal() => Look {
                place: Place::Terminal,
                width: Term::stdout().size().1.into(),
                colour: colour(),
            },
            Self::Stdout(_) | Self::File { .. } => Look {
                place: Place::Elsewhere,
                width: PLAIN_WIDTH,
                colour: Colour::No,
            },
        }
    }

    /// A file takes its name.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut stdout) => stdout.flush(),
            Self::File { written, path } => {
                let file = written
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)?;
                file.as_file().sync_all()?;
                file.persist(&path).map_err(|error| error.error)?;
                Ok(())
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(octets),
            Self::File { written, .. } => written.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            // Nobody sees it before it is whole.
            Self::File { .. } => Ok(()),
        }
    }
}

/// <https://no-color.org>
fn colour() -> Colour {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() || set("TERM").is_none_or(|term| term == "dumb") {
        Colour::No
    } else {
        Colour::Yes
    }
}
