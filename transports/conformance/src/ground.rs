//! Where rules are checked: fresh connections from one listener and one connector.

use core::future::{Future, poll_fn};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use futures_lite::future::or;
use lapwing::Limits;
use lapwing::runtime::{BoxFuture, Runtime};
use lapwing::transport::{Connector, Framing, Listener};

use crate::end::End;
use crate::report::Broken;
use crate::waking::{both, woken};

/// Writes bytes to the listener, below the transport, and closes.
pub(crate) type Raw = Box<dyn FnMut(Vec<u8>) -> BoxFuture<'static, io::Result<()>> + Send>;

/// What every rule is given.
pub(crate) struct Ground {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) connector: Box<dyn Connector>,
    pub(crate) raw: Option<Raw>,
}

impl Ground {
    /// A fresh connection: the client's end and the hub's.
    pub(crate) async fn connect(&mut self) -> Result<[End; 2], Broken> {
        self.connect_with(&Limits::default()).await
    }

    /// A fresh connection whose ends keep to `limits`.
    pub(crate) async fn connect_with(&mut self, limits: &Limits) -> Result<[End; 2], Broken> {
        let client = connect(&mut *self.connector, limits);
        let (client, hub) = both(client, accept(&mut *self.listener, limits)).await?;
        Ok([client, hub])
    }

    /// The hub's end of a connection on which `bytes` are written, below the transport, before it closes.
    pub(crate) async fn connect_raw(&mut self, bytes: &[u8]) -> Result<End, Broken> {
        let Some(raw) = &mut self.raw else {
            return Err(Broken("nothing is below this transport".into()));
        };
        let limits = Limits::default();
        let hub = accept(&mut *self.listener, &limits);
        let ((), hub) = both(raw(bytes.to_vec()), hub).await?;
        Ok(hub)
    }

    /// How messages look below the transport, if bytes can be written there.
    pub(crate) async fn raw_framing(&mut self) -> Result<Option<Framing>, Broken> {
        let [_client, hub] = self.connect().await?;
        let framing = hub.info().framing;
        Ok(Some(framing).filter(|framing| self.raw.is_some() && *framing != Framing::None))
    }
}

/// The client's end of a new connection.
pub(crate) async fn connect(connector: &mut dyn Connector, limits: &Limits) -> Result<End, Broken> {
    Ok(End::open(connector.connect().await?, limits).await?)
}

/// The hub's end of the next connection.
pub(crate) async fn accept(listener: &mut dyn Listener, limits: &Limits) -> Result<End, Broken> {
    Ok(End::open(listener.accept().await?, limits).await?)
}

/// The output of `future`, `None` when it does not end within `time`.
pub(crate) async fn within<F: Future>(
    runtime: &dyn Runtime,
    time: Duration,
    future: F,
) -> Option<F::Output> {
    let mut timer = runtime.timer();
    timer.arm(runtime.now() + time);
    let output = async { Some(woken(future).await) };
    let late = async {
        poll_fn(|cx| timer.poll_fired(cx)).await;
        None
    };
    or(output, late).await
}
