//! Keys while a box is open, and what is pasted.

use durward_broker::approval::{Decision, GrantSpec};
use durward_protocol::{Domain, Limits, Scope, SecretString};

use super::super::event::Key;
use super::super::state::{Confirm, Dialog, Draft, SETTLED_AFTER, State, Text, UNLOCK_CHOICES};
use super::{answer, devices, say};
use crate::approver::devices::DeviceAction;
use crate::approver::event::{Action, key_of};

/// One key.
pub(super) fn key(state: &mut State, key: Key) -> Vec<Action> {
    let Some(mut dialog) = state.dialog.take() else { return Vec::new() };
    if dialog.busy() {
        state.dialog = Some(dialog); // it closes when the answer comes
        return Vec::new();
    }
    if key == Key::Esc {
        if !matches!(dialog, Dialog::Help { .. } | Dialog::Over(_) | Dialog::Paired(_)) {
            say(state, nothing_done(&dialog));
        }
        return Vec::new();
    }
    if let Some(text) = dialog.text() {
        match key {
            Key::Char(c) => text.push(c),
            Key::Backspace => text.pop(),
            Key::Ctrl('u') => text.clear(),
            _ => return other_key(state, dialog, key),
        }
        state.dialog = Some(dialog);
        return Vec::new();
    }
    other_key(state, dialog, key)
}

/// Pasted text goes into the line that is being typed, if there is one.
pub(super) fn paste(state: &mut State, pasted: &SecretString) {
    if let Some(dialog) = &mut state.dialog {
        if let Some(text) = dialog.text() {
            text.paste(pasted);
        }
    } else if let Draft::Pairing(draft) = &mut state.draft {
        let fits = pasted.expose_secret().trim().len() <= 12;
        let code = pasted.expose_secret().trim().chars();
        if fits {
            code.filter(|c| c.is_ascii_digit() || *c == '-').for_each(|c| draft.code.push(c));
        }
    }
}

/// A key that types nothing.
fn other_key(state: &mut State, mut dialog: Dialog, key: Key) -> Vec<Action> {
    match (&mut dialog, key) {
        (Dialog::Help { scroll }, Key::Down | Key::PageDown) => *scroll += 1,
        (Dialog::Help { scroll }, Key::Up | Key::PageUp) => *scroll = scroll.saturating_sub(1),
        (Dialog::Help { .. }, _) | (Dialog::Over(_) | Dialog::Paired(_), Key::Enter) => return Vec::new(),
        (Dialog::Paired(session), Key::Char('r' | 'R')) => {
            let agent = crate::terminal::harmless(session.agent_name.as_str());
            dialog = Dialog::Confirm(Confirm::Revoke { session_id: session.session_id, agent });
        }
        (Dialog::Items { cursor, .. }, Key::Up) => *cursor = cursor.saturating_sub(1),
        (Dialog::Items { cursor, choices, .. }, Key::Down) => {
            *cursor = (*cursor + 1).min(choices.len().saturating_sub(1));
        }
        (Dialog::Scope { at, .. }, Key::Tab | Key::Down) => *at = (*at + 1) % 3,
        (Dialog::Scope { at, .. }, Key::BackTab | Key::Up) => *at = (*at + 2) % 3,
        (Dialog::Join { at, .. }, Key::Tab | Key::Down | Key::BackTab | Key::Up) => *at = 1 - *at,
        (Dialog::Unlock { choice, .. }, Key::Tab | Key::Down) => {
            *choice = (*choice + 1) % UNLOCK_CHOICES.len();
        }
        (Dialog::Unlock { choice, .. }, Key::BackTab | Key::Up) => {
            *choice = (*choice + UNLOCK_CHOICES.len() - 1) % UNLOCK_CHOICES.len();
        }
        (Dialog::Rule(suggestion), Key::Char('y' | 'Y' | 'n' | 'N')) => {
            if matches!(key, Key::Char('y' | 'Y')) {
                return vec![Action::AcceptSuggestion { id: suggestion.id.clone() }];
            }
            say(state, "Nothing was written; you go on being asked.");
            return Vec::new();
        }
        (Dialog::Rule(_), _) => {} // a rule is written on a yes and on nothing else
        (Dialog::Confirm(_), Key::Enter | Key::Char('n' | 'N')) => {
            say(state, nothing_done(&dialog));
            return Vec::new();
        }
        // The key that opened it, held down, is no second yes.
        (Dialog::Confirm(Confirm::Standing { since, .. }), Key::Char('y' | 'Y'))
            if state.now - *since < SETTLED_AFTER =>
        {
            answer::say_too_fast(state);
        }
        (Dialog::Confirm(confirm), Key::Char('y' | 'Y')) => return confirmed(state, confirm.clone()),
        (_, Key::Enter) => return entered(state, dialog),
        _ => {}
    }
    state.dialog = Some(dialog);
    Vec::new()
}

