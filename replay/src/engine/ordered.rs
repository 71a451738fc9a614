//! Work in parallel, results in order: what comes out does not depend on the number of threads.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How many results may wait for an earlier one, per thread; bounds the memory.
const AHEAD: usize = 8;

/// Calls `work` for `0..count` on `threads` threads and `take` with the results in order.
///
/// Each thread has a state of its own, made by `state`.
pub(crate) fn run<S, R: Send>(
    count: usize,
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> R + Sync,
    mut take: impl FnMut(R),
) {
    if threads <= 1 {
        let mut own = state();
        (0..count).for_each(|i| take(work(&mut own, i)));
        return;
    }
    let queue = Queue::new(count, threads * AHEAD);
    thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                let _end = EndOnPanic(&queue);
                let mut own = state();
                while let Some(i) = queue.next() {
                    let result = work(&mut own, i);
                    queue.put(i, result);
                }
            });
        }
        for i in 0..count {
            match queue.take(i) {
                Some(result) => take(result),
                None => break,
            }
        }
    });
}

struct Queue<R> {
    count: usize,
    ahead: usize,
    inner: Mutex<Inner<R>>,
    changed: Condvar,
}

struct Inner<R> {
    next: usize,
    taken: usize,
    done: BTreeMap<usize, R>,
    ended: bool,
}

/// A thread that panics must not leave the others waiting for its result; the panic itself goes on through the scope.
struct EndOnPanic<'a, R>(&'a Queue<R>);

impl<R> Drop for EndOnPanic<'_, R> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().ended = true;
            self.0.changed.notify_all();
        }
    }
}

impl<R> Queue<R> {
    fn new(count: usize, ahead: usize) -> Queue<R> {
        let inner = Inner {
            next: 0,
            taken: 0,
            done: BTreeMap::new(),
            ended: false,
        };
        Queue {
            count,
            ahead,
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, Inner<R>>) -> MutexGuard<'a, Inner<R>> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece of work, once it is not too far ahead.
    fn next(&self) -> Option<usize> {
        let mut inner = self.lock();
        while !inner.ended && inner.next < self.count && inner.next >= inner.taken + self.ahead {
            inner = self.wait(inner);
        }
        let i = inner.next;
        inner.next += 1;
        (i < self.count && !inner.ended).then_some(i)
    }

    fn put(&self, i: usize, result: R) {
        self.lock().done.insert(i, result);
        self.changed.notify_all();
    }

    /// The result of a piece of work, once it is there.
    fn take(&self, i: usize) -> Option<R> {
        let mut inner = self.lock();
        loop {
            if let Some(result) = inner.done.remove(&i) {
                inner.taken = i + 1;
                drop(inner);
                self.changed.notify_all();
                return Some(result);
            }
            if inner.ended {
                return None;
            }
            inner = self.wait(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        for threads in [1, 2, 7] {
            let mut out = Vec::new();
            run(
                1000,
                threads,
                || (),
                |(), i| (0..(i * 7919) % 100).fold(i, |a, _| a),
                |i| out.push(i),
            );
            assert_eq!(out, (0..1000).collect::<Vec<_>>());
        }
    }
}
