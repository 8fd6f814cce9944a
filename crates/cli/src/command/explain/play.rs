//! The play: an honest pairing, then attacks on the same run. Nothing here is a secret of anybody.

use durward_protocol::{
    AgentId, AgentName, Answered, ApproverKey, Code, Confirmation, Displayer, Error, PairingId, PairingOffer,
    PairingTranscript, PakeMessage, Scope, SessionId, SessionKeys, Side, hex_encode, open, seal,
};
use serde::Serialize;

use super::generator::Demonstration;
use super::toy;

/// The code of the play: chosen here, shown here, good nowhere.
const CODE: &str = "847293";
const MISTYPED: &str = "847239";
const LOWEST_CODE: u32 = 100_000;
const CODES: u32 = 900_000;

/// One screen of the play.
#[derive(Debug, Default, Serialize)]
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) text: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) values: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) lines: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<String>,
}

/// Something that can be looked at.
#[derive(Debug, Serialize)]
pub(super) struct Value {
    pub(super) name: &'static str,
    pub(super) value: String,
}

impl Step {
    fn new(title: &'static str, text: &[&str]) -> Self {
        Self { title, text: text.iter().map(|text| (*text).to_owned()).collect(), ..Self::default() }
    }

    fn value(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.values.push(Value { name, value: value.into() });
        self
    }

    fn outcome(mut self, outcome: impl Into<String>) -> Self {
        self.outcome = Some(outcome.into());
        self
    }
}

/// What a listener on the wire has after an honest run.
struct Recording {
    offer: PairingOffer,
    session_id: SessionId,
    message_a: PakeMessage,
    message_b: PakeMessage,
    mac_a: Confirmation,
    mac_b: Confirmation,
}

/// Plays everything. An error means that an honest step failed or an attack went through: a fault in the
/// library, not in the play.
pub(super) fn steps(seed: u64, codes: u32) -> Result<Vec<Step>, Error> {
    let mut rng = Demonstration(seed);
    let mut steps = Vec::new();
    let (recording, keys) = honest(&mut steps, &mut rng)?;
    steps.push(sealing(&recording, &keys, &mut rng)?);
    steps.push(toy_listener());
    steps.push(listener(&recording, codes, &mut rng)?);
    steps.push(wrong_code(&recording.offer, &mut rng)?);
    steps.push(middle(&recording.offer, &mut rng)?);
    steps.push(renamed(&recording.offer, &mut rng)?);
    steps.push(replay(&recording, &mut rng)?);
    steps.push(Step::new("What is left", &[
        "One guess in 900,000 for each code that a person shows and another person types. A failed guess ends \
         the pairing at both ends, nothing makes another code by itself, and five failed answers in an hour \
         make the agent stop for the rest of it.",
        "What it does not do: it does not tell you whose program shows the code. Type codes only from a screen \
         that you know. docs/pake.md has the arithmetic and a reading list.",
    ]));
    Ok(steps)
}

fn code(digits: &str) -> Result<Code, Error> {
    digits.parse()
}

/// The attack has to fail, with exactly this error.
fn must_fail<T>(result: &Result<T, Error>) -> Result<String, Error> {
    match result {
        Err(error @ Error::ConfirmationFailed) => Ok(error.to_string()),
        Err(other) => Err(*other),
        Ok(_) => Err(Error::ConfirmationFailed),
    }
}

