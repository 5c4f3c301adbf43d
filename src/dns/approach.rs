//! How a question is asked and its answer judged: `dns.dnssec` in the light of the last probe.

use super::exchange::Asking;
use super::{Dnssec, DnssecStatus, DnssecUnavailable, Validation};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Approach {
    /// Nothing is secure: `dnssec = "off"`.
    Plain,
    /// The same for the time being: DNSSEC does not work, and `dnssec_unavailable = "without-dane"`.
    Stopgap,
    /// Signatures are checked here.
    Validate,
    /// Likewise, but the root cannot be validated: what is bogus is so because of that.
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
        use DnssecStatus::{Broken, NoAnswer, Off, Works};
        use DnssecUnavailable::WithoutDane;
        match (mode, probed) {
            (Dnssec::Off, _) => Self::Plain,
            (_, Some(Broken(_))) if unavailable == WithoutDane => Self::Stopgap,
            (Dnssec::Auto, Some(Works(Validation::Servers)))
            | (Dnssec::TrustAd, Some(Works(_))) => Self::Believe,
            (Dnssec::TrustAd, _) if unavailable == WithoutDane => Self::Stopgap,
            (Dnssec::TrustAd, _) => Self::BelieveOnlyAd,
            (Dnssec::Auto | Dnssec::Validate, Some(Broken(_))) => Self::ValidateInVain,
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

    /// Whether the servers validate.
    pub(super) fn believes(self) -> bool {
        self.asking() == Asking::Verdict
    }
}
