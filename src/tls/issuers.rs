//! Which certificates of a chain may have issued others of it, by their names alone.

use crate::tls::certificate::DistinguishedNames;
use rustls_pki_types::CertificateDer;

/// Certificates among which a path is sought. A path has fewer; among a hundred that all bear one name,
/// the search would go through a hundred thousand ways.
const MAX_ISSUERS: usize = 8;

/// The plausible issuers of a leaf, and of those in turn.
pub(super) struct Issuers<'a> {
    pub(super) certificates: Vec<CertificateDer<'a>>,
    /// Who is named as issuer by the leaf or one of the certificates: the contents of Names in DER.
    pub(super) names: Vec<Vec<u8>>,
}

impl<'a> Issuers<'a> {
    /// The first that are found, from the leaf upwards, whatever their order in the chain: some servers
    /// send every authority that they know.
    pub(super) fn of(
        leaf: &CertificateDer<'static>,
        others: &'a [CertificateDer<'static>],
    ) -> Self {
        let mut found = Self {
            certificates: Vec::new(),
            names: Vec::from_iter(DistinguishedNames::of(leaf).map(|names| names.issuer)),
        };
        let others: Vec<_> = others
            .iter()
            .filter_map(|cert| Some((cert, DistinguishedNames::of(cert)?)))
            .collect();
        let mut at = 0;
        while let Some(name) = found.names.get(at).cloned() {
            at += 1;
            for (cert, names) in others.iter().filter(|(_, names)| names.subject == name) {
                found.add(cert, names);
            }
        }
        found
    }

    fn add(&mut self, cert: &'a CertificateDer<'static>, names: &DistinguishedNames) {
        if self.certificates.len() == MAX_ISSUERS || self.certificates.contains(cert) {
            return;
        }
        self.certificates.push(CertificateDer::from_slice(cert));
        if !self.names.contains(&names.issuer) {
            self.names.push(names.issuer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Authority, MX};

    #[test]
    fn only_the_names_on_the_way_count_in_any_order_and_not_without_end() {
        let root = Authority::root("root");
        let middle = root.intermediate();
        let strangers: Vec<_> = (0..100)
            .map(|n| Authority::root(&format!("stranger {n}")).cert)
            .collect();
        let leaf = middle.issue(&[MX], |_| {}).chain.remove(0);
        let mut others = vec![root.cert.clone()];
        others.extend(strangers);
        others.extend([middle.cert.clone(), middle.cert.clone()]);
        let found = Issuers::of(&leaf, &others).certificates;
        assert_eq!(found, [middle.cert.clone(), root.cert.clone()]);

        let mut crowd = vec![middle.cert.clone()];
        crowd.extend((0..100).map(|_| Authority::root("root").cert));
        let found = Issuers::of(&leaf, &crowd);
        assert_eq!((found.certificates.len(), found.names.len()), (8, 2));
    }
}
