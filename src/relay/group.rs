//! Recipients by next hop. Rules that override the route act here, and only here.

use crate::names::{NextHop, RuleNextHop};
use crate::policy::{Demand, Published, Rules};
use crate::smtp::address::MailDomain;
use crate::smtp::envelope::Recipient;
use std::collections::HashMap;

/// Recipients that share domain and next hop, and so policy, route and connection.
#[derive(Debug)]
pub(super) struct Group {
    pub demand: Demand,
    /// Places in the envelope.
    pub recipients: Vec<usize>,
}

/// Where mail for a domain goes first.
pub fn next_hop(domain: &MailDomain, rules: &Rules) -> NextHop {
    match domain {
        MailDomain::Literal(ip) => NextHop::Literal(*ip),
        MailDomain::Name { ascii, .. } => {
            match rules.find(ascii).and_then(|rule| rule.next_hop.clone()) {
                Some(hop) => NextHop::Rule(hop),
                None => NextHop::Domain(ascii.clone()),
            }
        }
    }
}

/// The groups of an envelope, in the order of their first recipients.
pub(super) fn by_next_hop(
    recipients: &[Recipient],
    rules: &Rules,
    published: Published,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<&MailDomain, usize> = HashMap::new();
    let mut places_of_name = HashMap::new();
    for (at, recipient) in recipients.iter().enumerate() {
        let domain = &recipient.mailbox.domain;
        if let Some(&place) = places.get(domain) {
            groups[place].recipients.push(at);
            continue;
        }
        let name = match domain {
            MailDomain::Name { ascii, .. } => Some(ascii),
            MailDomain::Literal(_) => None,
        };
        // The same domain may be spelt in several ways.
        let known = name.and_then(|name| places_of_name.get(name).copied());
        let place = known.unwrap_or(groups.len());
        places.insert(domain, place);
        if let Some(group) = groups.get_mut(place) {
            group.recipients.push(at);
            continue;
        }
        if let Some(name) = name {
            places_of_name.insert(name, place);
        }
        let demand = Demand {
            recipient_domain: name.cloned(),
            next_hop: next_hop(domain, rules),
            published,
        };
        groups.push(Group {
            demand,
            recipients: vec![at],
        });
    }
    groups
}

/// All recipients, to one next hop.
pub(super) fn to_hop(recipients: usize, hop: &RuleNextHop) -> Group {
    Group {
        demand: Demand {
            recipient_domain: None,
            next_hop: NextHop::Rule(hop.clone()),
            published: Published::Honor,
        },
        recipients: (0..recipients).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::DomainName;
    use crate::smtp::address::Mailbox;

    fn recipient(local: &str, domain: &str) -> Recipient {
        let domain = match domain.parse() {
            Ok(ip) => MailDomain::Literal(ip),
            Err(_) => MailDomain::Name {
                ascii: DomainName::parse(domain).unwrap(),
                written: domain.to_owned(),
            },
        };
        let mailbox = Mailbox {
            local: local.to_owned(),
            domain,
        };
        Recipient {
            mailbox,
            notify: None,
            orcpt: None,
        }
    }

    #[test]
    fn recipients_of_a_domain_go_together_however_it_is_spelt() {
        let recipients = [
            recipient("a", "one.example"),
            recipient("b", "two.example"),
            recipient("c", "ONE.example"),
            recipient("d", "192.0.2.1"),
            recipient("e", "one.example"),
        ];
        let groups = by_next_hop(&recipients, &Rules::default(), Published::Honor);
        let places: Vec<_> = groups
            .iter()
            .map(|group| group.recipients.clone())
            .collect();
        assert_eq!(places, [vec![0, 2, 4], vec![1], vec![3]]);
        assert_eq!(groups[2].demand.recipient_domain, None);
    }
}
