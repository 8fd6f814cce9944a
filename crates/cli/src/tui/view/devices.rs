//! The page of devices: the pairing under way, this device and its peers, and one of them whole.

use durward_protocol::device::api::{DeviceView, PairInitiated, PairState, PeerShown};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::look::Role;
use super::paint::{self, Paint, below};
use super::rest;
use super::text::{aligned, window, wrap};
use crate::tui::state::{DeviceRow, State};

/// From so many columns on the list shows keys.
const WIDE: u16 = 76;
/// Rows that the list keeps beside a pairing, its frame counted.
const LIST: u16 = 5;

/// The page.
pub(super) fn devices(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let room = area.width.saturating_sub(4);
    let pairing = pairing(paint, room);
    let mut area = area;
    if let Some((title, lines)) = pairing {
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
        let left = area.height.saturating_sub(rows);
        let rows = if left < LIST { area.height } else { rows };
        let inner = paint.frame(buffer, Rect { height: rows, ..area }, title);
        paint::lines(buffer, inner, &lines);
        area = below(area, rows);
    }
    if area.height > 0 {
        list(paint, buffer, area);
    }
}

/// The pairing under way; what matters most comes first.
fn pairing(paint: &Paint<'_>, columns: u16) -> Option<(&'static str, Vec<Line<'static>>)> {
    let state = paint.state;
    let prose = |text: &str, role: Role| {
        wrap(text, usize::from(columns)).into_iter().map(|line| paint.line(line, role)).collect::<Vec<_>>()
    };
    let Some(pairing) = state.known.live_pairing() else {
        let text = "Waiting for the other device's owner. It goes on until there is an answer.";
        return state.devices.joining.then(|| ("Joining", prose(text, Role::Plain)));
    };
    let until = state.devices.until.map(|until| paint.left(until)).unwrap_or_default();
    if let Some(peer) = state.known.asking_device() {
        return Some(("A device asks", asking(paint, peer, &until, columns)));
    }
    if let Some(begun) = state.device_code() {
        return Some(("Pairing", code(paint, begun, &until, columns)));
    }
    let mut lines = if pairing.state == PairState::Exchanged {
        prose("The right code was typed. The device's introduction is on its way.", Role::Plain)
    } else {
        let tag = pairing.tag.as_ref().map(|tag| paint.text(tag.as_str())).unwrap_or_default();
        prose(&format!("Another screen shows a code for {tag}."), Role::Plain)
    };
    lines.push(paint.labelled("Ends in", &until, Role::Plain, columns));
    Some(("Pairing", lines))
}

