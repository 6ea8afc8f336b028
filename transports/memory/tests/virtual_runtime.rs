//! What a test can rely on when time is virtual and one seed decides everything.

#![allow(clippy::unwrap_used)]

use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_lite::future::{or, yield_now, zip};
use lapwing::Instant;
use lapwing::runtime::Runtime;
use lapwing_memory::{Stuck, Virtual, labelled, waiting};

const HOUR: Duration = Duration::from_secs(3600);

/// Ten tasks that rest now and then; the order in which they finish, and the hash of the run.
fn ten_tasks(seed: u64) -> (Vec<u64>, u64) {
    let sim = Virtual::new(seed);
    let finished = Arc::new(Mutex::new(Vec::new()));
    for number in 0..10 {
        let (handle, finished) = (sim.clone(), finished.clone());
        sim.spawn_named(format!("{number}"), async move {
            yield_now().await;
            handle.sleep(Duration::from_millis(10)).await;
            yield_now().await;
            finished.lock().unwrap().push(number);
        });
    }
    sim.run(sim.sleep(HOUR)).unwrap();
    let order = finished.lock().unwrap().clone();
    (order, sim.trace_hash())
}

#[test]
fn time_jumps_to_the_next_timer() {
    let sim = Virtual::new(1);
    let (short, long) = (sim.sleep(HOUR), sim.sleep(24 * HOUR));
    sim.run(short).unwrap();
    assert_eq!(sim.elapsed(), HOUR);
    sim.run(long).unwrap();
    assert_eq!(sim.elapsed(), 24 * HOUR);
}

#[test]
fn the_seed_decides_the_order() {
    assert_eq!(ten_tasks(1), ten_tasks(1));
    assert_ne!(ten_tasks(1).0, ten_tasks(2).0);
    assert_ne!(ten_tasks(1).1, ten_tasks(2).1);
}

#[test]
fn a_run_is_the_same_in_every_process() {
    // Changes with the scheduler and with the algorithm of `fastrand`, with nothing else.
    assert_eq!(ten_tasks(7).1, 2_436_444_558_707_090_589);
}

#[test]
fn the_seed_decides_random_bytes() {
    let draw = |seed| {
        let mut bytes = [0; 16];
        Virtual::new(seed).random(&mut bytes);
        bytes
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn a_draw_does_not_reorder_the_tasks() {
    let hash = |draws| {
        let sim = Virtual::new(3);
        (0..draws).for_each(|_| sim.random(&mut [0; 8]));
        for _ in 0..5 {
            sim.spawn_named("idle", yield_now());
        }
        sim.run(sim.settle()).unwrap();
        sim.trace_hash()
    };
    assert_eq!(hash(0), hash(9));
}

#[test]
fn a_deadlock_names_every_task_and_its_wait() {
    let sim = Virtual::new(1);
    sim.spawn_named("hub", labelled("the end of days", pending()));
    sim.spawn(Box::pin(pending()));
    sim.spawn(Box::pin(ready(())));
    let stuck = sim
        .run(sim.sleep(HOUR))
        .and_then(|()| sim.run(pending::<()>()));
    let text = "deadlock after 3600s: no task is ready, no timer is armed
  task 0 (run): something outside of lapwing-memory (no timer armed)
  task 1 (hub): the end of days
  task 2: something outside of lapwing-memory (no timer armed)";
    assert_eq!(stuck.unwrap_err().to_string(), text);
}

#[test]
fn a_wait_that_is_over_is_forgotten() {
    let sim = Virtual::new(1);
    let mut polls = 0;
    let stuck = sim.run(poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            waiting("the first");
            cx.waker().wake_by_ref();
        }
        waiting("the second");
        Poll::<()>::Pending
    }));
    let Err(Stuck::Deadlock { tasks, .. }) = stuck else {
        panic!("not a deadlock");
    };
    assert_eq!(tasks[0].waits, ["the second"]);
}

#[test]
fn settle_lets_everything_happen_that_can() {
    Virtual::check(0..20, async |sim| {
        let steps = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let (handle, steps) = (sim.clone(), steps.clone());
            sim.spawn_named("steps", async move {
                for _ in 0..5 {
                    yield_now().await;
                    steps.fetch_add(1, Ordering::Relaxed);
                }
                handle.sleep(HOUR).await;
                steps.fetch_add(1, Ordering::Relaxed);
            });
        }
        sim.settle().await;
        assert_eq!(
            (steps.load(Ordering::Relaxed), sim.elapsed()),
            (15, Duration::ZERO)
        );
        sim.sleep(HOUR).await;
        sim.settle().await;
        assert_eq!((steps.load(Ordering::Relaxed), sim.tasks()), (18, 0));
    });
}

