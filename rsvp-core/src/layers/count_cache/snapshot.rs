//! The published count of an entry, for readers without a lock.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Tick;
use super::validity::Validity;

/// A count with everything that a hit needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) value: u64,
    /// The moment at which it was exact, in nanoseconds from the table's epoch.
    pub(super) exact_at: i64,
    pub(super) began: Tick,
    pub(super) validity: Validity,
}

impl Counted {
    /// Returns its age, given the epoch of its table.
    pub(super) fn age(&self, epoch: Instant) -> Duration {
        let now = nanoseconds(epoch.elapsed());
        Duration::from_nanos(u64::try_from(now.saturating_sub(self.exact_at)).unwrap_or(0))
    }
}

/// Returns the nanoseconds of a duration, at most 146 years,
/// so that the sum of two does not overflow.
pub(super) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX).min(i64::MAX / 2)
}

/// The published count of an entry: a sequence lock.
///
/// The writer holds the lock of the entry.
/// It makes the version odd, stores the fields and makes the version even again.
/// A reader loads the version before and after the fields.
/// If both loads return the same even version, the fields belong together.
/// A reader stores nothing, so readers on many processors share the cache line.
#[derive(Debug)]
pub(super) struct Snapshot {
    version: AtomicU64,
    value: AtomicU64,
    exact_at: AtomicU64,
    began: AtomicU64,
    /// The code of the validity. [`NO_COUNT`] if there is no count.
    validity: AtomicU64,
}

/// The code of an entry without a count.
const NO_COUNT: u64 = 0;

impl Default for Snapshot {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        let validity = AtomicU64::new(NO_COUNT);
        Self { version: zero(), value: zero(), exact_at: zero(), began: zero(), validity }
    }
}

impl Snapshot {
    /// Returns the count. `None` if there is none or a writer is replacing it.
    /// The caller then takes the lock.
    pub(super) fn load(&self) -> Option<Counted> {
        // 1. Load the version. An odd version means that a writer is storing the fields.
        let version = self.version.load(Ordering::Acquire);
        if version % 2 == 1 {
            return None;
        }
        // 2. Load the fields.
        let value = self.value.load(Ordering::Relaxed);
        let exact_at = self.exact_at.load(Ordering::Relaxed).cast_signed();
        let began = self.began.load(Ordering::Relaxed);
        let validity = Validity::from_code(self.validity.load(Ordering::Relaxed))?;
        // 3. Load the version again, after the fields.
        //    A different version means that a writer came between.
        fence(Ordering::Acquire);
        let unchanged = self.version.load(Ordering::Relaxed) == version;
        unchanged.then_some(Counted { value, exact_at, began, validity })
    }

    /// Publishes a count. The caller holds the lock of the entry, so there is one writer.
    pub(super) fn store(&self, counted: &Counted) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // A reader that loads one of the new fields must also see the odd version.
        fence(Ordering::Release);
        self.value.store(counted.value, Ordering::Relaxed);
        self.exact_at.store(counted.exact_at.cast_unsigned(), Ordering::Relaxed);
        self.began.store(counted.began, Ordering::Relaxed);
        self.validity.store(counted.validity.code(), Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    fn counted(n: u64) -> Counted {
        Counted { value: n, exact_at: n.cast_signed(), began: n, validity: Validity::Exact }
    }

    #[test]
    fn a_reader_sees_fields_that_belong_together() {
        let snapshot = Arc::new(Snapshot::default());
        assert_eq!(snapshot.load(), None);
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (snapshot, stop) = (snapshot.clone(), stop.clone());
                thread::spawn(move || {
                    let mut last = 0;
                    while !stop.load(Ordering::Relaxed) {
                        if let Some(read) = snapshot.load() {
                            assert_eq!(read, counted(read.value));
                            assert!(read.value >= last);
                            last = read.value;
                        }
                    }
                })
            })
            .collect();
        (1..300_000).for_each(|n| snapshot.store(&counted(n)));
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().expect("no torn read"));
        assert_eq!(snapshot.load(), Some(counted(299_999)));
    }
}
