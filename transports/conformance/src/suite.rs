//! All rules, one after the other.

use core::future::Future;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use lapwing::runtime::Runtime;
use lapwing::transport::{Connector, Listener};

use crate::ground::{Ground, within};
use crate::report::{Broken, Report, Verdict};
use crate::rules::{RULES, Rule};

/// Long enough for the slowest machine: it is there to end what hangs.
const RULE_TIME_MAX: Duration = Duration::from_secs(60);

/// The rules of [`lapwing::transport`], ready to be checked on one transport.
///
/// # Examples
///
/// See the [front page](crate).
pub struct Suite {
    ground: Ground,
}

impl Suite {
    /// A suite for the transport whose connections come from `listener` and `connector`, which must lead to it.
    ///
    /// The clock of `runtime` stops what hangs. [`check`](Self::check) is to be awaited where the sockets of the
    /// transport work: in the tokio runtime, on the thread of the virtual one.
    pub fn new(
        runtime: &Arc<dyn Runtime>,
        listener: impl Listener + 'static,
        connector: impl Connector + 'static,
    ) -> Self {
        Self {
            ground: Ground {
                runtime: runtime.clone(),
                listener: Box::new(listener),
                connector: Box::new(connector),
                raw: None,
            },
        }
    }

    /// Allows the rules that need bytes below the transport.
    ///
    /// `write` connects to the listener as a stranger would, goes as far as the first message (for WebSocket:
    /// through the upgrade), writes the bytes it is given, as they are, and closes in the polite way. It must not wait
    /// for anything that the listener says: this thread says it. For WebSocket the bytes are a client's frames, masked.
    pub fn raw<F>(mut self, mut write: impl FnMut(Vec<u8>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        self.ground.raw = Some(Box::new(move |bytes| Box::pin(write(bytes))));
        self
    }

    /// Checks every rule, on fresh connections.
    ///
    /// # Panics
    ///
    /// When a rule is broken, with its name and how; when one takes longer than a minute; when the transport panics.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends all connections.
    pub async fn check(mut self) -> Report {
        let [client, _hub] = self
            .ground
            .connect()
            .await
            .unwrap_or_else(|Broken(how)| panic!("no connection: {how}"));
        let mut report = Report {
            transport: client.info().name,
            kept: Vec::new(),
            skipped: Vec::new(),
        };
        drop(client);
        for rule in RULES {
            match self.check_rule(rule).await {
                Ok(Verdict::Kept) => report.kept.push(rule.name),
                Ok(Verdict::Skipped) => report.skipped.push(rule.name),
                Err(Broken(how)) => panic!(
                    "transport `{}` breaks the rule \"{}\": {how}",
                    report.transport, rule.name
                ),
            }
        }
        report
    }

    async fn check_rule(&mut self, rule: &Rule) -> Result<Verdict, Broken> {
        let runtime = self.ground.runtime.clone();
        within(&*runtime, RULE_TIME_MAX, (rule.check)(&mut self.ground))
            .await
            .unwrap_or_else(|| Err(Broken(format!("it hangs, for {RULE_TIME_MAX:?} already"))))
    }
}
