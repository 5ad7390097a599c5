//! How many messages may be on their way or unsettled: the back-pressure of a link.
//!
//! The client library can grant credit by itself, but grants all of it again whenever half of it was settled, whatever
//! is unsettled still: then any number may be. And a grant while messages are on their way is counted from the wrong
//! place where the broker answers it. So credit is granted here, and only when everything granted before has come.

use fe2o3_amqp::link::{IllegalLinkStateError, Receiver};
use tokio::sync::watch;

/// The receiving end of a link, and what may come over it.
pub(super) struct Window {
    /// The most messages that are on their way or unsettled.
    size: u64,
    /// How many the broker was allowed to send, since the link is there.
    granted: u64,
    /// How many have come.
    received: u64,
    settled: watch::Receiver<u64>,
}

impl Window {
    /// A window of that many messages; `settled` counts those of this link that are.
    pub(super) fn new(size: u32, settled: watch::Receiver<u64>) -> Self {
        Self { size: size.into(), granted: 0, received: 0, settled }
    }

    /// A message has come.
    pub(super) fn received(&mut self) {
        self.received += 1;
    }

    /// Waits until more is settled. Cancel-safe.
    pub(super) async fn more_settled(&mut self) {
        if self.settled.changed().await.is_err() {
            // The source is gone: nothing will be.
            std::future::pending().await
        }
    }

    /// Allows the broker to send more, if there is room.
    ///
    /// # Errors
    /// When the link is gone.
    pub(super) async fn grant(&mut self, receiver: &mut Receiver) -> Result<(), IllegalLinkStateError> {
        let Some(more) = self.room() else { return Ok(()) };
        receiver.set_credit(more).await?;
        self.granted += u64::from(more);
        Ok(())
    }

    /// What may be granted now.
    fn room(&mut self) -> Option<u32> {
        let most = *self.settled.borrow_and_update() + self.size;
        let may = self.received == self.granted && most > self.granted;
        may.then(|| u32::try_from(most - self.granted).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_its_size_is_on_its_way_or_unsettled() {
        let (settled, seen) = watch::channel(0);
        let mut window = Window::new(3, seen);
        assert_eq!(window.room(), Some(3));
        window.granted = 3;
        window.received();
        settled.send_replace(1);
        assert_eq!(window.room(), None, "two are on their way");
        window.received();
        window.received();
        assert_eq!(window.room(), Some(1), "two are unsettled");
        window.granted = 4;
        settled.send_replace(3);
        assert_eq!(window.room(), None);
        window.received();
        assert_eq!(window.room(), Some(2));
    }
}
