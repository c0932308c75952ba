//! The thread pool: one parallel loop, with chunks claimed one by one.
//!
//! Chunks are claimed from an atomic counter, never split in advance, so that a thread that the operating system takes
//! away delays at most the chunk it is in. Workers spin briefly after each loop, since the next kernel usually follows
//! within microseconds, and then sleep.

#![expect(
    unsafe_code,
    reason = "a job on the caller's stack is lent to the workers until the caller has seen them leave"
)]

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long an idle worker looks for work before it sleeps.
const SPIN: Duration = Duration::from_micros(50);

/// More threads than this are never started.
const MAX_THREADS: usize = 256;

/// One parallel loop. It lives on the caller's stack.
struct Job<'a> {
    body: &'a (dyn Fn(usize) + Sync),
    n_chunks: usize,
    next: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Job<'_> {
    /// Claims and runs chunks until none is left.
    fn run_chunks(&self) {
        loop {
            let chunk = self.next.fetch_add(1, Ordering::Relaxed);
            if chunk >= self.n_chunks {
                return;
            }
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.body)(chunk))) {
                // Nobody need finish what will be thrown away.
                self.next.store(self.n_chunks, Ordering::Relaxed);
                let mut slot = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
                slot.get_or_insert(payload);
            }
        }
    }
}

struct Pool {
    /// Threads that take part in a loop, the caller included.
    threads: AtomicUsize,
    /// Workers started so far, sleeping or not.
    started: Mutex<usize>,
    /// Held by the one caller whose job is published.
    busy: AtomicBool,
    job: AtomicPtr<Job<'static>>,
    /// Grows with each published job.
    epoch: AtomicU64,
    /// Workers that may hold a reference to the published job.
    inside: AtomicUsize,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

thread_local! {
    /// Whether this thread is running a chunk: loops started from it run inline.
    static IN_LOOP: Cell<bool> = const { Cell::new(false) };
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool {
        threads: AtomicUsize::new(available()),
        started: Mutex::new(0),
        busy: AtomicBool::new(false),
        job: AtomicPtr::new(std::ptr::null_mut()),
        epoch: AtomicU64::new(0),
        inside: AtomicUsize::new(0),
        sleepers: AtomicUsize::new(0),
        sleep: Mutex::new(()),
        wake: Condvar::new(),
    })
}

fn available() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS))
}

/// The number of threads that a loop may use, the calling one included.
pub fn threads() -> usize {
    pool().threads.load(Ordering::Relaxed)
}

/// Sets the number of threads that loops started from now on use, the calling one included; 0 stands for all that the
/// machine has. Results do not depend on it.
pub fn set_threads(n: usize) {
    let n = if n == 0 { available() } else { n.min(MAX_THREADS) };
    pool().threads.store(n, Ordering::Relaxed);
}

/// Runs `body(0)` to `body(n_chunks - 1)`, in any order, on the pool's threads and the calling one, and returns when all
/// have ended.
///
/// A call from inside a chunk, or while another thread's loop is running, runs inline. A panic in a chunk is passed on to
/// the caller once every thread has left the loop; chunks not begun by then are skipped.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// let sum = AtomicUsize::new(0);
/// pellucid_kernels::threads::parallel_for(10, &|i| {
///     sum.fetch_add(i, Ordering::Relaxed);
/// });
/// assert_eq!(sum.into_inner(), 45);
/// ```
pub fn parallel_for(n_chunks: usize, body: &(dyn Fn(usize) + Sync)) {
    let pool = pool();
    let threads = pool.threads.load(Ordering::Relaxed);
    let inline = n_chunks < 2
        || threads < 2
        || IN_LOOP.get()
        || pool.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err();
    if inline {
        for chunk in 0..n_chunks {
            body(chunk);
        }
        return;
    }
    let workers = pool.start_workers(threads - 1);
    let job = Job { body, n_chunks, next: AtomicUsize::new(0), panic: Mutex::new(None) };
    // Workers beyond the set number sleep too, and one of them might catch a single call.
    let wanted = if workers < threads { n_chunks - 1 } else { workers };
    pool.publish(&job, wanted);
    IN_LOOP.set(true);
    job.run_chunks();
    IN_LOOP.set(false);
    pool.retract();
    pool.busy.store(false, Ordering::Release);
    let payload = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(payload) = payload {
        resume_unwind(payload);
    }
}

