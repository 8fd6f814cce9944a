//! Devices, described: what other devices call, and the owner's side.

use durward_protocol::ErrorCode as E;
use durward_protocol::device::api::{
    ChangeDevice, ConfirmDevice, DecidePeerRequest, DeviceView, Devices, Inbox, InboxContent, Introduce,
    Outbox, PairInitiated, PairJoin, PairJoined, PairPending, PairRespond, PairResponded, PeerRequestDecided,
    PeerRequests, Rotated, SendDrop, Sent, ThisDevice,
};
use durward_protocol::device::wire::{
    Delivered, Delivery, DeviceCall, DeviceCallAnswer, DeviceCancel, DeviceCancelled, DeviceExchange,
    DeviceExchanged, DeviceHello, DeviceVerdict, OpenPairing, PairingOpened,
};
use serde_json::json;

use super::document::{Document, Operation};
use crate::control::api::Done;

/// `/device/*` of the agent plane.
pub(super) fn describe_wire(document: &mut Document) {
    document.add(
        Operation::post("/device/pair/open", "Ask for the pairing that shows a code")
            .describe("Gives nothing away and changes nothing: the same answer every time.")
            .body::<OpenPairing>()
            .answer::<PairingOpened>(200, "The pairing and its SPAKE2 message.")
            .errors(&[E::PairingNotFound]),
    );
    document.add(
        Operation::post("/device/pair/exchange", "The one guess")
            .describe(
                "The first well-formed one is it: a wrong confirmation ends the pairing before anything leaves. The \
                 same body again gets the same answer.",
            )
            .body::<DeviceExchange>()
            .answer::<DeviceExchanged>(200, "The displayer's confirmation and its sealed hello.")
            .errors(&[E::BadPakeMessage, E::ConfirmationFailed, E::PairingNotFound, E::PairingUsed])
            .errors(&[E::Internal, E::StorageFailed]),
    );
    document.add(
        Operation::post("/device/pair/hello", "Introduce the joining device")
            .describe("Held until the displayer's owner has answered; 202 when that takes longer: send the same again.")
            .held()
            .body::<DeviceHello>()
            .answer::<DeviceVerdict>(200, "The sealed verdict.")
            .answer::<DeviceVerdict>(202, "Not answered yet.")
            .errors(&[E::BadEnvelope, E::UnsupportedVersion, E::WrongType, E::InvalidDeviceName, E::BadSignature])
            .errors(&[E::PairingNotFound, E::PairingNotWaiting, E::PairingUsed, E::DeviceKnown, E::RateLimited]),
    );
    document.add(
        Operation::post("/device/pair/cancel", "The joining device gives it up")
            .describe("Before the displayer's owner has answered; afterwards that answer counts.")
            .body::<DeviceCancel>()
            .answer::<DeviceCancelled>(200, "Nothing comes of the pairing.")
            .errors(&[E::BadEnvelope, E::UnsupportedVersion, E::WrongType])
            .errors(&[E::PairingNotFound, E::PairingNotWaiting, E::PairingUsed]),
    );
    let body = document.schema::<Delivery>();
    let answer = document.schema::<Delivered>();
    let _ = (body, answer); // texts inside the signed ones
    document.add(
        Operation::post("/device/deliver", "Hand over messages")
            .describe(
                "`body` is a Delivery as JSON text, `body` of the answer a Delivered; both are signed. Messages are \
                 taken in the order of their numbers, each once.",
            )
            .body::<DeviceCall>()
            .answer::<DeviceCallAnswer>(200, "What is on the receiver's disk now.")
            .errors(&[E::BadSignature, E::DeviceNotFound, E::PairingNotFound, E::RateLimited])
            .errors(&[E::Internal, E::StorageFailed]),
    );
}

/// `/pair/*`, `/devices*`, `/outbox`, `/inbox*` of the control plane.
pub(super) fn describe(document: &mut Document) {
    pair(document);
    peers(document);
    requests(document);
    messages(document);
}

fn pair(document: &mut Document) {
    document.add(
        Operation::post("/pair/initiate", "Show a code")
            .answer::<PairInitiated>(200, "The code, for this machine's screen only.")
            .errors(&[E::NotFound, E::PairingBusy, E::PairingPaused, E::StorageFailed]),
    );
    document.add(
        Operation::post("/pair/join", "Join the pairing of a code")
            .describe("Held like `Prefer: wait`; 202 when nobody has answered: the same body again rejoins.")
            .held()
            .body::<PairJoin>()
            .answer::<PairJoined>(200, "How it ended.")
            .answer::<PairJoined>(202, "Nobody has answered yet.")
            .errors(&[E::InvalidCode, E::NotFound, E::PairingNotFound, E::PairingBusy, E::PairingUsed])
            .errors(&[
                E::SeveralPairings,
                E::CodeAlreadyTyped,
                E::DeviceKnown,
                E::BadEnvelope,
                E::BadSignature,
            ])
            .errors(&[E::BadPakeMessage, E::UnsupportedVersion, E::WrongType, E::InvalidDeviceName])
            .errors(&[E::RateLimited, E::Internal, E::DeviceUnreachable, E::StorageFailed]),
    );
    document.add(
        Operation::get("/pair/pending", "Where this device's pairing stands")
            .describe("Held until a device asks or it is over, when `Prefer: wait=N` is there.")
            .held()
            .answer::<PairPending>(200, "The state.")
            .errors(&[E::NotFound]),
    );
    document.add(
        Operation::post("/pair/respond", "Answer the device that asks")
            .body::<PairRespond>()
            .answer::<PairResponded>(200, "It counts.")
            .errors(&[E::NotFound, E::PairingNotFound, E::PairingNotWaiting, E::DeviceKnown, E::RateLimited])
            .errors(&[E::Internal, E::StorageFailed]),
    );
    document.add(
        Operation::post("/pair/cancel", "Give the pairing up")
            .answer::<Done>(200, "1 if there was one.")
            .errors(&[E::NotFound]),
    );
}

