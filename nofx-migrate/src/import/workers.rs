//! Threads that work through a queue: each takes the next thing itself, so that none waits to be given one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::joined;
use super::room::Room;

/// Work to do, and how many bytes of files it takes into memory.
pub(crate) struct Work<T> {
    pub(crate) bytes: u64,
    pub(crate) thing: T,
}

/// Does something with each thing of a queue, in order, on this many threads; yields each result as soon as it is available,
/// together with its room, which is taken until that is dropped. At most `ahead` results wait to be taken.
///
/// The threads stop when the stream is dropped. If one panics, so does the stream.
///
/// Must be called in a tokio runtime.
pub(crate) fn work<
    T: Send + 'static,
    R: Send + 'static,
    Q: Iterator<Item = Work<T>> + Send + 'static,
    A: Fn(T) -> R + Clone + Send + 'static,
>(
    queue: Q,
    threads: usize,
    ahead: usize,
    room: &Room,
    act: A,
) -> impl Stream<Item = (Option<OwnedSemaphorePermit>, R)> + Send + use<T, R, Q, A> {
    let (results, done) = mpsc::channel(ahead);
    let queue = Arc::new(Mutex::new(queue));
    let worker = || {
        let (queue, room, results, act) = (queue.clone(), room.clone(), results.clone(), act.clone());
        move || {
            // Room is awaited while holding the queue, so that it is taken in the order of the queue.
            let next = || {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                let Work { bytes, thing } = queue.next()?;
                Some((Handle::current().block_on(room.take(bytes)), thing))
            };
            while let Some((taken, thing)) = next()
                && !results.is_closed()
                && results.blocking_send((taken, act(thing))).is_ok()
            {}
        }
    };
    let threads: Vec<_> = (0..threads).map(|_| tokio::task::spawn_blocking(worker())).collect();
    stream::unfold((done, threads), |(mut done, mut threads)| async move {
        if let Some(result) = done.recv().await {
            return Some((result, (done, threads)));
        }
        while let Some(thread) = threads.pop() {
            joined(thread).await;
        }
        None
    })
}

/// Does the same as [`work`], and yields the results in the order of the things.
pub(crate) fn work_in_order<
    T: Send + 'static,
    R: Send + 'static,
    Q: Iterator<Item = Work<T>> + Send + 'static,
    A: Fn(T) -> R + Clone + Send + 'static,
>(
    queue: Q,
    threads: usize,
    ahead: usize,
    room: &Room,
    act: A,
) -> impl Stream<Item = (Option<OwnedSemaphorePermit>, R)> + Send + use<T, R, Q, A> {
    let numbered = queue.enumerate().map(|(at, work)| Work { bytes: work.bytes, thing: (at, work.thing) });
    let done = work(numbered, threads, ahead, room, move |(at, thing)| (at, act(thing)));
    stream::unfold((Box::pin(done), BTreeMap::new(), 0), |(mut done, mut early, next)| async move {
        loop {
            if let Some(result) = early.remove(&next) {
                return Some((result, (done, early, next + 1)));
            }
            let (taken, (at, result)) = done.next().await?;
            early.insert(at, (taken, result));
        }
    })
}

/// Combines small things until they have `most` bytes, in order.
pub(crate) fn together<T>(
    things: impl Iterator<Item = T>,
    most: u64,
    bytes: impl Fn(&T) -> u64,
) -> impl Iterator<Item = Vec<T>> {
    let mut things = things.peekable();
    std::iter::from_fn(move || {
        let first = things.next()?;
        let mut sum = bytes(&first);
        let mut group = vec![first];
        while group.len() < MAX_TOGETHER
            && let Some(next) = things.next_if(|next| sum.saturating_add(bytes(next)) <= most)
        {
            sum += bytes(&next);
            group.push(next);
        }
        Some(group)
    })
}

/// The most things that are combined, however small they are.
const MAX_TOGETHER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(sizes: &[u64]) -> impl Iterator<Item = Work<u64>> + Send + use<> {
        let sizes = sizes.to_vec();
        sizes.into_iter().map(|bytes| Work { bytes, thing: bytes })
    }

    #[tokio::test]
    async fn everything_is_done_and_room_is_given_back_before_more_is_taken() {
        let room = Room::new(4 << 10);
        let sizes: Vec<u64> = (0..200).map(|number| number * 97 % 9000).collect();
        let mut done = std::pin::pin!(work(queue(&sizes), 3, 1, &room, |bytes| bytes + 1));
        let mut all = Vec::new();
        while let Some((taken, more)) = done.next().await {
            all.push(more - 1);
            drop(taken);
        }
        all.sort_unstable();
        let mut wanted = sizes;
        wanted.sort_unstable();
        assert_eq!(all, wanted);
    }

    #[tokio::test]
    async fn the_order_is_kept_where_it_is_asked_for() {
        let sizes: Vec<u64> = (0..300).map(|number| number * 97 % 3000).collect();
        let room = &Room::new(4 << 10);
        let one: Vec<u64> = work(queue(&sizes), 1, 8, room, |bytes| bytes).map(|(_, bytes)| bytes).collect().await;
        assert_eq!(one, sizes);
        let slow = |bytes: u64| {
            (0..bytes * 100).for_each(|number| _ = std::hint::black_box(number));
            bytes
        };
        let many: Vec<u64> = work_in_order(queue(&sizes), 3, 2, room, slow).map(|(_, bytes)| bytes).collect().await;
        assert_eq!(many, sizes);
    }

    #[test]
    fn small_things_are_put_together_and_none_is_lost() {
        let together = |things: &[u64]| together(things.iter().copied(), 10, |bytes| *bytes).collect::<Vec<_>>();
        assert_eq!(together(&[]), Vec::<Vec<u64>>::new());
        assert_eq!(together(&[4, 6, 1, 20, 0, 3, 9]), [vec![4, 6], vec![1], vec![20], vec![0, 3], vec![9]]);
        assert_eq!(together(&[0; 100]).iter().map(Vec::len).collect::<Vec<_>>(), [64, 36]);
    }

    #[tokio::test]
    async fn threads_stop_when_no_caller_waits_for_them() {
        let room = Room::new(1 << 10);
        let began = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = began.clone();
        let act = move |_| count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut done = Box::pin(work(queue(&[1 << 10; 100]), 2, 1, &room, act));
        let first = done.next().await;
        drop((first, done));
        // When all room is free again, no thread works any more.
        let _all = room.take(1 << 10).await;
        assert!(began.load(std::sync::atomic::Ordering::SeqCst) < 100);
    }

    #[tokio::test]
    #[should_panic(expected = "of seven")]
    async fn a_panic_continues_in_the_caller_that_waits() {
        let done = work(queue(&[1, 7, 3]), 2, 8, &Room::new(1 << 20), |bytes| assert_ne!(bytes, 7, "of seven"));
        done.for_each(|_| async {}).await;
    }
}
