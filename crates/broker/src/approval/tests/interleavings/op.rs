//! What may happen.

use proptest::prelude::*;

/// Something that somebody does. Small numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Display(u8),
    Exchange(u8),
    /// A code typed for a pairing: with its number or without, right or wrong.
    TypeCode(u8, bool, bool),
    /// The agent checks and confirms; or it sends a wrong proof.
    Confirm(u8, bool),
    ConfirmAgain(u8),
    CancelPairing(u8),
    RefusePairing,
    SwitchPairing(bool),
    SwitchAgent(u8, bool),
    /// No rules, release everything for one domain, deny it.
    SetPolicy(u8),
    Ask(u8, u8, u8, u16),
    /// A message that was sent before comes again, to this kind of endpoint.
    Repeat(u8, u8),
    Bend(u8),
    CancelRequest(u8, u8),
    RevokeByAgent(u8),
    Decide(u8, u8, u8),
    /// A yes or a no on another device, which may or may not be marked.
    DecideByDevice(u8, u8, bool),
    /// The other device gets its mark, or loses it.
    Mark(bool),
    VaultOpened,
    Revoke(u8),
    EndGrant(u8),
    HangUp(u8),
    Pass(u16),
    /// Time that nobody ticks for.
    Jump(u16),
    Read(u8, u8),
    /// How the oldest commit under way ends, and whether the machine hears of it at once.
    Commit(bool, bool),
    Report(u8),
    HoldCommits(bool),
    Restart,
}

/// Any of them, the frequent ones more often.
pub(super) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => any::<u8>().prop_map(Op::Display),
        3 => any::<u8>().prop_map(Op::Exchange),
        3 => (any::<u8>(), any::<bool>(), prop::bool::weighted(0.8)).prop_map(|(a, b, c)| Op::TypeCode(a, b, c)),
        3 => (any::<u8>(), prop::bool::weighted(0.9)).prop_map(|(a, b)| Op::Confirm(a, b)),
        1 => any::<u8>().prop_map(Op::ConfirmAgain),
        1 => any::<u8>().prop_map(Op::CancelPairing),
        1 => Just(Op::RefusePairing),
        1 => any::<bool>().prop_map(Op::SwitchPairing),
        2 => (0_u8..2, prop::bool::weighted(0.2)).prop_map(|(a, b)| Op::SwitchAgent(a, b)),
        1 => (0_u8..3).prop_map(Op::SetPolicy),
        9 => (any::<u8>(), 0_u8..5, 0_u8..2, 1_u16..4_000).prop_map(|(a, b, c, d)| Op::Ask(a, b, c, d)),
        3 => (any::<u8>(), 0_u8..3).prop_map(|(a, b)| Op::Repeat(a, b)),
        1 => any::<u8>().prop_map(Op::Bend),
        2 => (any::<u8>(), 0_u8..5).prop_map(|(a, b)| Op::CancelRequest(a, b)),
        1 => any::<u8>().prop_map(Op::RevokeByAgent),
        9 => (any::<u8>(), 0_u8..5, 0_u8..8).prop_map(|(a, b, c)| Op::Decide(a, b, c)),
        5 => (any::<u8>(), 0_u8..5, prop::bool::weighted(0.8)).prop_map(|(a, b, c)| Op::DecideByDevice(a, b, c)),
        2 => prop::bool::weighted(0.7).prop_map(Op::Mark),
        2 => Just(Op::VaultOpened),
        1 => any::<u8>().prop_map(Op::Revoke),
        1 => any::<u8>().prop_map(Op::EndGrant),
        3 => any::<u8>().prop_map(Op::HangUp),
        2 => (0_u16..2_000).prop_map(Op::Pass),
        2 => (0_u16..500).prop_map(Op::Jump),
        8 => (any::<u8>(), 0_u8..10).prop_map(|(a, b)| Op::Read(a, b)),
        7 => (prop::bool::weighted(0.8), prop::bool::weighted(0.7)).prop_map(|(a, b)| Op::Commit(a, b)),
        2 => any::<u8>().prop_map(Op::Report),
        2 => prop::bool::weighted(0.3).prop_map(Op::HoldCommits),
        1 => Just(Op::Restart),
    ]
}