/// Like [`parallel_for`] over `0..len` in ranges of at least `grain` items: `body(start, end)`.
///
/// Makes at most eight ranges per thread, so that the cost of claiming stays small and the load evens out. Ranges start
/// at multiples of `align`.
pub fn parallel_ranges(len: usize, grain: usize, align: usize, body: &(dyn Fn(usize, usize) + Sync)) {
    let wanted = len.div_ceil(threads().saturating_mul(8).max(1));
    let align = align.max(1);
    let size = wanted.max(grain).max(1).div_ceil(align) * align;
    if len <= size {
        if len > 0 {
            body(0, len);
        }
        return;
    }
    parallel_for(len.div_ceil(size), &|chunk| {
        let start = chunk * size;
        body(start, (start + size).min(len));
    });
}

impl Pool {
    /// Starts workers up to `wanted`, and returns how many there are: more, if a loop once used more.
    fn start_workers(&'static self, wanted: usize) -> usize {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        while *started < wanted {
            let worker = *started;
            let spawned = std::thread::Builder::new()
                .name(format!("pellucid-{worker}"))
                .spawn(move || self.work(worker));
            if spawned.is_err() {
                // The system refuses more threads: go on with what there is.
                break;
            }
            *started += 1;
        }
        *started
    }

    /// Makes `job` visible to the workers and wakes up to `wanted` of the sleeping ones.
    fn publish(&self, job: &Job<'_>, wanted: usize) {
        let job: *const Job<'_> = job;
        self.job.store(job.cast_mut().cast(), Ordering::SeqCst);
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let sleepers = self.sleepers.load(Ordering::SeqCst);
        if sleepers > 0 {
            // A worker between its last look and its wait holds the lock.
            drop(self.sleep.lock().unwrap_or_else(PoisonError::into_inner));
            for _ in 0..sleepers.min(wanted) {
                self.wake.notify_one();
            }
        }
    }

    /// Hides the job and waits until no worker can still see it.
    fn retract(&self) {
        self.job.store(std::ptr::null_mut(), Ordering::SeqCst);
        let mut looks = 0u32;
        while self.inside.load(Ordering::SeqCst) != 0 {
            looks += 1;
            if looks < 20_000 {
                std::hint::spin_loop();
            } else {
                // A worker is in a long chunk, or the system has taken its core away.
                std::thread::yield_now();
            }
        }
    }

    fn work(&self, worker: usize) {
        IN_LOOP.set(true);
        let mut seen = 0;
        loop {
            seen = self.next_epoch(seen, worker);
            if worker + 1 >= self.threads.load(Ordering::Relaxed) {
                continue;
            }
            // Announce first, look second: the caller hides the job first and counts second, so it cannot miss us.
            self.inside.fetch_add(1, Ordering::SeqCst);
            let job = self.job.load(Ordering::SeqCst);
            if !job.is_null() {
                // SAFETY: the caller does not leave `parallel_for`, and so keeps the job alive, while `inside` counts us.
                unsafe { &*job }.run_chunks();
            }
            self.inside.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits for an epoch other than `seen`: spinning at first, then asleep.
    fn next_epoch(&self, seen: u64, worker: usize) -> u64 {
        if worker + 1 < self.threads.load(Ordering::Relaxed) {
            let start = Instant::now();
            loop {
                for _ in 0..64 {
                    let epoch = self.epoch.load(Ordering::Acquire);
                    if epoch != seen {
                        return epoch;
                    }
                    std::hint::spin_loop();
                }
                if start.elapsed() >= SPIN {
                    break;
                }
            }
        }
        let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let epoch = loop {
            let epoch = self.epoch.load(Ordering::SeqCst);
            if epoch != seen {
                break epoch;
            }
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_runs_exactly_once() {
        for round in 0..200 {
            let counts: Vec<AtomicUsize> = (0..round).map(|_| AtomicUsize::new(0)).collect();
            parallel_for(round, &|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn a_panic_in_a_chunk_reaches_the_caller_and_the_pool_goes_on() {
        for _ in 0..20 {
            let caught = catch_unwind(|| {
                parallel_for(16, &|i| assert!(i != 7, "chunk seven"));
            });
            let payload = caught.expect_err("the panic must arrive");
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"chunk seven"));
        }
        every_chunk_runs_exactly_once();
    }

    #[test]
    fn nested_and_simultaneous_loops_end() {
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        parallel_for(8, &|_| {
                            parallel_for(4, &|_| {
                                total.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 50 * 8 * 4);
    }

    #[test]
    fn ranges_cover_the_length_once_and_keep_their_alignment() {
        for len in [0, 1, 15, 16, 1000, 4097] {
            let counts: Vec<AtomicUsize> = (0..len).map(|_| AtomicUsize::new(0)).collect();
            parallel_ranges(len, 16, 8, &|start, end| {
                assert_eq!(start % 8, 0);
                for count in &counts[start..end] {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
        }
    }
}
