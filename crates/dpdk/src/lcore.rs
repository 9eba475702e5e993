//! Logical cores: which there are, and work for them.

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dpdk_sys as sys;

use crate::Eal;
use crate::eal::{Process, error_text, last_errno, lock};

/// How often a worker that is waited for is looked at. DPDK's own wait spins on a CPU that a polling lcore
/// may share.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A logical core. Which CPU it runs on is said by `--lcores`, see [`lcores_argument`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lcore(pub u32);

impl Lcore {
    /// The lcore of the calling thread; `None` where it is not one of DPDK's.
    #[must_use]
    pub fn current() -> Option<Self> {
        // SAFETY: reads a variable of this thread.
        let id = unsafe { sys::snipe_lcore_id() };
        (id != sys::LCORE_ID_ANY).then_some(Self(id))
    }
}

impl fmt::Display for Lcore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why an lcore, a CPU or a thread cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LcoreError {
    /// No such CPU, or not for this process.
    #[error("CPU {cpu} is not there for this process; it may use {allowed}")]
    NoSuchCpu {
        /// The CPU.
        cpu: u32,
        /// The ones there are.
        allowed: String,
    },
    /// More lcores than DPDK was built for.
    #[error("{wanted} lcores are more than this DPDK can have ({most})")]
    TooMany {
        /// Lcores asked for.
        wanted: usize,
        /// Lcores there can be.
        most: u32,
    },
    /// Work for an lcore that is at work, or that is none of the workers.
    #[error("lcore {lcore} cannot be given work: {reason}")]
    NotIdle {
        /// The lcore.
        lcore: Lcore,
        /// What it is.
        reason: String,
    },
    /// The work on an lcore panicked.
    #[error("the work of lcore {lcore} stopped by a panic: {message}")]
    Panicked {
        /// The lcore.
        lcore: Lcore,
        /// The panic's message.
        message: String,
    },
    /// A thread that DPDK did not take.
    #[error("this thread cannot be registered: {reason}")]
    NotRegistered {
        /// The error's text.
        reason: String,
    },
}

/// The EAL argument that places lcores: lcore 0, the main one, on CPU `control`, and one worker lcore, 1, 2
/// …, on each of `workers`. Lcores are virtual: several may share a CPU. To be called before EAL starts,
/// which binds the thread to a CPU.
///
/// # Errors
/// Where a CPU is not there.
pub fn lcores_argument(control: u32, workers: &[u32]) -> Result<String, LcoreError> {
    let allowed = allowed_cpus();
    if let Some(&cpu) = [control].iter().chain(workers).find(|cpu| !allowed.contains(cpu)) {
        return Err(LcoreError::NoSuchCpu { cpu, allowed: ranges(&allowed) });
    }
    let wanted = workers.len().saturating_add(1);
    if wanted > sys::RTE_MAX_LCORE as usize {
        return Err(LcoreError::TooMany { wanted, most: sys::RTE_MAX_LCORE });
    }
    let places = [control].into_iter().chain(workers.iter().copied()).enumerate();
    let places: Vec<String> = places.map(|(lcore, cpu)| format!("{lcore}@{cpu}")).collect();
    Ok(format!("--lcores={}", places.join(",")))
}

/// CPUs that this process may run on, ascending.
fn allowed_cpus() -> Vec<u32> {
    // SAFETY: a set of CPUs is an array of bits; zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the place is ours, and its size is given; 0 is the calling thread.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        return Vec::new();
    }
    let bits = u32::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: every number is below the number of bits that the set has.
    (0..bits).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu as usize, &set) }).collect()
}

/// Numbers as ranges: `0-3,8`.
fn ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let text =
        |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    parts.into_iter().map(text).collect::<Vec<_>>().join(",")
}

impl Eal {
    /// The main lcore: the thread that started DPDK.
    #[must_use]
    pub fn main_lcore(&self) -> Lcore {
        // SAFETY: EAL runs, as `self` says.
        Lcore(unsafe { sys::rte_get_main_lcore() })
    }

