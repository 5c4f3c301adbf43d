use super::{dane, problem, stranger, tlsa};
use crate::policy::CertificateProblem;
use crate::tls::testing::{Authority, MX, at_test, session};
use proptest::prelude::*;
use rustls_pki_types::CertificateDer;

proptest! {
    #[test]
    fn noise_is_neither_a_leaf_nor_an_anchor(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let root = Authority::root("root");
        let good = root.issue(&[MX], |_| {}).chain.remove(0);
        let noise = CertificateDer::from(noise);
        let records = [tlsa("2 0 1", &root.cert), tlsa("2 1 0", &root.cert)];
        let chain = [noise.clone(), root.cert.clone(), noise.clone()];
        prop_assert!(problem(&chain, &records).is_some());
        let chain = [good, noise.clone(), root.cert.clone()];
        prop_assert_eq!(problem(&chain, &records), None);
        let requirement = dane(&[tlsa("2 0 1", &root.cert)], &[MX]);
        let _ = stranger().explain_dane(&requirement, &session(&[noise]), at_test());
    }
}

/// Whatever is altered: a leaf is vouched for by a signature, an anchor by its digest.
#[test]
fn a_chain_changed_anywhere_leads_nowhere() {
    let root = Authority::root("root");
    let middle = root.intermediate();
    let mut chain = middle.issue(&[MX], |_| {}).chain;
    chain.push(root.cert.clone());
    let by_certificate = [tlsa("2 0 1", &root.cert)];
    let by_key = [tlsa("2 1 0", &root.cert)];
    for place in 0..chain.len() {
        for at in (0..chain[place].len()).step_by(3) {
            let mut octets = chain[place].to_vec();
            octets[at] ^= 0x01;
            let mut changed = chain.clone();
            changed[place] = octets.into();
            let got = problem(&changed, &by_certificate);
            assert!(got.is_some(), "certificate {place}, octet {at}");
            // The key is published: the certificate around it does not matter.
            let got = problem(&changed, &by_key);
            let harmless = place == 2 && matches!(got, None | Some(CertificateProblem::Untrusted));
            assert!(harmless || got.is_some(), "certificate {place}, octet {at}");
        }
    }
}
