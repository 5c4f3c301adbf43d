//! What only hellos find out that no delivery would say: old versions, weak suites, and what comes with them.

use super::address::Probing;
use super::record::{Address, CipherOrder, Deep, Known, Suite, Versions};
use super::words;
use crate::delivery::{Smuggling, Unmade, hello, smuggle};
use crate::tls::Offering;
use crate::tls::legacy::{Answer, Chosen, Compression, Hello, HelloVersion};
use crate::tls::suites::{SuiteGrade, find, of_grade};

/// Hellos with weak suites; each tells one.
const GRADES: [SuiteGrade; 2] = [SuiteGrade::Insufficient, SuiteGrade::PhaseOut];

impl Probing<'_> {
    async fn say(&mut self, version: HelloVersion, suites: &[u16]) -> Result<Answer, Unmade> {
        let _pass = self.pass().await;
        let call = self.door.call(self.survey, self.policy);
        let offer = Hello {
            version,
            suites,
            server_name: call.server_name(),
        };
        hello(&call, &offer).await
    }

    /// TLS 1.0 and 1.1, each by itself.
    pub(super) async fn old_versions(&mut self, versions: &mut Versions) {
        let suites = weakest_first();
        let answer = self.say(HelloVersion::Tls11, &suites).await;
        versions.v1_1 = took(&answer, HelloVersion::Tls11);
        if took(&answer, HelloVersion::Tls10) == Known::Yes {
            versions.v1_0 = Known::Yes;
            return;
        }
        let answer = self.say(HelloVersion::Tls10, &suites).await;
        versions.v1_0 = took(&answer, HelloVersion::Tls10);
    }

    /// Whatever the host has up to TLS 1.2, where it has nothing that a delivery offers.
    pub(super) async fn anything(&mut self, versions: &mut Versions) {
        let answer = self.say(HelloVersion::Tls12, &weakest_first()).await;
        let chosen = match answer {
            Ok(Answer::Chosen(chosen)) => chosen,
            Ok(Answer::Alert(_)) => {
                versions.v1_2 = Known::No;
                return;
            }
            Err(_) => return,
        };
        match chosen.version {
            HelloVersion::Tls12 => versions.v1_2 = Known::Yes,
            HelloVersion::Tls11 => (versions.v1_1, versions.v1_2) = (Known::Yes, Known::No),
            HelloVersion::Tls10 => {
                (versions.v1_0, versions.v1_2) = (Known::Yes, Known::No);
                versions.v1_1 = Known::No;
            }
        }
    }

    pub(super) async fn deep(&mut self, told: &mut Address) {
        let mut deep = Deep::default();
        let preferred = self.say(HelloVersion::Tls12, &weakest_first()).await;
        if let Ok(Answer::Chosen(chosen)) = &preferred {
            extras(chosen, &mut deep);
        }
        for grade in GRADES {
            let answer = self.say(HelloVersion::Tls12, &of_grade(grade)).await;
            deep.weak_suites = weaker(deep.weak_suites, &answer);
            if let Ok(Answer::Chosen(chosen)) = &answer {
                deep.dh_bits = deep.dh_bits.or(chosen.dh_bits);
                note(chosen, &mut deep.suites);
            }
        }
        deep.cipher_order = order(&preferred, deep.weak_suites);
        let finite = finite_field();
        if deep.dh_bits.is_none()
            && let Ok(Answer::Chosen(chosen)) = self.say(HelloVersion::Tls12, &finite).await
        {
            deep.dh_bits = chosen.dh_bits;
            note(&chosen, &mut deep.suites);
        }
        told.deep = Some(deep);
        told.injection = self.injection(told).await;
    }

    async fn injection(&mut self, told: &Address) -> Known {
        let offering = match (told.versions.v1_2, told.versions.v1_3) {
            (Known::Yes, _) => Offering::OnlyTls12,
            (_, Known::Yes) => Offering::OnlyTls13,
            (_, _) => return Known::NotTested,
        };
        let _pass = self.pass().await;
        let call = self.door.call(self.survey, self.policy);
        match smuggle(&call, &self.survey.probes, offering).await {
            Smuggling::Obeyed => Known::Yes,
            Smuggling::Stopped => Known::No,
            Smuggling::Unknown => Known::Unknown,
        }
    }
}

fn took(answer: &Result<Answer, Unmade>, version: HelloVersion) -> Known {
    match answer {
        Ok(Answer::Chosen(chosen)) => Known::from(chosen.version == version),
        Ok(Answer::Alert(_)) => Known::No,
        Err(Unmade::Refused(_) | Unmade::Untested(_)) => Known::Unknown,
    }
}

