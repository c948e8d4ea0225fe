//! Locks that outlive a panic, and a guard that lets other threads stop.
//!
//! A thread that panics while it holds a lock poisons it. What the locks of this crate guard stays
//! sound then, because the panic ends the whole job: the others must not panic too, but stop.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks `mutex`, poisoned or not.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `mutex` guards, poisoned or not, where the caller has it for itself.
pub fn get_mut<T: ?Sized>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}

/// Takes out what `mutex` guarded, poisoned or not.
pub fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Locks `lock` for reading, poisoned or not.
pub fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks `lock` for writing, poisoned or not.
pub fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the other threads of a job stop when this one ends in any way but well: with an error,
/// or by a panic.
#[derive(Debug)]
#[must_use = "dropped at once, it stops the others at once"]
pub struct StopOthers<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> StopOthers<F> {
    /// Calls `stop` on drop, unless [`ended_well`](Self::ended_well) is called before.
    pub fn new(stop: F) -> Self {
        Self(Some(stop))
    }

    /// The others go on.
    pub fn ended_well(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for StopOthers<F> {
    fn drop(&mut self) {
        if let Some(stop) = self.0.take() {
            stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn the_others_stop_after_an_error_and_a_panic_but_not_after_a_good_end() {
        let stopped = Cell::new(0);
        let stop = || stopped.set(stopped.get() + 1);
        StopOthers::new(stop).ended_well();
        assert_eq!(stopped.get(), 0);
        drop(StopOthers::new(stop));
        assert_eq!(stopped.get(), 1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = StopOthers::new(stop);
            panic!("a worker fails");
        }));
        assert!(panicked.is_err());
        assert_eq!(stopped.get(), 2);
    }

    #[test]
    fn a_lock_works_after_its_holder_panicked() {
        let mutex = Mutex::new(1);
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _held = mutex.lock().unwrap();
            panic!("while it is held");
        }));
        assert!(mutex.is_poisoned());
        *lock(&mutex) += 1;
        assert_eq!(into_inner(mutex), 2);
    }
}
