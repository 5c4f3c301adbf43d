//! `--from FILE`: an earlier survey, put out anew without the network.

use super::output::{Ending, Origin, OutputArgs, Sink};
use crate::cli::print::{Trouble, safe};
use crate::survey::lines::{Defect, Line, Lines};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Reads the file and puts it out.
pub(super) fn put_out(file: &Path, args: &OutputArgs) -> Result<(), Trouble> {
    let name = file.display();
    let source: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(file).map_err(|error| Trouble::Usage(format!("{name}: {error}")))?;
        Box::new(BufReader::new(file))
    };
    let mut sink = Sink::open(args, None)?;
    let mut lines = Lines::new(source);
    let mut ending = Ending::Complete;
    loop {
        let found = lines
            .next_line()
            .map_err(|error| Trouble::Usage(format!("{name}: {error}")))?;
        let Some(found) = found else { break };
        match found.line {
            Line::Record(record) => sink.take(&record, Origin::File)?,
            Line::Unreadable(defect) => {
                if defect == Defect::Unfinished {
                    ending = Ending::Interrupted;
                }
                let defect = safe(&defect.to_string());
                eprintln!("sealpost: scan: {name} line {}: {defect}", found.number);
            }
        }
    }
    if sink.domains() == 0 {
        return Err(Trouble::Usage(format!(
            "{name}: there is no record of a survey in it"
        )));
    }
    sink.finish(ending)?;
    Ok(())
}