fn peers(document: &mut Document) {
    document.add(
        Operation::post("/devices/resume", "Show codes again after five wrong ones")
            .describe("Five failed guesses within an hour stop `/pair/initiate`. Whoever lifts that gives five more.")
            .answer::<Done>(200, "1 if it was stopped.")
            .errors(&[E::NotFound, E::StorageFailed]),
    );
    document.add(
        Operation::get("/devices", "This device and its peers")
            .answer::<Devices>(200, "By name.")
            .errors(&[E::NotFound, E::StorageFailed]),
    );
    let one = document.schema::<DeviceView>();
    let own = document.schema::<ThisDevice>();
    let done = document.schema::<Done>();
    document.add(
        Operation::patch("/devices/{id}", "Rename a device, set its address, let it approve")
            .describe("With the own id only `name`; peers are told.")
            .path_part("id", "The device.")
            .body::<ChangeDevice>()
            .answer_raw(200, "As it is now.", "application/json", json!({"anyOf": [one.clone(), own]}))
            .errors(&[E::NotFound, E::DeviceNotFound, E::NameTaken, E::InvalidDeviceName, E::OutboxFull])
            .errors(&[E::Internal, E::StorageFailed]),
    );
    document.add(
        Operation::delete("/devices/{id}", "Unpair a device")
            .describe("From here on nothing is sealed for it. The other peers are told.")
            .path_part("id", "The device.")
            .answer::<Done>(200, "It is a peer no more.")
            .errors(&[E::NotFound, E::DeviceNotFound, E::StorageFailed]),
    );
    document.add(
        Operation::post("/devices/rotate", "Make new keys")
            .describe("Every peer has to be paired again.")
            .answer::<Rotated>(200, "The new keys.")
            .errors(&[E::NotFound, E::PairingBusy, E::Internal, E::StorageFailed]),
    );
    document.add(
        Operation::post("/devices/{id}/introduce", "Tell a peer about another peer")
            .path_part("id", "Who is told.")
            .body::<Introduce>()
            .answer::<Done>(200, "It is on its way.")
            .errors(&[E::NotFound, E::DeviceNotFound, E::OutboxFull, E::Internal, E::StorageFailed]),
    );
    document.add(
        Operation::post("/devices/{id}/confirm", "Say yes or no to an introduced device")
            .path_part("id", "The introduced device.")
            .body::<ConfirmDevice>()
            .answer_raw(200, "The new peer, or done.", "application/json", json!({"anyOf": [one, done]}))
            .errors(&[E::NotFound, E::DeviceNotFound, E::DeviceKnown, E::RateLimited, E::StorageFailed]),
    );
}

fn requests(document: &mut Document) {
    document.add(
        Operation::get("/devices/requests", "What other devices ask this owner")
            .describe("Requests of agents that wait on devices which let this one approve.")
            .answer::<PeerRequests>(200, "Oldest first.")
            .errors(&[E::NotFound]),
    );
    document.add(
        Operation::post("/devices/requests/decide", "Decide what another device asks")
            .describe(
                "Answered once the decision is signed and on disk; with `Prefer: wait=N` once that device has said \
                 what came of it.",
            )
            .held()
            .body::<DecidePeerRequest>()
            .answer::<PeerRequestDecided>(200, "What came of it, or what still waits.")
            .errors(&[E::NotFound, E::DeviceNotFound, E::RequestNotFound, E::OutboxFull])
            .errors(&[E::Internal, E::StorageFailed]),
    );
}

fn messages(document: &mut Document) {
    document.add(
        Operation::post("/devices/{id}/send", "Send a small payload")
            .describe("Answered once it is sealed and on disk; with `Prefer: wait=N` once it was taken.")
            .held()
            .path_part("id", "For whom.")
            .body::<SendDrop>()
            .answer::<Sent>(200, "Its id, and what still waits.")
            .errors(&[E::NotFound, E::DeviceNotFound, E::OutboxFull, E::Internal, E::StorageFailed]),
    );
    document.add(
        Operation::get("/outbox", "What waits for peers")
            .answer::<Outbox>(200, "Oldest first for each.")
            .errors(&[E::NotFound]),
    );
    document.add(
        Operation::get("/inbox", "What came").answer::<Inbox>(200, "Oldest first.").errors(&[E::NotFound]),
    );
    document.add(
        Operation::get("/inbox/{id}", "One payload")
            .path_part("id", "Which.")
            .answer::<InboxContent>(200, "The payload.")
            .errors(&[E::NotFound, E::MessageNotFound, E::Internal]),
    );
    document.add(
        Operation::delete("/inbox/{id}", "Discard a payload")
            .path_part("id", "Which.")
            .answer::<Done>(200, "It is gone.")
            .errors(&[E::NotFound, E::MessageNotFound, E::StorageFailed]),
    );
}
