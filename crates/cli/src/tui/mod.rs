//! The full screen: what `durward up` and `durward approve` show on a terminal.
//!
//! One [`state::State`], one event type (shared with the plain prompts), a pure `update` from one state to the
//! next, a pure `view` of it. `run` does the rest: it reads keys and the approver's events, has the actions
//! carried out beside the screen, so that no call can make it stand still, and draws.

mod event;
pub mod replay;
mod run;
mod state;
mod tty;
mod update;
mod view;

pub(crate) use event::Input;
pub(crate) use run::run;
