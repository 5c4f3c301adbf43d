//! Cases that have become hosts and records.

use std::net::SocketAddr;

use lab::Internet;
use lab::ca::{Ca, Cert, Identity};
use lab::dns::{tlsa_data, tlsa_owner};

use super::case::{Case, Data, Of};
use super::zones::Records;

/// A case in this Internet.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub case: Case,
    pub domain: String,
    pub address: SocketAddr,
    /// The TLSA base domain.
    pub base: String,
    /// How many certificates the host sends.
    pub sent: u64,
    /// The TLSA records of the base domain.
    pub rdata: Vec<Vec<u8>>,
}

impl Prepared {
    /// Starts the host and writes the records.
    pub(super) async fn new(case: Case, net: &mut Internet, records: &mut Records) -> Self {
        let domain = format!("{}.{}", case.name, case.zone);
        let port = net.ports.port().to_string();
        let text = |template: &str| {
            template
                .replace("BASE", case.base)
                .replace("HOST", case.host)
                .replace("PORT", &port)
                .replace("DOMAIN", &domain)
        };
        let names = case.names.iter().map(|name| text(name)).collect::<Vec<_>>();
        let identity = net.ca.issue(&(case.cert)(Cert::new(names.clone())));
        let identity = (case.chain)(&net.ca, identity, &names);
        let (host, base) = (text(case.host), text("BASE"));
        let mut script = (case.script)();
        script.tls.identity = Some(identity.clone());
        let address = net.host(&host, script).await.unwrap().address();

        records.add(&host, &format!("A {}", address.ip()));
        if !case.mx.is_empty() {
            records.mx(&domain, &text(case.mx));
        }
        for (owner, data) in &case.lines {
            records.add(&text(owner), &text(data));
        }
        let mut rdata = Vec::new();
        for (owner, data) in &case.tlsa {
            let made = |parameters: &str, of: Of| {
                tlsa_data(parameters, &certificate(&net.ca, &identity, of))
            };
            let data = match *data {
                Data::Octets(octets) => octets.to_vec(),
                Data::Right(parameters, of) => made(parameters, of),
                Data::As(parameters, those, of) => {
                    [&made(parameters, of)[..3], &made(those, of)[3..]].concat()
                }
                Data::Longer(parameters, of) => [made(parameters, of), vec![0]].concat(),
            };
            let owner = text(owner);
            records.tlsa_raw(&owner, &data);
            // Those of another name than the base domain do not count.
            let of_other = owner.starts_with('_') && owner != tlsa_owner(&base, net.ports.port());
            if !of_other {
                rdata.push(data);
            }
        }
        Self {
            case,
            domain,
            address,
            base,
            sent: identity.chain.len() as u64,
            rdata,
        }
    }
}

fn certificate(ca: &Ca, identity: &Identity, of: Of) -> Vec<u8> {
    match of {
        Of::Leaf => identity.leaf().to_vec(),
        Of::OtherLeaf => ca.identity("other.test").leaf().to_vec(),
        Of::Intermediate => ca.intermediate().to_vec(),
        Of::Root => ca.root().to_vec(),
        Of::Second => identity.chain[1].to_vec(),
        Of::OtherRoot => Ca::new("Another root").root().to_vec(),
    }
}
