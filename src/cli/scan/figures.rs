//! What is asked for most, for each group a line.

use crate::survey::stats::{Counts, Group, Property, Subject};

/// Part and whole of: STARTTLS on all, some and no MX of those that could be tested; DANE on all or some MX, and a
/// valid MTA-STS policy that is enforced or tested, of those where that is known.
pub(super) fn of(group: &Group) -> [(u64, u64); 5] {
    let chart = |property| group.chart(Subject::Domains, property);
    let of = |counts: Option<&Counts>, labels: &[&str]| -> u64 {
        let sum = |counts: &Counts| labels.iter().map(|label| counts.of(label)).sum();
        counts.map_or(0, sum)
    };
    let known = |counts: Option<&Counts>| {
        let whole = counts.map_or(0, |counts| counts.whole);
        whole - of(counts, &["could not test", "takes no mail"])
    };
    let starttls = chart(Property::Starttls);
    let (dane, sts) = (chart(Property::Dane), chart(Property::MtaSts));
    let tested = known(starttls);
    [
        (of(starttls, &["on all MX"]), tested),
        (of(starttls, &["on some MX"]), tested),
        (of(starttls, &["on no MX"]), tested),
        (
            of(dane, &["valid on all MX", "valid on some MX"]),
            known(dane),
        ),
        (of(sts, &["enforce", "testing"]), known(sts)),
    ]
}
