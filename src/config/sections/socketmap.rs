//! `[[socketmap]]`: where Postfix asks for policies.

use super::listen::{check_permissions, collide, taken};
use crate::config::reader::Section;
use crate::config::setting::Mode;
use crate::server::{ListenAddress, ListenSettings, SocketSettings};
use crate::socketmap::{MapSettings, Reports};

/// All of them; there is none unless the file has one.
pub(super) fn socketmaps(root: &mut Section<'_>, listeners: &[ListenSettings]) -> Vec<MapSettings> {
    let mut maps: Vec<MapSettings> = Vec::new();
    for mut section in root.sections("socketmap") {
        section.show_header();
        let map = socketmap(&mut section);
        if let Some(map) = &map {
            let mail = listeners.iter().map(|listener| &listener.address);
            let mut others = mail.chain(maps.iter().map(|map| &map.socket.address));
            if let Some(other) = others.find(|other| collide(other, &map.socket.address)) {
                section.object(
                    "listen",
                    taken(other),
                    "give each [[socketmap]] an address of its own",
                );
            }
        }
        maps.extend(map);
        section.finish();
    }
    maps
}

fn socketmap(section: &mut Section<'_>) -> Option<MapSettings> {
    if !section.has("listen") {
        section.object("listen", "is missing", "write listen = \"127.0.0.1:2526\"");
    }
    let address = section.optional::<ListenAddress>("listen");
    let mode = section.optional::<Mode>("mode").map(|mode| mode.0);
    let group = section.optional("group");
    let reports = if section.take("tlsrpt", false) {
        Reports::Yes
    } else {
        Reports::No
    };
    let address = address?;
    check_permissions(section, &address);
    let socket = SocketSettings {
        address,
        mode,
        group,
    };
    Some(MapSettings { socket, reports })
}
