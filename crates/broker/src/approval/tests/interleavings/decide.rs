//! The owner's answers, here and on another device.

use durward_protocol::device::DecisionWord;
use durward_protocol::{Field, RequestId};

use super::super::super::{Decision, GrantSpec};
use super::super::by_device;
use super::{Play, pick};

impl Play {
    pub(super) fn decide(&mut self, at: u8, id: u8, how: u8) {
        let Some(session) = pick(&self.agents, at).map(|agent| agent.session) else { return };
        let id = self.request_id(session, id);
        let Some(agent) = pick(&self.agents, at) else { return };
        let key = (agent.session, RequestId::from_bytes([id; 16]));
        let views = self.world.machine.waiting_requests(self.world.now);
        let domain = views.into_iter().find(|v| (v.session_id, v.request_id) == key).map(|v| v.domain);
        let grant = match how {
            0 => Some(GrantSpec::Session),
            1 => Some(GrantSpec::For { seconds: 900 }),
            2 => Some(GrantSpec::Uses { uses: 1 }),
            _ => None,
        };
        let decision = match how {
            6 => Decision::Deny { reason: Some("no".into()) },
            7 => {
                Decision::Approve { grant, item_id: Some("one".into()), fields: Some(vec![Field::Username]) }
            }
            _ => Decision::Approve { grant, item_id: None, fields: None },
        };
        if let (Some(domain), true) = (domain, how != 6) {
            self.approved.insert(key);
            if grant.is_some() {
                self.granted.insert((key.0, domain));
            }
        }
        self.world.decide(agent, id, decision);
    }

    pub(super) fn decide_there(&mut self, at: u8, id: u8, yes: bool) {
        let Some(session) = pick(&self.agents, at).map(|agent| agent.session) else { return };
        let id = self.request_id(session, id);
        let Some(agent) = pick(&self.agents, at) else { return };
        let word = if yes { DecisionWord::Approve } else { DecisionWord::Deny };
        let asked = self.world.machine.asked(self.world.now).into_iter().map(|of| of.asked);
        let key = (agent.session, RequestId::from_bytes([id; 16]));
        let Some(asked) = asked.into_iter().find(|asked| (asked.session_id, asked.request_id) == key) else {
            return;
        };
        if yes && self.world.machine.approvers.contains(&by_device::device(2)) {
            self.approved_there.insert(key);
        }
        let decision = by_device::about(&asked, 2, word);
        by_device::send(&mut self.world, agent, id, &decision);
    }
}
