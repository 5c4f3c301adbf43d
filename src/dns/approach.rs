//! How a question is asked and its answer judged: `dns.dnssec` in the light of the last probe.

use super::query::Asking;
use super::{Dnssec, DnssecStatus, DnssecUnavailable, Validation};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Approach {
    /// Nothing is secure: `dnssec = "off"`.
    Plain,
    /// The same for the time being: DNSSEC does not work, and `dnssec_unavailable = "without-dane"`.
    Stopgap,
    /// Signatures are checked here.
    Validate,
    /// Likewise, but the root cannot be validated.
    ValidateInVain,
    /// The server's AD bit tells.
    Believe,
    /// Likewise, but it is not known that the servers validate: that AD is missing proves nothing.
    BelieveOnlyAd,
}

impl Approach {
    /// By the settings and by what the last probe, if there was one, has found.
    pub(super) fn of(
        mode: Dnssec,
        unavailable: DnssecUnavailable,
        probed: Option<&DnssecStatus>,
    ) -> Self {
        use DnssecStatus::{Broken, NoAnswer, Off, Untimely, Works};
        use DnssecUnavailable::WithoutDane;
        match (mode, probed) {
            (Dnssec::Off, _) => Self::Plain,
            (_, Some(Broken(_) | Untimely(_))) if unavailable == WithoutDane => Self::Stopgap,
            (Dnssec::Auto, Some(Works(Validation::Servers)))
            | (Dnssec::TrustAd, Some(Works(_))) => Self::Believe,
            (Dnssec::TrustAd, _) if unavailable == WithoutDane => Self::Stopgap,
            (Dnssec::TrustAd, _) => Self::BelieveOnlyAd,
            (Dnssec::Auto | Dnssec::Validate, Some(Broken(_) | Untimely(_))) => {
                Self::ValidateInVain
            }
            (Dnssec::Auto | Dnssec::Validate, None | Some(Off | NoAnswer(_) | Works(_))) => {
                Self::Validate
            }
        }
    }

    pub(super) fn asking(self) -> Asking {
        match self {
            Self::Plain | Self::Stopgap => Asking::Plain,
            Self::Validate | Self::ValidateInVain => Asking::Signatures,
            Self::Believe | Self::BelieveOnlyAd => Asking::Verdict,
        }
    }

    /// Whether DNSSEC is not known to work: what is bogus is so because of that.
    pub(super) fn is_in_vain(self) -> bool {
        matches!(self, Self::ValidateInVain | Self::BelieveOnlyAd)
    }

    /// Whether the servers validate.
    pub(super) fn believes(self) -> bool {
        self.asking() == Asking::Verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_after_every_probe() {
        use Approach::{Believe, BelieveOnlyAd, Plain, Stopgap, Validate, ValidateInVain};
        use DnssecUnavailable::{Defer, WithoutDane};
        let here = Some(DnssecStatus::Works(Validation::InProcess));
        let there = Some(DnssecStatus::Works(Validation::Servers));
        let broken = Some(DnssecStatus::Broken(String::new()));
        let silent = Some(DnssecStatus::NoAnswer(String::new()));
        for (mode, unavailable, [not_probed, after_silence, after_broken, after_work]) in [
            (Dnssec::Off, Defer, [Plain; 4]),
            (Dnssec::Off, WithoutDane, [Plain; 4]),
            (
                Dnssec::Validate,
                Defer,
                [Validate, Validate, ValidateInVain, Validate],
            ),
            (
                Dnssec::Validate,
                WithoutDane,
                [Validate, Validate, Stopgap, Validate],
            ),
            (
                Dnssec::Auto,
                Defer,
                [Validate, Validate, ValidateInVain, Validate],
            ),
            (
                Dnssec::Auto,
                WithoutDane,
                [Validate, Validate, Stopgap, Validate],
            ),
            (
                Dnssec::TrustAd,
                Defer,
                [BelieveOnlyAd, BelieveOnlyAd, BelieveOnlyAd, Believe],
            ),
            (
                Dnssec::TrustAd,
                WithoutDane,
                [Stopgap, Stopgap, Stopgap, Believe],
            ),
        ] {
            let works = if mode == Dnssec::TrustAd {
                &there
            } else {
                &here
            };
            for (probed, expected) in [
                (&None, not_probed),
                (&silent, after_silence),
                (&broken, after_broken),
                (works, after_work),
            ] {
                let got = Approach::of(mode, unavailable, probed.as_ref());
                assert_eq!(got, expected, "{mode:?} {unavailable:?} {probed:?}");
            }
        }
        assert_eq!(Approach::of(Dnssec::Auto, Defer, there.as_ref()), Believe);
    }
}