fn nothing_done(dialog: &Dialog) -> &'static str {
    if dialog.request().is_some() {
        "Nothing was done; the request keeps waiting."
    } else {
        "Nothing was done."
    }
}

fn confirmed(state: &mut State, confirm: Confirm) -> Vec<Action> {
    vec![match confirm {
        Confirm::Standing { request, decision, .. } => {
            return answer::decide(state, key_of(&request), decision, None);
        }
        Confirm::SwitchPairing { open } => Action::SwitchPairing { open },
        Confirm::Refuse { number, .. } => Action::RefusePairing { number },
        Confirm::Revoke { session_id, .. } => Action::Revoke { session_id },
        Confirm::Pause { agent_id } => Action::SwitchAgent { agent_id, pause: true },
        Confirm::EndGrant { grant_id, .. } => Action::EndGrant { grant_id },
        Confirm::RemoveDevice { device_id, name } => Action::Device(DeviceAction::Remove { device_id, name }),
        Confirm::TakeDevice { introduced, accept } => {
            let (device_id, name) = (introduced.device.device_id, introduced.device.device_name);
            Action::Device(DeviceAction::Confirm { device_id, name, accept })
        }
        Confirm::Quit => Action::Quit,
    }]
}

fn entered(state: &mut State, dialog: Dialog) -> Vec<Action> {
    match dialog {
        Dialog::Password { request, decision, input, .. } => {
            if input.is_empty() {
                say(state, "No password: the request keeps waiting.");
                return Vec::new();
            }
            let (key, password) = (key_of(&request), input.to_secret());
            let sent = decision.clone();
            state.dialog =
                Some(Dialog::Password { request, decision, input: Text::secret(), wrong: false, busy: true });
            answer::decide(state, key, sent, Some(password))
        }
        Dialog::Items { request, decision, choices, password, cursor, .. } => {
            let (Some(choice), Decision::Approve { grant, fields, .. }) = (choices.get(cursor), &decision)
            else {
                return Vec::new();
            };
            let item_id = Some(choice.item_id.clone());
            let sent = Decision::Approve { grant: *grant, item_id, fields: fields.clone() };
            let key = key_of(&request);
            let again = password.as_ref().map(SecretString::duplicate);
            state.dialog = Some(Dialog::Items { request, decision, choices, password, cursor, busy: true });
            answer::decide(state, key, sent, again)
        }
        Dialog::Reason { request, input } => {
            let reason = Some(input.expose().trim().to_owned()).filter(|reason| !reason.is_empty());
            answer::decide(state, key_of(&request), Decision::Deny { reason }, None)
        }
        Dialog::HowLong { uses, input, .. } => how_long(state, uses, input),
        Dialog::Scope { pairing, inputs, at, .. } => match narrowed(&pairing.scope, &inputs) {
            Ok(scope) => {
                if let Draft::Pairing(draft) = &mut state.draft {
                    draft.scope = Some(scope);
                }
                say(state, "The scope is narrower now. The agent is told with the code.");
                Vec::new()
            }
            Err(problem) => {
                state.dialog = Some(Dialog::Scope { pairing, inputs, at, problem: Some(problem) });
                Vec::new()
            }
        },
        Dialog::Unlock { input, choice, .. } => {
            if input.is_empty() {
                return Vec::new();
            }
            let password = input.to_secret();
            let seconds = UNLOCK_CHOICES.get(choice).copied().unwrap_or(600);
            state.dialog = Some(Dialog::Unlock { input: Text::secret(), choice, wrong: false, busy: true });
            vec![Action::Unlock { password, seconds }]
        }
        Dialog::Rename { device_id, old, this, input, .. } => {
            devices::renamed(state, device_id, old, this, input)
        }
        Dialog::Join { inputs, at, .. } => devices::joined(state, inputs, at),
        dialog @ (Dialog::Help { .. }
        | Dialog::Rule(_)
        | Dialog::Confirm(_)
        | Dialog::Paired(_)
        | Dialog::Over(_)) => {
            drop(dialog);
            Vec::new()
        }
    }
}