#[test]
fn several_settle_one_after_the_other() {
    let sim = Virtual::new(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |sim: &Virtual, name| {
        let (settle, order) = (sim.settle(), order.clone());
        async move {
            settle.await;
            order.lock().unwrap().push(name);
            yield_now().await;
            order.lock().unwrap().push(name);
        }
    };
    sim.run(zip(note(&sim, 'a'), note(&sim, 'b'))).unwrap();
    assert_eq!(*order.lock().unwrap(), ['a', 'a', 'b', 'b']);
}

#[test]
fn a_dropped_settle_keeps_nobody_waiting() {
    let sim = Virtual::new(1);
    sim.run(or(async { yield_now().await }, sim.settle()))
        .unwrap();
    sim.run(sim.settle()).unwrap();
}

#[test]
fn tasks_end_with_the_owner_although_they_hold_the_runtime() {
    let sim = Virtual::new(1);
    let handle = sim.clone();
    let token = Arc::new(());
    for _ in 0..3 {
        let (runtime, token) = (sim.runtime(), token.clone());
        sim.spawn_named("holder", async move {
            let mut timer = runtime.timer();
            timer.arm(runtime.now() + HOUR);
            poll_fn(|cx| timer.poll_fired(cx)).await;
            drop(token);
        });
    }
    sim.run(sim.settle()).unwrap();
    assert_eq!((sim.tasks(), Arc::strong_count(&token)), (3, 4));
    drop(sim);
    assert_eq!((handle.tasks(), Arc::strong_count(&token)), (0, 1));
}

#[test]
fn nothing_is_spawned_after_the_owner() {
    let sim = Virtual::new(1);
    let handle = sim.clone();
    drop(sim);
    let token = Arc::new(());
    let held = token.clone();
    handle.spawn_named("late", async move {
        let _held = held;
        pending::<()>().await;
    });
    assert_eq!((handle.tasks(), Arc::strong_count(&token)), (0, 1));
}

#[test]
fn a_timer_can_be_armed_again_and_disarmed() {
    let sim = Virtual::new(1);
    let mut timer = sim.timer();
    sim.run(async {
        timer.arm(Instant::default() + 5 * HOUR);
        or(poll_fn(|cx| timer.poll_fired(cx)), sim.sleep(HOUR)).await;
        assert_eq!(sim.elapsed(), HOUR);
        timer.arm(Instant::default() + 2 * HOUR);
        poll_fn(|cx| timer.poll_fired(cx)).await;
        assert_eq!(sim.elapsed(), 2 * HOUR);
        timer.arm(Instant::default());
        poll_fn(|cx| timer.poll_fired(cx)).await;
        assert_eq!(sim.elapsed(), 2 * HOUR);
    })
    .unwrap();
    timer.arm(Instant::default() + 9 * HOUR);
    timer.disarm();
    let stuck = sim.run(poll_fn(|cx| timer.poll_fired(cx)));
    assert!(matches!(stuck, Err(Stuck::Deadlock { .. })));
}

#[test]
fn an_armed_timer_that_nobody_polls_is_a_deadlock() {
    let sim = Virtual::new(1);
    let mut timer = sim.timer();
    timer.arm(Instant::default() + HOUR);
    assert!(sim.run(pending::<()>()).is_err());
}

#[test]
fn a_panic_of_a_task_is_the_panic_of_run() {
    let sim = Virtual::new(1);
    sim.spawn_named("faulty", async { panic!("as planned") });
    let run = catch_unwind(AssertUnwindSafe(|| sim.run(sim.sleep(HOUR))));
    assert_eq!(run.unwrap_err().downcast_ref(), Some(&"as planned"));
    sim.run(sim.sleep(HOUR)).unwrap();
}

#[test]
#[should_panic(expected = "runs already")]
fn a_run_inside_of_itself_is_refused() {
    let sim = Virtual::new(1);
    let _ = sim.run(async { sim.run(ready(())) });
}

#[test]
fn one_runtime_may_run_inside_another() {
    let (outer, inner) = (Virtual::new(1), Virtual::new(2));
    let stuck = outer.run(async {
        waiting("the outer");
        assert!(inner.run(labelled("the inner", pending::<()>())).is_err());
        pending::<()>().await;
    });
    let text = stuck.unwrap_err().to_string();
    assert!(
        text.contains("the outer") && !text.contains("the inner"),
        "{text}"
    );
}
