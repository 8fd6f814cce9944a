//! Ctrl-C, listened for from the moment this is made.
//!
//! `tokio::signal::ctrl_c()` listens from its first poll only: an interrupt that comes between a line on the
//! screen and that poll would end the process with nothing taken back.

/// A listener for Ctrl-C.
pub(crate) struct Interrupt {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).ok(),
        }
    }

    /// Resolves when Ctrl-C was typed since [`Interrupt::listen`].
    pub(crate) async fn typed(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            signal.recv().await;
            return;
        }
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
