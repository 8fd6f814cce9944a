//! Keys while no box is open.

use durward_broker::approval::GrantSpec;

use super::super::event::Key;
use super::super::state::{Confirm, Dialog, Draft, SessionRow, State, Tab, Text, Waiting};
use super::{answer, devices, say};
use crate::approver::event::Action;
use crate::approver::words::{grant_terms, scope};
use crate::terminal::harmless;

/// Lines that PageUp and PageDown move a list.
const PAGE: usize = 10;
/// Lines that PageUp and PageDown move a reason: less than the smallest window of it shows.
const REASON_PAGE: usize = 3;
/// Lines that may follow the reason on a small screen, besides those of the scope.
const REASON_MORE: usize = 32;

/// One key.
pub(super) fn key(state: &mut State, key: Key) -> Vec<Action> {
    match (state.tab, key) {
        (_, Key::Tab) => return go(state, state.tab.step(1)),
        (_, Key::BackTab) => return go(state, state.tab.step(Tab::ALL.len() - 1)),
        (Tab::Waiting, key) => {
            if let Some(actions) = waiting_key(state, key) {
                return actions;
            }
        }
        (Tab::Sessions, key) => {
            if let Some(actions) = sessions_key(state, key) {
                return actions;
            }
        }
        (Tab::Grants, key) => {
            if let Some(actions) = grants_key(state, key) {
                return actions;
            }
        }
        (Tab::Devices, key) => {
            if let Some(actions) = devices::key(state, key) {
                return actions;
            }
        }
        (Tab::Log, key) => {
            if let Some(actions) = log_key(state, key) {
                return actions;
            }
        }
    }
    let Key::Char(letter) = key else { return Vec::new() };
    anywhere(state, letter.to_ascii_lowercase())
}

/// Letters that mean the same on every page.
fn anywhere(state: &mut State, letter: char) -> Vec<Action> {
    match letter {
        '?' | 'h' => state.dialog = Some(Dialog::Help { scroll: 0 }),
        'w' => return go(state, Tab::Waiting),
        's' => return go(state, Tab::Sessions),
        'g' => return go(state, Tab::Grants),
        'd' => return go(state, Tab::Devices),
        'a' => return go(state, Tab::Log),
        'u' => match &state.known.vault {
            Some(vault) if vault.exists && vault.needs_password => {
                state.dialog =
                    Some(Dialog::Unlock { input: Text::secret(), choice: 0, wrong: false, busy: false });
            }
            Some(vault) if vault.exists => say(state, "This vault needs no password."),
            _ => say(state, "There is no vault yet: `durward vault init` in another terminal makes one."),
        },
        // The list is read anew: what was offered before this screen began counts too.
        'o' => {
            state.wants_offer = true;
            return vec![Action::Suggest];
        }
        'l' => return vec![Action::Lock],
        'c' => {
            let open = state.known.pairing_open == Some(false);
            state.dialog = Some(Dialog::Confirm(Confirm::SwitchPairing { open }));
        }
        'q' if state.options.owns_server => state.dialog = Some(Dialog::Confirm(Confirm::Quit)),
        'q' => return vec![Action::Quit],
        _ => {}
    }
    Vec::new()
}

fn go(state: &mut State, tab: Tab) -> Vec<Action> {
    state.tab = tab;
    Vec::new()
}

/// Moves a place in a list; whether the key was one that moves.
pub(super) fn moved(key: Key, at: usize, count: usize) -> Option<usize> {
    let last = count.saturating_sub(1);
    Some(match key {
        Key::Up => at.saturating_sub(1),
        Key::Down => (at + 1).min(last),
        Key::PageUp => at.saturating_sub(PAGE),
        Key::PageDown => (at + PAGE).min(last),
        Key::Home => 0,
        Key::End => last,
        _ => return None,
    })
}