fn honest(steps: &mut Vec<Step>, rng: &mut Demonstration) -> Result<(Recording, SessionKeys), Error> {
    let offer = PairingOffer {
        pairing_id: PairingId::random(rng),
        agent_id: AgentId::parse("flight-booking-001")?,
        agent_name: AgentName::parse("Flight Booking Agent")?,
        approver_id: ApproverKey::generate(rng).id().clone(),
        scope_asked: Scope::none(),
    };
    steps.push(
        Step::new("The agent makes a code and shows it", &[
            "Six digits, 900,000 possibilities: far too few for a key. The agent tells the approver who it is, \
             without the code, and is given a number that tells waiting agents apart. A person carries the code \
             from one screen to the other; no wire does.",
            "This is a demonstration. Its generator starts from a fixed seed, so everything below is public.",
        ])
        .value("on the agent's screen", format!("12-{CODE}"))
        .value("pairing", offer.pairing_id.to_string())
        .value("agent (idA)", offer.agent_id.as_str())
        .value("approver (idB)", offer.approver_id.as_str()),
    );
    let agent = Displayer::start(offer.clone(), &code(CODE)?, rng);
    let message_a = *agent.message();
    steps.push(
        Step::new("The agent sends X = x·G + w·M", &[
            "x is a fresh secret number, G the group's generator. w is made of the code, and M is a fixed point \
             whose relation to G nobody knows. x·G alone would be a Diffie-Hellman share; w·M blinds it.",
        ])
        .value("message A (side byte 41, then the point)", hex_encode(message_a.as_bytes())),
    );
    let approver = Answered::answer(&offer, &code(CODE)?, &message_a, Scope::none(), rng)?;
    let (session_id, message_b, mac_b) = (approver.session_id, approver.message, approver.mac_b);
    steps.push(answer_step(&message_b));
    let transcript = PairingTranscript {
        pairing_id: &offer.pairing_id,
        agent_id: &offer.agent_id,
        agent_name: &offer.agent_name,
        approver_id: &offer.approver_id,
        scope_asked: &offer.scope_asked,
        scope_granted: &approver.scope,
        session_id: &session_id,
        message_a: &message_a,
        message_b: &message_b,
    };
    steps.push(keys_step(&session_id, &hex_encode(transcript.hash().as_bytes())));
    let at_approver = approver.fingerprint();
    let verified = agent.verify(session_id, Scope::none(), &message_b, &mac_b)?;
    let (mac_a, at_agent) = (verified.mac_a, verified.keys.fingerprint());
    let keys = approver.confirm(&mac_a)?;
    steps.push(
        Step::new("Each end proves that it has the key", &[
            "SPAKE2 always yields some key; only with the same code is it the same one. So the approver sends \
             MAC_B over the transcript, the agent checks it and answers with MAC_A. Without this step a typing \
             error would show later, as messages that do not open, and would look like an attack.",
        ])
        .value("MAC_B, approver to agent", mac_b.encode())
        .value("MAC_A, agent to approver", mac_a.encode())
        .value("fingerprint at the agent", at_agent.words())
        .value("fingerprint at the approver", at_approver.words())
        .outcome("Both MACs are right: the session is live. Equal words mean equal keys."),
    );
    Ok((Recording { offer, session_id, message_a, message_b, mac_a, mac_b }, keys))
}

fn answer_step(message_b: &PakeMessage) -> Step {
    Step::new("The owner types the code; the approver sends Y = y·G + w·N", &[
        "The approver makes w of what was typed, draws its own secret y and blinds its share with another fixed \
         point N. Now each end can take the other's blinding off: the agent computes x·(Y - w·N), the approver \
         y·(X - w·M). With the same code both are x·y·G.",
    ])
    .value("message B (side byte 42, then the point)", hex_encode(message_b.as_bytes()))
}

fn keys_step(session_id: &SessionId, hash: &str) -> Step {
    Step::new("Both ends hash what was said and derive keys", &[
        "The transcript holds every id, the agent's name, the scope and both messages. HKDF mixes its hash with \
         the SPAKE2 key and gives one key for each purpose and direction: two that prove, two that seal, eight \
         bytes to compare. The keys themselves are shown nowhere, not even here.",
    ])
    .value("session", session_id.to_string())
    .value("transcript hash (SHA-256)", hash)
}