/// One weak suite that is accepted is enough; that none is takes all answers.
fn weaker(known: Known, answer: &Result<Answer, Unmade>) -> Known {
    match (known, answer) {
        (Known::Yes, _) | (_, Ok(Answer::Chosen(_))) => Known::Yes,
        (Known::Unknown, _) | (_, Err(_)) => Known::Unknown,
        (Known::No | Known::NotTested, Ok(Answer::Alert(_))) => Known::No,
    }
}

fn weakest_first() -> Vec<u16> {
    let grades = [
        SuiteGrade::Insufficient,
        SuiteGrade::PhaseOut,
        SuiteGrade::Sufficient,
    ];
    grades.into_iter().flat_map(of_grade).collect()
}

/// Diffie-Hellman over a finite field, and nothing else: its parameters are worth a question.
fn finite_field() -> Vec<u16> {
    let suites = weakest_first().into_iter();
    let dhe = suites.filter(|n| find(*n).is_some_and(|suite| suite.name.starts_with("TLS_DHE_")));
    dhe.collect()
}

fn order(preferred: &Result<Answer, Unmade>, weak: Known) -> CipherOrder {
    match (preferred, weak) {
        (Ok(Answer::Chosen(chosen)), _) => match find(chosen.suite).map(|suite| suite.grade) {
            Some(SuiteGrade::Sufficient) if weak == Known::No => CipherOrder::NotApplicable,
            Some(SuiteGrade::Sufficient) => CipherOrder::ServerPrefersGood,
            Some(SuiteGrade::PhaseOut | SuiteGrade::Insufficient) | None => CipherOrder::Violated,
        },
        // No TLS 1.2 at all.
        (Ok(Answer::Alert(_)), _) => CipherOrder::NotApplicable,
        (Err(_), _) => CipherOrder::Unknown,
    }
}

fn extras(chosen: &Chosen, deep: &mut Deep) {
    deep.compression = Known::from(chosen.compression == Compression::On);
    deep.secure_renegotiation = Known::from(chosen.extras.has_secure_renegotiation());
    deep.extended_master_secret = match chosen.version {
        HelloVersion::Tls12 => Known::from(chosen.extras.has_extended_master_secret()),
        HelloVersion::Tls10 | HelloVersion::Tls11 => Known::NotTested,
    };
    deep.dh_bits = chosen.dh_bits;
}

fn note(chosen: &Chosen, suites: &mut Vec<Suite>) {
    let (name, strength) = words::suite_name(chosen.suite);
    let version = chosen.version.as_str().to_owned();
    if !suites.iter().any(|suite| suite.name == name) {
        suites.push(Suite {
            version,
            name,
            strength,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::legacy::Extras;

    fn chose(version: HelloVersion, suite: u16) -> Result<Answer, Unmade> {
        Ok(Answer::Chosen(Chosen {
            version,
            suite,
            compression: Compression::Off,
            extras: Extras::default(),
            dh_bits: None,
        }))
    }

    fn untested() -> Result<Answer, Unmade> {
        Err(Unmade::Untested("connection lost".into()))
    }

    #[test]
    fn what_an_answer_says_of_a_version() {
        use HelloVersion::{Tls10, Tls11};
        for (answer, version, known) in [
            (chose(Tls11, 0x35), Tls11, Known::Yes),
            (chose(Tls10, 0x35), Tls11, Known::No), // a lower one than was offered
            (chose(Tls10, 0x35), Tls10, Known::Yes),
            (Ok(Answer::Alert(70)), Tls10, Known::No),
            (untested(), Tls10, Known::Unknown), // never a "no"
        ] {
            assert_eq!(took(&answer, version), known, "{answer:?}");
        }
    }

    #[test]
    fn whose_preference_decides() {
        use HelloVersion::Tls12;
        for (answer, weak, expected) in [
            (
                chose(Tls12, 0xC02F),
                Known::Yes,
                CipherOrder::ServerPrefersGood,
            ),
            (chose(Tls12, 0xC02F), Known::No, CipherOrder::NotApplicable),
            (chose(Tls12, 0x0035), Known::Yes, CipherOrder::Violated),
            (Ok(Answer::Alert(40)), Known::No, CipherOrder::NotApplicable),
            (untested(), Known::No, CipherOrder::Unknown),
        ] {
            assert_eq!(order(&answer, weak), expected, "{answer:?}");
        }
    }

    #[test]
    fn one_weak_suite_is_enough_and_none_takes_all_answers() {
        let refused = || Ok(Answer::Alert(40));
        let took = || chose(HelloVersion::Tls12, 0x35);
        for (answers, expected) in [
            ([refused(), refused()], Known::No),
            ([took(), untested()], Known::Yes),
            ([untested(), took()], Known::Yes),
            ([untested(), refused()], Known::Unknown),
            ([refused(), untested()], Known::Unknown),
        ] {
            let known = answers.iter().fold(Known::NotTested, weaker);
            assert_eq!(known, expected, "{answers:?}");
        }
        assert!(finite_field().contains(&0x009F) && !finite_field().contains(&0xC02F));
    }
}
