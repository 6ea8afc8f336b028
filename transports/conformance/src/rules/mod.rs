//! The rules in one table, in the order in which they are checked.

use lapwing::runtime::BoxFuture;

use crate::ground::Ground;
use crate::report::Outcome;

mod bytes;
mod cancel;
mod end;
mod limits;
mod messages;
mod room;
mod wake;

/// One thing that every transport must do.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) check: fn(&mut Ground) -> BoxFuture<'_, Outcome>,
}

/// The simple ones first: what they find explains what the later ones would.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "info",
        check: |ground| Box::pin(messages::info(ground)),
    },
    Rule {
        name: "message boundaries",
        check: |ground| Box::pin(messages::boundaries(ground)),
    },
    Rule {
        name: "empty messages",
        check: |ground| Box::pin(messages::empty(ground)),
    },
    Rule {
        name: "kinds of messages",
        check: |ground| Box::pin(messages::kinds(ground)),
    },
    Rule {
        name: "framed messages",
        check: |ground| Box::pin(messages::framed(ground)),
    },
    Rule {
        name: "pings among messages",
        check: |ground| Box::pin(messages::pings(ground)),
    },
    Rule {
        name: "order in both directions",
        check: |ground| Box::pin(messages::order(ground)),
    },
    Rule {
        name: "many at once",
        check: |ground| Box::pin(messages::many(ground)),
    },
    Rule {
        name: "progress",
        check: |ground| Box::pin(messages::progress(ground)),
    },
    Rule {
        name: "back-pressure",
        check: |ground| Box::pin(room::back_pressure(ground)),
    },
    Rule {
        name: "half-close",
        check: |ground| Box::pin(end::half_close(ground)),
    },
    Rule {
        name: "both close",
        check: |ground| Box::pin(end::both_close(ground)),
    },
    Rule {
        name: "a dropped end",
        check: |ground| Box::pin(end::dropped(ground)),
    },
    Rule {
        name: "too large a message",
        check: |ground| Box::pin(limits::too_large(ground)),
    },
    Rule {
        name: "small limits",
        check: |ground| Box::pin(limits::small(ground)),
    },
    Rule {
        name: "wake-ups of a reader",
        check: |ground| Box::pin(wake::reader(ground)),
    },
    Rule {
        name: "wake-ups of a writer",
        check: |ground| Box::pin(wake::writer(ground)),
    },
    Rule {
        name: "a cancelled accept",
        check: |ground| Box::pin(cancel::accept(ground)),
    },
    Rule {
        name: "a cancelled connect",
        check: |ground| Box::pin(cancel::connect(ground)),
    },
    Rule {
        name: "cancelled reads and writes",
        check: |ground| Box::pin(cancel::talk(ground)),
    },
    Rule {
        name: "a cut at every byte",
        check: |ground| Box::pin(bytes::cut(ground)),
    },
    Rule {
        name: "an announced size",
        check: |ground| Box::pin(bytes::announced(ground)),
    },
];