fn waiting_key(state: &mut State, key: Key) -> Option<Vec<Action>> {
    if state.on_list {
        if let Some(place) = moved(key, state.place, state.queue().len()) {
            state.go_to(place);
            return Some(Vec::new());
        }
        if matches!(key, Key::Enter | Key::Right) {
            state.on_list = false;
            return Some(Vec::new());
        }
    } else if matches!(key, Key::Esc | Key::Left) {
        state.on_list = true;
        return Some(Vec::new());
    }
    match state.selected()? {
        Waiting::Pairing(_) => pairing_key(state, key),
        Waiting::Request(_) => request_key(state, key),
    }
}

fn pairing_key(state: &mut State, key: Key) -> Option<Vec<Action>> {
    let Some(Waiting::Pairing(pairing)) = state.selected() else { return None };
    let pairing = pairing.clone();
    let Draft::Pairing(draft) = &mut state.draft else { return None };
    match key {
        Key::Char(c) if c.is_ascii_digit() || c == '-' => {
            if draft.code.count() < 12 {
                draft.code.push(c);
            }
            state.on_list = false;
        }
        Key::Backspace => draft.code.pop(),
        Key::Ctrl('u') => draft.code.clear(),
        Key::Enter => return Some(answer::enter_code(state, &pairing)),
        Key::Char(' ') if !pairing.rules.is_empty() => draft.rules = !draft.rules,
        Key::Char('e' | 'E') => {
            let scope = draft.scope.as_ref().map_or(&pairing.scope, |(limits, _)| limits);
            let domains = scope
                .domains
                .as_ref()
                .map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
            let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
            let inputs = [
                Text::holding(&domains.unwrap_or_default()),
                Text::holding(&number(scope.max_uses)),
                Text::holding(&number(scope.expires_in.map(|seconds| (seconds / 60).max(1)))),
            ];
            state.dialog = Some(Dialog::Scope { pairing: Box::new(pairing), inputs, at: 0, problem: None });
        }
        Key::Char('n' | 'N') => {
            if answer::too_fast(state) {
                return Some(Vec::new());
            }
            let agent = harmless(pairing.agent_name.as_str());
            state.dialog = Some(Dialog::Confirm(Confirm::Refuse { number: pairing.number, agent }));
        }
        // A code goes on being typed: a letter that got into it leads nowhere else.
        Key::Char(c) if c != '?' => {
            say(state, "Only digits are typed here; N refuses, E narrows, Tab goes to another page.");
        }
        _ => return None,
    }
    Some(Vec::new())
}

/// Digits that were meant for a code set no time: where the code belongs is said instead.
fn code_belongs_elsewhere(state: &mut State) {
    let way = if state.on_list { "Up" } else { "Left, then Up" };
    say(
        state,
        format!("A pairing waits: press {way} first to type its code. Digits set no time until then."),
    );
}

