//! The Prometheus text format, as far as tests need it.

/// All samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    pub fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| {
            sample(line).unwrap_or_else(|| panic!("not a line of the Prometheus format: {line:?}"))
        });
        Self {
            samples: samples.collect(),
        }
    }

    /// The sum of all samples of this name that have these labels; 0 if there is none. `sealpost_` may be left out.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let full = format!("sealpost_{name}");
        let matches = |sample: &&Sample| {
            (sample.name == name || sample.name == full)
                && labels.iter().all(|(label, value)| {
                    sample
                        .labels
                        .iter()
                        .any(|(have, is)| have == label && is == value)
                })
        };
        self.samples
            .iter()
            .filter(matches)
            .map(|sample| sample.value)
            .sum()
    }

    /// The names of all samples.
    pub fn names(&self) -> Vec<&str> {
        let mut names = self
            .samples
            .iter()
            .map(|s| s.name.as_str())
            .collect::<Vec<_>>();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every value that any label has.
    pub fn label_values(&self) -> Vec<&str> {
        self.samples
            .iter()
            .flat_map(|s| &s.labels)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Vec::new();
    let mut rest = rest.strip_prefix('{').unwrap_or(rest);
    while let Some(equals) = rest.find("=\"").filter(|_| !rest.starts_with([' ', '}'])) {
        let label = rest[..equals].trim_start_matches(',').to_owned();
        let mut value = String::new();
        let mut chars = rest[equals + 2..].char_indices();
        loop {
            match chars.next()? {
                (at, '"') => {
                    rest = &rest[equals + 2 + at + 1..];
                    break;
                }
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        }
        labels.push((label, value));
    }
    let value = rest
        .trim_start_matches(['}', ','])
        .split_whitespace()
        .next()?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

#[test]
fn samples_are_parsed() {
    let metrics = Metrics::parse(
        "# HELP x y\nsealpost_a_total{result=\"delivered\",tls=\"1.3\"} 2\n\
         sealpost_a_total{result=\"delivered\",tls=\"no\\\"ne, }\"} 3\nup 1\n",
    );
    assert_eq!(metrics.get("a_total", &[("result", "delivered")]), 5.0);
    assert_eq!(
        metrics.get("sealpost_a_total", &[("tls", "no\"ne, }")]),
        3.0
    );
    assert_eq!(
        (
            metrics.get("up", &[]),
            metrics.get("a_total", &[("tls", "x")])
        ),
        (1.0, 0.0)
    );
}