/// The code, for a person to type elsewhere.
fn code(paint: &Paint<'_>, begun: &PairInitiated, until: &str, columns: u16) -> Vec<Line<'static>> {
    let code = begun.code.expose_secret();
    let prose = |text: &str, role: Role| {
        wrap(text, usize::from(columns)).into_iter().map(|line| paint.line(line, role)).collect::<Vec<_>>()
    };
    let mut lines = vec![
        paint.labelled("Code", code, Role::Subject, columns),
        paint.labelled("Ends in", until, Role::Plain, columns),
        paint.labelled("Words", &paint.text(begun.tag.as_str()), Role::Plain, columns),
    ];
    lines.extend(prose("On the other device press J on this page, or type", Role::Plain));
    lines.extend(prose(&format!("  durward pair --code {code}"), Role::Title));
    if !begun.addresses.is_empty() {
        let addresses: Vec<String> = begun.addresses.iter().map(|address| paint.text(address)).collect();
        lines.extend(prose(&format!("Not found? Add the address {}", addresses.join(" or ")), Role::Faint));
    }
    if begun.addresses.iter().all(|address| is_loopback(address)) {
        let text = "! The approver listens on this machine only: other machines need --listen 0.0.0.0:5000.";
        lines.extend(prose(text, Role::Warning));
    }
    lines
}

fn is_loopback(address: &str) -> bool {
    let address = address.trim_start_matches("https://").parse::<std::net::SocketAddr>();
    address.is_ok_and(|address| address.ip().is_loopback())
}

/// Who asks.
fn asking(paint: &Paint<'_>, peer: &PeerShown, until: &str, columns: u16) -> Vec<Line<'static>> {
    let prose = |text: &str, role: Role| {
        wrap(text, usize::from(columns)).into_iter().map(|line| paint.line(line, role)).collect::<Vec<_>>()
    };
    let name = paint.text(peer.device_name.as_str());
    let mut lines = paint.labelled_whole("Device", &name, Role::Subject, columns);
    lines.extend(paint.labelled_whole("Key", &paint.text(&peer.fingerprint), Role::Subject, columns));
    lines.extend(paint.labelled_whole("Id", &peer.device_id.to_string(), Role::Plain, columns));
    lines.push(paint.labelled("Ends in", until, Role::Plain, columns));
    if let Some(old) = &peer.replaces {
        let text = format!("! It takes the place of {}, paired before.", paint.text(old.as_str()));
        lines.extend(prose(&text, Role::Warning));
    }
    let help = "Accept it only when you typed the code on it just now. Its name is a claim; its own screen shows its key.";
    lines.extend(prose(help, Role::Faint));
    lines
}

fn list(paint: &Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = paint.state;
    let inner = paint.frame(buffer, area, "Devices");
    let rows = state.device_rows();
    if rows.is_empty() {
        let text = match (&state.known.devices_problem, state.loaded) {
            (Some(problem), _) => paint.text(&format!("! The devices cannot be read: {problem}")),
            (None, true) => "Devices are switched off here.".into(),
            (None, false) => "Nothing was read yet.".into(),
        };
        let lines: Vec<_> = wrap(&text, usize::from(inner.width))
            .into_iter()
            .map(|line| paint.line(line, Role::Plain))
            .collect();
        paint::lines(buffer, inner, &lines);
        return;
    }
    let wide = inner.width >= WIDE;
    let heading = row(paint, ["NAME", "KEY", "SEEN", "WAITING"], inner.width, wide);
    let list = paint::lines(buffer, inner, &[paint.line(format!("  {heading}"), Role::Faint)]);
    let details =
        state.selected_device().map(|device| details(paint, device, inner.width)).unwrap_or_default();
    let needed = u16::try_from(details.len()).unwrap_or(u16::MAX);
    let height = list.height - needed.min(list.height.saturating_sub(3)).min(list.height * 2 / 3);
    for (line, at) in window(state.devices.at, rows.len(), usize::from(height)).enumerate() {
        let Some(device) = rows.get(at) else { break };
        let (text, role) = text(paint, *device, inner.width, wide);
        paint.row(buffer, rest(list, line), at == state.devices.at, &text, role);
    }
    paint::lines(buffer, below(list, height), &details);
}

fn row(paint: &Paint<'_>, cells: [&str; 4], room: u16, wide: bool) -> String {
    let [name, key, seen, waiting] = cells;
    if wide {
        aligned(name, &[(key, 22), (seen, 11), (waiting, 9)], room, paint.look.ellipsis())
    } else {
        aligned(name, &[(seen, 9), (waiting, 8)], room, paint.look.ellipsis())
    }
}

fn text(paint: &Paint<'_>, device: DeviceRow<'_>, room: u16, wide: bool) -> (String, Role) {
    let name = paint.text(device.name().as_str());
    match device {
        DeviceRow::This(this) => (
            row(
                paint,
                [
                    &format!("{name} {}", if wide { "(this device)" } else { "(this)" }),
                    &paint.text(&this.fingerprint),
                    "",
                    "",
                ],
                room,
                wide,
            ),
            Role::Plain,
        ),
        DeviceRow::Peer(peer) => {
            let seen = peer.last_seen.map_or_else(|| "never".into(), |at| paint.ago(at.get()));
            let waiting = if peer.outbox == 0 { String::new() } else { peer.outbox.to_string() };
            let role = if peer.reason.is_some() { Role::Warning } else { Role::Plain };
            (row(paint, [&name, &paint.text(&peer.fingerprint), &seen, &waiting], room, wide), role)
        }
        DeviceRow::Introduced(one) => {
            let name = format!("introduced: {name}");
            (row(paint, [&name, &paint.text(&one.device.fingerprint), "", ""], room, wide), Role::Warning)
        }
    }
}

/// One device, whole.
fn details(paint: &Paint<'_>, device: DeviceRow<'_>, columns: u16) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    let mut add = |label: &str, value: &str, role: Role| {
        lines.extend(paint.labelled_whole(label, value, role, columns));
    };
    match device {
        DeviceRow::This(this) => {
            add("Id", &this.device_id.to_string(), Role::Plain);
            add("Key", &paint.text(&groups(&this.public_key)), Role::Plain);
        }
        DeviceRow::Peer(peer) => {
            if let Some(reason) = &peer.reason {
                add("Problem", &paint.text(&format!("! {reason}")), Role::Warning);
            }
            add("Where", &place(paint, peer), Role::Plain);
            add("Seen", &seen(paint, peer), Role::Plain);
            add("Key", &paint.text(&groups(&peer.public_key)), Role::Plain);
            add("Id", &peer.device_id.to_string(), Role::Plain);
        }
        DeviceRow::Introduced(one) => {
            let by = paint.text(one.introduced_by.as_str());
            add(
                "By",
                &format!("{by}, {}. Y takes it, N refuses it.", paint.ago_words(one.at.get())),
                Role::Warning,
            );
            add("Key", &paint.text(&groups(&one.device.public_key)), Role::Plain);
            add("Id", &one.device.device_id.to_string(), Role::Plain);
        }
    }
    lines
}

fn place(paint: &Paint<'_>, peer: &DeviceView) -> String {
    match (&peer.found_at, &peer.address) {
        (Some(found), _) => format!("{}, found on the network", paint.text(found)),
        (None, Some(address)) => format!("{}, as you said", paint.text(address)),
        (None, None) => "not found on the network; `durward devices set-address` says where it is".into(),
    }
}

fn seen(paint: &Paint<'_>, peer: &DeviceView) -> String {
    let paired = paint.ago_words(peer.paired_at.get());
    let by = peer.introduced_by.as_ref().map(|by| format!(", introduced by {}", paint.text(by.as_str())));
    let by = by.unwrap_or_default();
    match peer.last_seen {
        Some(at) => format!("{}; paired {paired}{by}", paint.ago_words(at.get())),
        None => format!("never; paired {paired}{by}"),
    }
}

/// Hex digits in groups of eight, to be compared with another screen.
fn groups(hex: &str) -> String {
    let digits: Vec<char> = hex.chars().collect();
    digits.chunks(8).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// The keys of the page.
pub(super) fn hints(state: &State) -> &'static [(&'static str, &'static str)] {
    if state.known.asking_device().is_some() {
        return &[("Y", "accept"), ("N", "reject"), ("?", "help"), ("Tab", "pages"), ("Q", "quit")];
    }
    if state.known.live_pairing().is_some() {
        return &[("N", "give it up"), ("?", "help"), ("E", "rename"), ("R", "remove"), ("Tab", "pages")];
    }
    match state.selected_device() {
        Some(DeviceRow::Introduced(_)) => {
            &[("Y", "confirm"), ("N", "refuse"), ("?", "help"), ("Tab", "pages"), ("Q", "quit")]
        }
        Some(DeviceRow::Peer(_)) => &[
            ("P", "pair"),
            ("J", "join"),
            ("E", "rename"),
            ("R", "remove"),
            ("?", "help"),
            ("Tab", "pages"),
            ("Q", "quit"),
        ],
        Some(DeviceRow::This(_)) => {
            &[("P", "pair"), ("J", "join"), ("E", "rename"), ("?", "help"), ("Tab", "pages"), ("Q", "quit")]
        }
        None => &[("?", "help"), ("Tab", "pages"), ("Q", "quit")],
    }
}
