//! `GET /events`: what happens, as server-sent events. Each is a [`Notice`](durward_broker::approval::Notice) as JSON; `resync` says that
//! some were missed and the lists should be read again, `devices` that something about devices or their pairing changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{pending, select};
use futures_util::{Stream, StreamExt as _};
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::wrappers::{BroadcastStream, WatchStream};

use super::ControlPlane;

/// `GET /events`
pub(super) async fn events(
    State(plane): State<ControlPlane>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let hello = futures_util::stream::once(async { Ok(Event::default().event("hello").data("{}")) });
    let notices = BroadcastStream::new(plane.engine.watch()).map(|notice| {
        Ok(match notice {
            Ok(notice) => Event::default().event("notice").json_data(&notice).unwrap_or_default(),
            Err(BroadcastStreamRecvError::Lagged(_)) => Event::default().event("resync").data("{}"),
        })
    });
    let devices = match &plane.devices {
        Some(service) => WatchStream::from_changes(service.changes())
            .map(|_| Ok(Event::default().event("devices").data("{}")))
            .boxed(),
        None => pending().boxed(),
    };
    let mut stop = plane.stop.subscribe();
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let watching = plane.engine.approver_connects();
    let stream = hello.chain(select(notices, devices)).take_until(stopped).map(move |event| {
        let _ = &watching; // as long as somebody reads
        event
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_mins(1)))
}
