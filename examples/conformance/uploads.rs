//! Streams from the client.

use std::sync::Arc;

use futures_lite::future::try_zip;
use lapwing::hub::{Caller, HubBuilder};
use lapwing::payload::Value;
use lapwing::{CallFailure, Typed, Upload};
use smol::Timer;

use crate::plain::milliseconds;
use crate::streams::{Counted, Streams};

/// All that is kept of the items of one stream, in bytes.
const JOINED_BYTES_MAX: usize = 4_000_000;

pub(crate) fn methods(hub: HubBuilder, streams: &Arc<Streams>) -> HubBuilder {
    let streams = streams.clone();
    texts(numbers(hub)).on_duplex(
        "EchoStream",
        move |caller: Caller, Typed(()): Typed<()>, items: Upload<Value>| {
            Counted::new(&streams, caller, items)
        },
    )
}

fn texts(hub: HubBuilder) -> HubBuilder {
    hub.on_upload(
        "UploadConcat",
        async |_: Caller, Typed(()): Typed<()>, items: Upload<String>| joined(items, "").await,
    )
    .on_upload(
        "UploadTwo",
        async |_: Caller, separator: String, (a, b): (Upload<String>, Upload<String>)| {
            // Both at the same time: nobody knows which of them goes on first.
            let both = try_zip(joined(a, &separator), joined(b, &separator));
            let (a, b) = both.await?;
            Ok(Typed([a, b]))
        },
    )
}

fn numbers(hub: HubBuilder) -> HubBuilder {
    hub.on_upload(
        "UploadSum",
        async |_: Caller, Typed(factor): Typed<i64>, mut items: Upload<Typed<i64>>| {
            let mut sum = 0_i64;
            while let Some(item) = items.next().await {
                let Typed(number) = item?;
                sum = sum.checked_add(number).ok_or("overflow")?;
            }
            Ok(Typed(sum.checked_mul(factor).ok_or("overflow")?))
        },
    )
    .on_upload(
        "UploadSlow",
        async |_: Caller, Typed(delay_ms): Typed<i64>, mut items: Upload<Typed<i64>>| {
            let mut count = 0_i64;
            while let Some(item) = items.next().await {
                let Typed(_) = item?;
                Timer::after(milliseconds(delay_ms)).await;
                count += 1;
            }
            Ok(Typed(count))
        },
    )
}

async fn joined(mut items: Upload<String>, separator: &str) -> Result<String, CallFailure> {
    let mut all = String::new();
    let mut is_first = true;
    while let Some(item) = items.next().await {
        let item = item?;
        if all.len() + separator.len() + item.len() > JOINED_BYTES_MAX {
            return Err("more than 4000000 bytes".into());
        }
        if !core::mem::take(&mut is_first) {
            all += separator;
        }
        all += &item;
    }
    Ok(all)
}