fn sealing(recording: &Recording, keys: &SessionKeys, rng: &mut Demonstration) -> Result<Step, Error> {
    let id = &recording.session_id;
    let sealed = seal(keys, Side::A, id, br#"{"type":"credential.request"}"#, rng)?;
    let opened = open(keys, Side::A, id, &sealed)?;
    let reflected = open(keys, Side::B, id, &sealed).err().ok_or(Error::BadEnvelope)?;
    Ok(Step::new(
        "What the keys are for",
        &["From now on every message is an envelope: XChaCha20-Poly1305 over padded JSON, one key for each \
         direction, the side and the session bound in."],
    )
    .value("sealed by the agent (the start of it)", sealed.get(..48).unwrap_or(&sealed))
    .value("opened by the approver", String::from_utf8_lossy(&opened))
    .value("sent back to the agent as if it were an answer", format!("refused: {reflected}")))
}

fn toy_listener() -> Step {
    let (a, b) = (toy::message_a(toy::X, toy::W), toy::message_b(toy::Y, toy::W));
    let mut step = Step::new("A listener, in a group small enough to try everything", &[
        "A toy with eleven elements, the powers of 2 modulo 23, eleven codes, M = 3 and N = 6. The listener saw \
         two numbers. Here he can even take logarithms, and still: for every code there is exactly one x and \
         one y that lead to just these messages. Nothing on the wire says which row is the true one.",
    ])
    .value("X and Y on the wire", format!("{a} and {b}"));
    step.lines.push("code   x   y   key".into());
    for w in 0..toy::ORDER {
        if let Some((x, y, key)) = toy::explanation(a, b, w) {
            step.lines.push(format!("{w:4}  {x:2}  {y:2}   {key:3}"));
        }
    }
    let (at_agent, at_approver) = (toy::key_a(b, toy::X, toy::W), toy::key_b(a, toy::Y, toy::W));
    step.outcome(format!(
        "The code was {}; agent and approver have the keys {at_agent} and {at_approver}. The messages fit all \
         eleven rows.",
        toy::W
    ))
}

fn listener(recording: &Recording, codes: u32, rng: &mut Demonstration) -> Result<Step, Error> {
    let stride = CODES / codes;
    for i in 0..codes {
        // The right code is always among them.
        let guess = if i == 0 { CODE.to_owned() } else { (LOWEST_CODE + i * stride).to_string() };
        let attempt = Displayer::start(recording.offer.clone(), &code(&guess)?, rng);
        let result =
            attempt.verify(recording.session_id, Scope::none(), &recording.message_b, &recording.mac_b);
        must_fail(&result)?;
    }
    Ok(Step::new("The same listener, with the real library", &[
        "He has everything that crossed the wire: ids, X, Y, both MACs. For each code he plays the agent against \
         the recorded answer and looks whether MAC_B comes out. Even the right code does not help: the key \
         contains x·y·G, and neither x nor y was ever sent. He would have to take a discrete logarithm of about \
         252 bits for each code first.",
    ])
    .value("codes tried, the right one among them", codes.to_string())
    .value("codes that a MAC confirmed", "0")
    .outcome("Listening gives nothing to check a guess against, today or later."))
}

fn wrong_code(offer: &PairingOffer, rng: &mut Demonstration) -> Result<Step, Error> {
    let agent = Displayer::start(offer.clone(), &code(CODE)?, rng);
    let approver = Answered::answer(offer, &code(MISTYPED)?, agent.message(), Scope::none(), rng)?;
    let (message_b, mac_b) = (approver.message, approver.mac_b);
    let refused = must_fail(&agent.verify(approver.session_id, Scope::none(), &message_b, &mac_b))?;
    must_fail(&approver.confirm(&mac_b))?;
    Ok(Step::new("A wrong code", &[
        "The owner mistypes. The two ends get two different keys, and the agent sees it at MAC_B, before it has \
         sent anything sealed. It cancels; the approver never makes a session.",
    ])
    .value("shown and typed", format!("{CODE} and {MISTYPED}"))
    .value("at the agent", refused)
    .outcome("This pairing is over at both ends. A person has to ask for a new code."))
}

fn middle(offer: &PairingOffer, rng: &mut Demonstration) -> Result<Step, Error> {
    let guess = code("123456")?;
    // Towards the agent he plays the approver,
    let agent = Displayer::start(offer.clone(), &code(CODE)?, rng);
    let fake = Answered::answer(offer, &guess, agent.message(), Scope::none(), rng)?;
    let (message, mac) = (fake.message, fake.mac_b);
    let at_agent = must_fail(&agent.verify(fake.session_id, Scope::none(), &message, &mac))?;
    // and towards the approver the agent.
    let fake = Displayer::start(offer.clone(), &guess, rng);
    let approver = Answered::answer(offer, &code(CODE)?, fake.message(), Scope::none(), rng)?;
    let (message, mac) = (approver.message, approver.mac_b);
    must_fail(&fake.verify(approver.session_id, Scope::none(), &message, &mac))?;
    let at_approver = must_fail(&approver.confirm(&mac))?;
    Ok(Step::new("A man in the middle", &[
        "He answers the agent himself and speaks to the approver in its place. In plain Diffie-Hellman that \
         works. Here he must blind his own share with a code before he knows whether it is the right one: one \
         guess at each end, live, and a wrong one is seen.",
    ])
    .value("his guess", "123456")
    .value("at the agent", at_agent)
    .value("at the approver, for the best MAC he has", at_approver)
    .outcome("One chance in 900,000 at each end, and both people know that something was wrong."))
}

fn renamed(offer: &PairingOffer, rng: &mut Demonstration) -> Result<Step, Error> {
    let agent = Displayer::start(offer.clone(), &code(CODE)?, rng);
    let seen = PairingOffer { agent_name: AgentName::parse("Payroll")?, ..offer.clone() };
    let approver = Answered::answer(&seen, &code(CODE)?, agent.message(), Scope::none(), rng)?;
    let (message, mac) = (approver.message, approver.mac_b);
    let refused = must_fail(&agent.verify(approver.session_id, Scope::none(), &message, &mac))?;
    Ok(Step::new("He only changes a name", &[
        "He lets X and Y pass and changes what the owner reads: \"Payroll\" instead of \"Flight Booking Agent\". \
         The right code is typed. The name is in the transcript, so the two ends still get different keys.",
    ])
    .value("at the agent", refused)
    .outcome("What the owner read is what the agent said, or there is no session."))
}

fn replay(recording: &Recording, rng: &mut Demonstration) -> Result<Step, Error> {
    let again = Answered::answer(&recording.offer, &code(CODE)?, &recording.message_a, Scope::none(), rng)?;
    let refused = must_fail(&again.confirm(&recording.mac_a))?;
    Ok(Step::new("He plays the recording again", &[
        "He sends the recorded X and, when the approver has answered with a new Y, the recorded MAC_A. Let us \
         even assume that the owner types the same code once more.",
    ])
    .value("at the approver", refused)
    .outcome("The answer has a fresh y and a fresh session id: an old proof fits no new pairing."))
}