/// `3` uses, or `45m`, `2h`.
fn how_long(state: &mut State, uses: bool, input: Text) -> Vec<Action> {
    let text = input.expose().trim();
    let spec = if uses {
        text.trim_end_matches(['x', 'X']).parse().ok().map(|uses| GrantSpec::Uses { uses })
    } else {
        let with_unit =
            if text.ends_with(|c: char| c.is_ascii_digit()) { format!("{text}m") } else { text.into() };
        crate::duration::parse_seconds(&with_unit).ok().map(|seconds| GrantSpec::For { seconds })
    };
    match (spec.filter(|spec| spec.is_valid()), &mut state.draft) {
        (Some(spec), Draft::Request(draft)) => draft.grant = Some(spec),
        (Some(_), _) => {}
        (None, _) => state.dialog = Some(Dialog::HowLong { uses, input, wrong: true }),
    }
    Vec::new()
}

/// What was typed as a scope, when it is within the one asked for.
fn narrowed(asked: &Limits, inputs: &[Text; 3]) -> Result<(Limits, Scope), String> {
    let [domains, uses, minutes] = inputs;
    let mut limits = Limits::default();
    let words = domains.expose().split([',', ' ']).filter(|word| !word.is_empty());
    let list: Result<Vec<Domain>, String> =
        words.map(|word| Domain::parse(word).map_err(|_| format!("{word:?} is no domain."))).collect();
    limits.domains = Some(list?).filter(|list| !list.is_empty());
    limits.max_uses = number(uses, "releases")?;
    limits.expires_in = number(minutes, "minutes")?.and_then(|minutes| minutes.checked_mul(60));
    let scope = Scope::new(&limits).map_err(|_| "That is no scope: at most 64 domains.".to_owned())?;
    let asked = Scope::new(asked).map_err(|_| "The scope that was asked for cannot be read.".to_owned())?;
    if !scope.is_within(&asked) {
        return Err("That is wider than what was asked for. It can only become narrower.".into());
    }
    Ok((limits, scope))
}

fn number(text: &Text, what: &str) -> Result<Option<u64>, String> {
    let text = text.expose().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse::<u64>().ok().filter(|n| (1..=1_000_000).contains(n));
    number.map(Some).ok_or_else(|| format!("The number of {what} must be 1 to 1000000, or empty."))
}

/// The vault was opened, or not.
pub(super) fn unlocked(state: &mut State, was_wrong: bool) {
    let Some(Dialog::Unlock { wrong, busy, .. }) = &mut state.dialog else { return };
    if was_wrong {
        (*wrong, *busy) = (true, false);
    } else {
        state.dialog = None;
        say(state, "The vault is open.");
    }
}