fn request_key(state: &mut State, key: Key) -> Option<Vec<Action>> {
    let Some(Waiting::Request(request)) = state.selected() else { return None };
    let request = request.clone();
    let pairing_waits = state.known.waiting_pairings().next().is_some();
    let Draft::Request(draft) = &mut state.draft else { return None };
    let lines = draft.ticked.len() + request.choices.len();
    match key {
        Key::PageUp => draft.scroll = draft.scroll.saturating_sub(REASON_PAGE),
        Key::PageDown => {
            // One character is at most twelve columns wide when it is spelled out.
            let most = request.reason.len() + scope(&request.scope).len() + REASON_MORE;
            draft.scroll = (draft.scroll + REASON_PAGE).min(most);
        }
        Key::Up | Key::Down | Key::Home | Key::End => {
            draft.cursor = moved(key, draft.cursor, lines).unwrap_or(draft.cursor);
        }
        Key::Char(' ') => {
            let fields = draft.ticked.len();
            if let Some((_, ticked)) = draft.ticked.get_mut(draft.cursor) {
                *ticked = !*ticked;
            } else if let Some(choice) = draft.cursor.checked_sub(fields).and_then(|n| request.choices.get(n))
            {
                draft.item = Some(choice.item_id.clone()).filter(|id| draft.item.as_ref() != Some(id));
            }
        }
        Key::Enter => say(state, "Y releases what is ticked, N denies."),
        Key::Char('0'..='9' | '-') if pairing_waits => code_belongs_elsewhere(state),
        Key::Char('1') => draft.grant = None,
        Key::Char('2') => draft.grant = Some(GrantSpec::For { seconds: 900 }),
        Key::Char('3') => draft.grant = Some(GrantSpec::Session),
        Key::Char('4') => {
            state.dialog = Some(Dialog::HowLong { uses: true, input: Text::plain(), wrong: false });
        }
        Key::Char('5') => {
            state.dialog = Some(Dialog::HowLong { uses: false, input: Text::plain(), wrong: false });
        }
        Key::Char('y' | 'Y' | 'n' | 'N' | 'r' | 'R') if answer::too_fast(state) => {}
        Key::Char('y' | 'Y') => return Some(answer::approve(state, request)),
        Key::Char('n' | 'N') => {
            state.dialog = Some(Dialog::Reason { request: Box::new(request), input: Text::plain() });
        }
        Key::Char('r' | 'R') => {
            let (session_id, agent) = (request.session_id, harmless(request.agent_name.as_str()));
            state.dialog = Some(Dialog::Confirm(Confirm::Revoke { session_id, agent }));
        }
        Key::Char('p' | 'P') => {
            state.dialog = Some(Dialog::Confirm(Confirm::Pause { agent_id: request.agent_id }));
        }
        _ => return None,
    }
    Some(Vec::new())
}

fn sessions_key(state: &mut State, key: Key) -> Option<Vec<Action>> {
    if let Some(at) = moved(key, state.sessions_at, state.session_rows().len()) {
        state.sessions_at = at;
        return Some(Vec::new());
    }
    let (agent_id, paused, session) = match state.selected_session()? {
        SessionRow::Live(session) => (session.agent_id.clone(), session.paused, Some(session.clone())),
        SessionRow::Paused(paused) => (paused.agent_id.clone(), true, None),
    };
    match (key, session) {
        (Key::Char('r' | 'R'), Some(session)) => {
            let agent = harmless(session.agent_name.as_str());
            state.dialog = Some(Dialog::Confirm(Confirm::Revoke { session_id: session.session_id, agent }));
        }
        (Key::Char('p' | 'P'), _) if paused => {
            return Some(vec![Action::SwitchAgent { agent_id, pause: false }]);
        }
        (Key::Char('p' | 'P'), _) => state.dialog = Some(Dialog::Confirm(Confirm::Pause { agent_id })),
        _ => return None,
    }
    Some(Vec::new())
}

fn grants_key(state: &mut State, key: Key) -> Option<Vec<Action>> {
    if let Some(at) = moved(key, state.grants_at, state.known.grants.len()) {
        state.grants_at = at;
        return Some(Vec::new());
    }
    let grant = state.selected_grant()?;
    match key {
        Key::Char('e' | 'E') => {
            let what = format!("{} for {} ({})", grant.agent_id, grant.domain, grant_terms(grant));
            let grant_id = grant.grant_id;
            state.dialog = Some(Dialog::Confirm(Confirm::EndGrant { grant_id, what }));
        }
        _ => return None,
    }
    Some(Vec::new())
}

fn log_key(state: &mut State, key: Key) -> Option<Vec<Action>> {
    // The newest record stands at the bottom and is number 0.
    let count = state.audit.lines.len();
    let turned = match key {
        Key::Up => Key::Down,
        Key::Down => Key::Up,
        Key::PageUp => Key::PageDown,
        Key::PageDown => Key::PageUp,
        Key::Home => Key::End,
        Key::End => Key::Home,
        _ => return None,
    };
    state.audit_at = moved(turned, state.audit_at, count)?;
    let at_the_top = state.audit_at + 1 >= count;
    match state.audit.older().filter(|_| at_the_top && !state.audit.reading) {
        Some(after) => {
            state.audit.reading = true;
            Some(vec![Action::ReadAudit { after: Some(after) }])
        }
        None => Some(Vec::new()),
    }
}
