//! An agent that books nothing and shows everything: it asks its owner for a credential, signs in to an airline in a
//! real Chromium, and searches a flight.
//!
//! [`owner`] is what an agent needs of the SDK: pair, ask, survive a restart of the approver, stop when it is told to.
//! [`browser`] drives Chromium over two pipes, so that no port is open. [`flight`] is the journey itself, [`site`] what
//! a web site looks like, and [`airline`] a site to fly with. Copy what you need.

#[cfg(unix)]
pub mod airline;
#[cfg(unix)]
pub mod browser;
pub mod ending;
#[cfg(unix)]
pub mod flight;
pub mod owner;
pub mod site;

/// Where progress goes: one sentence at a time, never a secret other than the pairing code.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);
