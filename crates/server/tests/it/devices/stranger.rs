//! A device made by hand, which keeps to the protocol as far as it likes.

use std::net::SocketAddr;
use std::sync::Arc;

use durward_protocol::device::wire::{Delivery, DeviceCall};
use durward_protocol::device::{
    DeviceId, DeviceKeys, DeviceName, DeviceProof, DevicePublic, seal_hello, sign_answer,
};
use durward_protocol::{Confirmation, Error, PairingId, PakeMessage, Side};
use durward_sealing::{DeviceIdentity, Purpose, Sealing, seal_small};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::machine::{Machine, Reply, device_call};

pub(crate) struct Stranger(DeviceIdentity);

impl DeviceKeys for Stranger {
    fn public(&self) -> DevicePublic {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }

    fn seal(&self, to: &DevicePublic, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let how = Sealing { sender: &self.0, recipients: &[*to], purpose: Purpose::Message, now: 0 };
        seal_small(plaintext, &how).map_err(|_| Error::TooLarge)
    }

    fn open(&self, _from: &DevicePublic, _sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        Err(Error::BadEnvelope)
    }
}

impl Stranger {
    pub(crate) fn new(seed: u64, name: &str) -> Arc<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let at = time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let id = DeviceId::new(at, &mut rng);
        Arc::new(Self(DeviceIdentity::generate(id, DeviceName::parse(name).unwrap(), &mut rng)))
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.0.id()
    }

    /// Types the code of `at` and says hello; the call is held until the owner there has answered.
    pub(crate) async fn joins(&self, at: &Machine) -> JoinHandle<Reply> {
        let mut rng = StdRng::seed_from_u64(1);
        let code = at.show_code().await.parse().unwrap();
        let opened = device_call(at.listen, "/device/pair/open", json!({})).await.good();
        let id: PairingId = opened["pairing_id"].as_str().unwrap().parse().unwrap();
        let message = PakeMessage::parse(opened["pake_message"].as_str().unwrap(), Side::A).unwrap();
        let proof = DeviceProof::enter(id, &message, &code, &mut rng).unwrap();
        let (message, mac) = (proof.message.encode(), proof.mac_b.encode());
        let body = json!({"pairing_id": id, "pake_message": message, "confirmation": mac});
        let answer = device_call(at.listen, "/device/pair/exchange", body).await.good();
        let mac = Confirmation::parse(answer["confirmation"].as_str().unwrap()).unwrap();
        let channel = proof.verify(&mac).unwrap();
        let envelope = seal_hello(&channel, self.id(), self.0.name().as_str(), self, &mut rng).unwrap();
        let body = json!({"pairing_id": id, "envelope": envelope});
        let listen = at.listen;
        let held = tokio::spawn(async move { device_call(listen, "/device/pair/hello", body).await });
        assert_eq!(at.pending().await["state"], "requested");
        held
    }

    pub(crate) async fn pairs_with(&self, at: &Machine) {
        let held = self.joins(at).await;
        at.post("/pair/respond", json!({"accept": true})).await.good();
        held.await.unwrap().good();
    }

    /// Answers every delivery with this, signed. Where it does.
    pub(crate) async fn answers(
        self: &Arc<Self>,
        answer: impl Fn(&Delivery) -> Value + Send + Sync + 'static,
    ) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stranger, answer) = (Arc::clone(self), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (stranger, answer) = (Arc::clone(&stranger), Arc::clone(&answer));
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let (stranger, answer) = (Arc::clone(&stranger), Arc::clone(&answer));
                    async move {
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let call: DeviceCall = serde_json::from_slice(&body).unwrap();
                        let delivery: Delivery = serde_json::from_str(&call.body).unwrap();
                        let text = answer(&delivery).to_string();
                        let answer = sign_answer("/device/deliver", &call, text, stranger.as_ref());
                        let body = serde_json::to_vec(&answer).unwrap();
                        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(body))))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        address
    }
}
