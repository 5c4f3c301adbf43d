//! Chains that the laboratory's certification authority does not make.

use std::sync::Arc;

use lab::ca::{Ca, Identity};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The root is sent too.
pub(super) fn with_root(ca: &Ca, mut identity: Identity, _names: &[String]) -> Identity {
    identity.chain.push(ca.root().clone());
    identity
}

/// Likewise, in the wrong place.
pub(super) fn root_before_issuer(ca: &Ca, mut identity: Identity, _names: &[String]) -> Identity {
    identity.chain.insert(1, ca.root().clone());
    identity
}

/// The issuer's own time is over.
pub(super) fn expired_issuer(_ca: &Ca, _usual: Identity, names: &[String]) -> Identity {
    issued(names, |params| {
        params.not_after = rcgen::date_time_ymd(2021, 1, 1)
    })
}

/// The issuer is not allowed to be one.
pub(super) fn issuer_that_is_no_ca(_ca: &Ca, _usual: Identity, names: &[String]) -> Identity {
    issued(names, |params| params.is_ca = IsCa::ExplicitNoCa)
}

/// The issuer may issue for else.test and nothing besides (RFC 5280 §4.2.1.10).
pub(super) fn issuer_for_other_names(_ca: &Ca, _usual: Identity, names: &[String]) -> Identity {
    issued(names, |params| constrain(params, "else.test"))
}

/// The issuer may issue for test.
pub(super) fn issuer_for_these_names(_ca: &Ca, _usual: Identity, names: &[String]) -> Identity {
    issued(names, |params| constrain(params, "test"))
}

fn constrain(params: &mut CertificateParams, name: &str) {
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(name.to_owned())],
        excluded_subtrees: Vec::new(),
    });
}

/// Another name is where names belong.
pub(super) fn right_in_common_name_only(_ca: &Ca, _usual: Identity, names: &[String]) -> Identity {
    let (certificate, issuer) = authority(|_| {});
    let mut params = CertificateParams::new(vec!["else.test".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, &*names[0]);
    leaf(params, &certificate, &issuer)
}

/// A leaf for these names and its issuer, which is a good one but for this change.
fn issued(names: &[String], change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let (certificate, issuer) = authority(change);
    leaf(
        CertificateParams::new(names).unwrap(),
        &certificate,
        &issuer,
    )
}

fn authority(
    change: impl FnOnce(&mut CertificateParams),
) -> (Certificate, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "An issuer of its own");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2015, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    change(&mut params);
    let certificate = params.self_signed(&key).unwrap();
    (certificate, Issuer::new(params, key))
}

fn leaf(
    mut params: CertificateParams,
    certificate: &Certificate,
    issuer: &Issuer<'static, KeyPair>,
) -> Identity {
    let key = KeyPair::generate().unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&key, issuer).unwrap();
    Identity {
        chain: vec![leaf.der().clone(), certificate.der().clone()],
        key: Arc::new(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
            key.serialize_der(),
        ))),
    }
}
