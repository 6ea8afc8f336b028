//! What is kept of a connection, and what of all.

use std::sync::{Arc, PoisonError};

use lapwing::Typed;
use lapwing::hub::{Caller, HubBuilder};
use lapwing::payload::Value;
use serde::Serialize;

use crate::streams::Streams;
use crate::visitor::Visitor;

/// Values that are kept of one connection.
const RECORDS_MAX: usize = 500;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    connections: u64,
    groups: u64,
    active_streams: i64,
    canceled_streams: i64,
}

pub(crate) fn methods(hub: HubBuilder, streams: &Arc<Streams>) -> HubBuilder {
    let streams = streams.clone();
    hub.on_call("Record", async |caller: Caller, value: Value| {
        let visitor = Visitor::of(&caller)?;
        let mut records = visitor
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if records.len() >= RECORDS_MAX {
            return Err("too much is recorded".into());
        }
        records.push(value);
        Ok(())
    })
    .on_call("GetRecords", async |caller: Caller, (): ()| {
        let visitor = Visitor::of(&caller)?;
        let records = visitor
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Value::List(records.clone()))
    })
    .on_call("GetStats", move |caller: Caller, (): ()| {
        let counters = caller.hub().counters();
        let stats = Stats {
            connections: counters.connections,
            groups: counters.groups,
            active_streams: streams.active(),
            canceled_streams: streams.canceled(),
        };
        async { Ok(Typed(stats)) }
    })
}
