//! Cipher suites below TLS 1.3, graded as Internet.nl grades them; for surveys, which offer also what no delivery would.

/// How good a suite is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuiteGrade {
    /// ECDHE with an AEAD: what a delivery offers.
    Sufficient,
    /// ECDHE with CBC and SHA-2; DHE with an AEAD or CBC and SHA-2.
    PhaseOut,
    /// Without forward secrecy, or with SHA-1, 3DES, RC4, CCM_8.
    Insufficient,
}

/// A suite by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CipherSuite {
    pub number: u16,
    /// IANA's name.
    pub name: &'static str,
    pub grade: SuiteGrade,
}

/// Whether the key exchange is that over a finite field, and ephemeral.
pub(super) fn is_dhe(number: u16) -> bool {
    find(number).is_some_and(|suite| suite.name.starts_with("TLS_DHE_"))
}

/// The suite of this number, if it is one of [`SUITES`].
pub fn find(number: u16) -> Option<&'static CipherSuite> {
    SUITES.iter().find(|suite| suite.number == number)
}

/// The numbers of all suites of a grade.
pub fn of_grade(grade: SuiteGrade) -> Vec<u16> {
    let those = SUITES.iter().filter(|suite| suite.grade == grade);
    those.map(|suite| suite.number).collect()
}

macro_rules! suites {
    ($($grade:ident: $($number:literal $name:literal,)*;)*) => {
        /// The suites that are offered.
        pub const SUITES: &[CipherSuite] = &[$($(CipherSuite {
            number: $number,
            name: $name,
            grade: SuiteGrade::$grade,
        },)*)*];
    };
}

suites! {
    Sufficient:
    0xC02C "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC030 "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0xCCA9 "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCA8 "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xC02B "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    0xC02F "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    0xC0AD "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",
    0xC0AC "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
    ;
    PhaseOut:
    0xC024 "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    0xC028 "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
    0xC023 "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    0xC027 "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    0xC073 "TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384",
    0xC077 "TLS_ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384",
    0xC072 "TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256",
    0xC076 "TLS_ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256",
    0xC061 "TLS_ECDHE_RSA_WITH_ARIA_256_GCM_SHA384",
    0xC060 "TLS_ECDHE_RSA_WITH_ARIA_128_GCM_SHA256",
    0x009F "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    0xCCAA "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xC09F "TLS_DHE_RSA_WITH_AES_256_CCM",
    0x009E "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    0xC09E "TLS_DHE_RSA_WITH_AES_128_CCM",
    0x006B "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
    0x0067 "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
    0x00C4 "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA256",
    0x00BE "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA256",
    ;
    Insufficient:
    0xC0AF "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8",
    0xC0AE "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
    0xC00A "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC014 "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xC009 "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    0xC013 "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    0xC008 "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA",
    0xC012 "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0xC007 "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    0xC011 "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    0x0039 "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
    0x0033 "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
    0x0088 "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA",
    0x0045 "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA",
    0x0016 "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0x0015 "TLS_DHE_RSA_WITH_DES_CBC_SHA",
    0x009D "TLS_RSA_WITH_AES_256_GCM_SHA384",
    0xC09D "TLS_RSA_WITH_AES_256_CCM",
    0x009C "TLS_RSA_WITH_AES_128_GCM_SHA256",
    0xC09C "TLS_RSA_WITH_AES_128_CCM",
    0x003D "TLS_RSA_WITH_AES_256_CBC_SHA256",
    0x003C "TLS_RSA_WITH_AES_128_CBC_SHA256",
    0x0035 "TLS_RSA_WITH_AES_256_CBC_SHA",
    0x002F "TLS_RSA_WITH_AES_128_CBC_SHA",
    0x0084 "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA",
    0x0041 "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA",
    0x000A "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    0x0005 "TLS_RSA_WITH_RC4_128_SHA",
    0x0004 "TLS_RSA_WITH_RC4_128_MD5",
    0x0009 "TLS_RSA_WITH_DES_CBC_SHA",
    0x0018 "TLS_DH_anon_WITH_RC4_128_MD5",
    0x0034 "TLS_DH_anon_WITH_AES_128_CBC_SHA",
    0xC018 "TLS_ECDH_anon_WITH_AES_128_CBC_SHA",
    ;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names say what a suite is worth; numbers are given once.
    #[test]
    fn grades_are_those_of_the_guidelines() {
        for suite in SUITES {
            let name = suite.name;
            let aead = ["_GCM_", "_POLY1305_", "_CCM"]
                .iter()
                .any(|m| name.contains(m));
            let sha1 = name.ends_with("_SHA") || name.ends_with("_MD5");
            let bad = sha1
                || name.ends_with("_8")
                || name.contains("anon")
                || name.starts_with("TLS_RSA_");
            let expected = if bad {
                SuiteGrade::Insufficient
            } else if name.starts_with("TLS_ECDHE_") && aead && !name.contains("ARIA") {
                SuiteGrade::Sufficient
            } else {
                SuiteGrade::PhaseOut
            };
            assert_eq!(suite.grade, expected, "{name}");
            let same = SUITES.iter().filter(|other| other.number == suite.number);
            assert_eq!(same.count(), 1, "{name}");
        }
        assert!(is_dhe(0x009F) && !is_dhe(0xC02F) && !is_dhe(0x1234));
    }
}
