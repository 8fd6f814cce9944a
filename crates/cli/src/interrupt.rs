//! Ctrl-C, and the SIGTERM of a program that gives up on us, listened for from the moment this is made.
//!
//! `tokio::signal::ctrl_c()` listens from its first poll only: an interrupt that comes between a line on the
//! screen and that poll would end the process with nothing taken back.

/// A listener for both.
pub(crate) struct Interrupt {
    #[cfg(unix)]
    signals: Option<[tokio::signal::unix::Signal; 2]>,
}

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        Self {
            #[cfg(unix)]
            signals: both().ok(),
        }
    }

    /// Resolves when one came since [`Interrupt::listen`].
    pub(crate) async fn typed(&mut self) {
        #[cfg(unix)]
        if let Some([typed, told]) = &mut self.signals {
            tokio::select! {
                _ = typed.recv() => {}
                _ = told.recv() => {}
            }
            return;
        }
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
fn both() -> std::io::Result<[tokio::signal::unix::Signal; 2]> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?])
}