    /// The lcores that can be given work, ascending.
    pub fn workers(&self) -> impl Iterator<Item = Lcore> + '_ {
        let next = |after: u32| {
            // SAFETY: EAL runs; any number may be asked for, and -1 stands before the first.
            let id = unsafe { sys::rte_get_next_lcore(after, 1, 0) };
            (id < sys::RTE_MAX_LCORE).then_some(id)
        };
        std::iter::successors(next(u32::MAX), move |id| next(*id)).map(Lcore)
    }

    /// The CPU that an lcore runs on; `None` where it is not bound to one or there is no such lcore.
    #[must_use]
    pub fn cpu_of(&self, lcore: Lcore) -> Option<u32> {
        let id = c_int::try_from(lcore.0).ok().filter(|_| lcore.0 < sys::RTE_MAX_LCORE)?;
        // SAFETY: EAL runs, and the number is below its limit.
        u32::try_from(unsafe { sys::rte_lcore_to_cpu_id(id) }).ok()
    }

    /// Runs `work` on a worker lcore. The result comes from [`Worker::join`].
    ///
    /// # Errors
    /// Where the lcore is at work, or is not a worker.
    pub fn launch<T, W>(&self, lcore: Lcore, work: W) -> Result<Worker<T>, LcoreError>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        if !self.workers().any(|worker| worker == lcore) {
            let reason = "it is none of the worker lcores".to_owned();
            return Err(LcoreError::NotIdle { lcore, reason });
        }
        let result: Arc<Mutex<Option<thread::Result<T>>>> = Arc::default();
        let place = Arc::clone(&result);
        let work: Work = Box::new(move || {
            // What a panic leaves behind is dropped with the closure; nobody sees it half done.
            let outcome = panic::catch_unwind(AssertUnwindSafe(work));
            *lock(&place) = Some(outcome);
        });
        let argument = Box::into_raw(Box::new(work)).cast::<c_void>();
        let launching = lock(&self.0.launching);
        // SAFETY: the lcore is a worker; the argument is what `trampoline` expects, and is its own.
        let error = unsafe { sys::rte_eal_remote_launch(Some(trampoline), argument, lcore.0) };
        drop(launching);
        if error != 0 {
            // SAFETY: the lcore did not take the argument, which was boxed above.
            drop(unsafe { Box::from_raw(argument.cast::<Work>()) });
            return Err(LcoreError::NotIdle { lcore, reason: error_text(error) });
        }
        Ok(Worker { lcore, result, waited: false, _process: Arc::clone(&self.0) })
    }

    /// Makes the calling thread known to DPDK until the guard is dropped, so that buffers it frees and
    /// allocates go through a cache of its own.
    ///
    /// # Errors
    /// Where all lcore numbers are given out, or the thread has one.
    pub fn register_thread(&self) -> Result<RegisteredThread, LcoreError> {
        if Lcore::current().is_some() {
            let reason = "it is an lcore already".to_owned();
            return Err(LcoreError::NotRegistered { reason });
        }
        // SAFETY: EAL runs, and the thread is not registered.
        if unsafe { sys::rte_thread_register() } != 0 {
            return Err(LcoreError::NotRegistered { reason: error_text(last_errno()) });
        }
        Ok(RegisteredThread { _process: Arc::clone(&self.0), _thread: PhantomData })
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// What an lcore calls.
extern "C" fn trampoline(argument: *mut c_void) -> c_int {
    // SAFETY: `launch` boxed it and gave it up to this call.
    let work = unsafe { Box::from_raw(argument.cast::<Work>()) };
    // It catches its own panics: none gets from here into C.
    work();
    0
}

/// Work that was given to an lcore. Dropping this waits for its end, too.
#[derive(Debug)]
pub struct Worker<T> {
    lcore: Lcore,
    result: Arc<Mutex<Option<thread::Result<T>>>>,
    waited: bool,
    // The work may use anything of DPDK.
    _process: Arc<Process>,
}

impl<T> Worker<T> {
    /// The lcore at work.
    #[must_use]
    pub const fn lcore(&self) -> Lcore {
        self.lcore
    }

    /// Whether the work has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // SAFETY: EAL runs, as `_process` says, and the lcore is one of its workers.
        let state = unsafe { sys::rte_eal_get_lcore_state(self.lcore.0) };
        state != sys::rte_lcore_state_t::RUNNING
    }

    /// Waits for the end of the work and returns its result.
    ///
    /// # Errors
    /// Where the work panicked.
    pub fn join(mut self) -> Result<T, LcoreError> {
        self.wait();
        let message = match lock(&self.result).take() {
            Some(Ok(value)) => return Ok(value),
            Some(Err(payload)) => message(payload.as_ref()),
            None => "it did not leave a result".to_owned(),
        };
        Err(LcoreError::Panicked { lcore: self.lcore, message })
    }

    fn wait(&mut self) {
        // Once only: afterwards somebody may launch other work there.
        if mem::replace(&mut self.waited, true) {
            return;
        }
        while !self.is_finished() {
            thread::sleep(LOOK_EVERY);
        }
        // SAFETY: as above. It makes the lcore's writes visible here and the lcore idle.
        unsafe { sys::rte_eal_wait_lcore(self.lcore.0) };
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.wait();
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// The calling thread is known to DPDK while this is there.
#[derive(Debug)]
pub struct RegisteredThread {
    _process: Arc<Process>,
    // It is dropped on the thread that made it.
    _thread: PhantomData<*mut ()>,
}

impl Drop for RegisteredThread {
    fn drop(&mut self) {
        // SAFETY: this thread was registered by `register_thread` and not unregistered since.
        unsafe { sys::rte_thread_unregister() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_short() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[0]), "0");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let error = lcores_argument(0, &[1023]).unwrap_err().to_string();
        assert!(error.starts_with("CPU 1023 is not there for this process; it may use 0"), "{error}");
    }

    #[test]
    fn lcores_may_share_a_cpu() {
        let cpu = allowed_cpus()[0];
        let argument = lcores_argument(cpu, &[cpu, cpu]).unwrap();
        assert_eq!(argument, format!("--lcores=0@{cpu},1@{cpu},2@{cpu}"));
    }
}
