//! A connection from its first byte to its last.

use super::log::Ended;
use super::negotiation::{Agreed, negotiate};
use super::service::Service;
use super::stream::{Input, Stream};
use super::transmission::Transmission;

/// Serves one client that negotiates (fixed newstyle), and returns when it is gone.
///
/// To end it from outside, set the stop flag and call [`Stream::stop_reading`]; a client that
/// does not take its replies needs [`Stream::hang_up`].
pub fn serve(stream: &dyn Stream, service: &Service<'_>) -> Ended {
    serve_noticing(stream, service, &|| {})
}

/// As [`serve`], and calls `negotiated` when the client has chosen the export.
pub(super) fn serve_noticing(
    stream: &dyn Stream,
    service: &Service<'_>,
    negotiated: &dyn Fn(),
) -> Ended {
    let mut input = Input::new(stream);
    match negotiate(&mut input, service) {
        Ok(agreed) => {
            negotiated();
            Transmission::new(input, service, agreed).run()
        }
        Err(ended) => ended,
    }
}

/// Serves the kernel's driver at the other end of a socket pair: no negotiation, simple replies.
/// Returns when the device is disconnected, or the other end closed.
///
/// The caller gives the kernel [`Export::flags`](super::Export::flags).
pub fn serve_kernel(stream: &dyn Stream, service: &Service<'_>) -> Ended {
    Transmission::new(Input::new(stream), service, Agreed::default()).run()
}
