//! What was measured, as medians and ranges.

use std::fmt::{self, Display};

/// All runs of a part. The first column is what the last one is compared with.
#[derive(Debug)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    digits: usize,
    target: Target,
    /// By column.
    values: Vec<Vec<f64>>,
}

/// What the last column must show.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    None,
    RatioAtLeast(f64),
    Below(f64),
}

impl Table {
    pub fn new(title: String, columns: &[&str]) -> Self {
        Self {
            title,
            columns: columns.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    /// A further figure.
    pub fn row(mut self, name: &'static str, digits: usize, target: Target) -> Self {
        self.rows.push(Row {
            name,
            digits,
            target,
            values: vec![Vec::new(); self.columns.len()],
        });
        self
    }

    /// One run: its figures in the order of the rows.
    pub fn add(&mut self, column: &str, figures: &[f64]) {
        let Some(at) = self.columns.iter().position(|name| name == column) else {
            return;
        };
        let mut told = Vec::new();
        for (row, &figure) in self.rows.iter_mut().zip(figures) {
            row.values[at].push(figure);
            told.push(format!("{} {figure:.*}", row.name, row.digits));
        }
        println!("{column}: {}", told.join(", "));
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        write!(f, "  {:<34}", "")?;
        for column in &self.columns {
            write!(f, "{column:>26}")?;
        }
        if self.columns.len() > 1 {
            write!(f, "{:>9}", "ratio")?;
        }
        write!(f, "  target")?;
        for row in &self.rows {
            write!(f, "\n  {:<34}", row.name)?;
            let medians: Vec<_> = row.values.iter().map(|values| median(values)).collect();
            for (values, median) in row.values.iter().zip(&medians) {
                write!(f, "{:>26}", spread(values, *median, row.digits))?;
            }
            let (first, last) = (medians.first(), medians.last());
            let ratio = first.copied().flatten().zip(last.copied().flatten());
            let ratio = ratio.map(|(first, last)| last / first);
            if self.columns.len() > 1 {
                let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
                write!(f, "{ratio:>9}")?;
            }
            let verdict = row.target.verdict(ratio, last.copied().flatten());
            write!(f, "{verdict}")?;
        }
        Ok(())
    }
}

impl Target {
    fn verdict(self, ratio: Option<f64>, value: Option<f64>) -> String {
        let (text, met) = match self {
            Self::None => return String::new(),
            Self::RatioAtLeast(bound) => (format!(">= {bound}"), ratio.map(|r| r >= bound)),
            Self::Below(bound) => (format!("< {bound}"), value.map(|v| v < bound)),
        };
        let met = match met {
            None => "not measured",
            Some(true) => "met",
            Some(false) => "NOT MET",
        };
        format!("  {text} {met}")
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of figures that were not measured (NaN) there is none.
fn median(values: &[f64]) -> Option<f64> {
    let values = sorted(values);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

fn spread(values: &[f64], median: Option<f64>, digits: usize) -> String {
    let values = sorted(values);
    match (median, values.first(), values.last()) {
        (Some(median), Some(least), Some(most)) if values.len() > 1 => {
            format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
        }
        (Some(median), ..) => format!("{median:.digits$}"),
        (None, ..) => "-".to_owned(),
    }
}
