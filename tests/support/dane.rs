//! Worlds with signed zones and TLSA records.

use lab::Internet;
use lab::client::Reply;
use lab::mx::Mx;

use super::world::{World, WorldBuilder};
use lab::mx::Script;

pub fn said(reply: &Reply) -> (u16, &str) {
    (reply.code, reply.enhanced().unwrap_or(""))
}

/// Nothing of a message has been seen there, in the clear or not.
pub fn saw_nothing(mx: &Mx) -> bool {
    mx.messages().is_empty()
        && !mx.mail_octets_in_clear()
        && !mx.wire_contains("secret-marker")
        && mx
            .connections()
            .iter()
            .all(|c| c.verbs().iter().all(|verb| verb != "MAIL"))
}

/// The name that the first connection asked for.
pub fn sni(mx: &Mx) -> Option<String> {
    mx.connections().first()?.tls.as_ref()?.sni.clone()
}

/// A relay that validates, and a.test in a signed zone.
pub fn signed(script: Script) -> WorldBuilder {
    World::new().domain("a.test", script).dns(|dns| {
        dns.secure("a.test");
    })
}

/// The same with TLSA records for its host, such as `3 1 1`.
pub fn with_tlsa(parameters: &'static str) -> WorldBuilder {
    signed(Script::default()).net(move |net| {
        net.tlsa("mx.a.test", parameters);
    })
}

/// A TLSA record for another key than the host has.
pub fn wrong_tlsa(net: &Internet, host: &str) {
    let other = net.ca.identity("other.test");
    let port = net.ports.port();
    net.dns.tlsa(host, port, "3 1 1", other.leaf());
}

pub fn tlsa_owner(world: &World, host: &str) -> String {
    format!("_{}._tcp.{host}", world.net.ports.port())
}

pub fn half(script: Script) -> WorldBuilder {
    // a.test is not signed, and its MX record names a host in a zone that is.
    World::new().host("mx.s.test", script).dns(|dns| {
        dns.secure("s.test").mx("a.test", 10, "mx.s.test");
    })
}
