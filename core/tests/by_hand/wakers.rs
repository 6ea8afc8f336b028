//! Who is woken, and who is remembered for it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use lapwing::Limits;
use lapwing::hub::Shutdown;

use crate::world::check;

/// A task that is not interested.
struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

/// Polls `future` as many tasks do that hand it on; then only the last of them is remembered.
fn hand_on(future: impl Future) {
    let mut future = pin!(future);
    let tasks: Vec<_> = (0..100).map(|_| Arc::new(Nobody)).collect();
    for task in &tasks {
        let waker = Waker::from(task.clone());
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    let (_, earlier) = tasks.split_last().expect("a hundred");
    for task in earlier {
        assert_eq!(Arc::strong_count(task), 1, "it is remembered");
    }
}

#[test]
fn of_many_tasks_only_the_last_is_remembered() {
    check(Limits::default(), async |world| {
        let listener = world.network.listen("elsewhere").expect("a free name");
        hand_on(world.hub.serve(listener));
        let peer = world.peer("peer").await;
        hand_on(world.hub.shutdown(Shutdown::default()));
        drop(peer);
    });
}
