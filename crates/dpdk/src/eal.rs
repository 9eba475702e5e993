//! The environment abstraction layer: DPDK's start and end in a process.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dpdk_sys as sys;

/// Why DPDK did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EalError {
    /// A second start.
    #[error("DPDK can be started once in a process, and it was")]
    AlreadyStarted,
    /// An argument that C cannot have.
    #[error("EAL argument {0:?} holds a NUL byte")]
    Nul(String),
    /// Two arguments that exclude each other.
    #[error(
        "EAL arguments --no-huge and --in-memory exclude each other: leave out --in-memory \
         (--no-huge leaves no files in hugetlbfs anyway)"
    )]
    NoHugeInMemory,
    /// An argument that EAL does not know or cannot use.
    #[error("EAL refused its arguments ({args}): {said}")]
    Arguments {
        /// All of them.
        args: String,
        /// What EAL printed.
        said: String,
    },
    /// No hugepages, or not enough.
    #[error(
        "too few hugepages: {free_bytes} bytes are free ({said}). Reserve some (for 1 GiB: \
         `echo 512 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages` as root), \
         or run on ordinary memory with `--no-huge` and `-m MEGABYTES`"
    )]
    Hugepages {
        /// Bytes in hugepages that nobody uses.
        free_bytes: u64,
        /// What EAL printed.
        said: String,
    },
    /// Something that only root may do, or somebody whom root lets.
    #[error(
        "no permission: {what} ({said}). Run as root, give this user the right, \
         or use `--no-huge` with virtual devices, which need neither"
    )]
    Permission {
        /// What is not allowed.
        what: String,
        /// What EAL printed.
        said: String,
    },
    /// Anything else.
    #[error("EAL did not start: {reason} ({said})")]
    Failed {
        /// The text of `rte_errno`.
        reason: String,
        /// What EAL printed.
        said: String,
    },
}

/// DPDK, started. Everything else in this crate is made from it.
///
/// DPDK ends when this and all that was made from it are dropped. Frames are not counted in that: while
/// one is left anywhere, its memory stays mapped and DPDK is left as it is at the end of the process.
#[derive(Debug)]
pub struct Eal(pub(crate) Arc<Process>);

/// What lives as long as DPDK does.
#[derive(Debug)]
pub(crate) struct Process {
    /// Every pool ever made. Their memory is given back all at once: an mbuf does not know whether its
    /// pool's owner is still there.
    pub(crate) pools: Mutex<Vec<PoolPointer>>,
    /// Ports in use, so that none is opened twice.
    pub(crate) ports: Mutex<Vec<u16>>,
    /// Held while a worker lcore is given work: DPDK wants one caller at a time.
    pub(crate) launching: Mutex<()>,
}

/// A pool whose memory is there as long as [`Process`] is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolPointer(pub(crate) NonNull<sys::rte_mempool>);

// SAFETY: mempools are made for use by several threads; only counting functions are called through this.
unsafe impl Send for PoolPointer {}

impl PoolPointer {
    /// Buffers that are neither in the pool nor in the cache of a core.
    pub(crate) fn in_use(self) -> usize {
        // SAFETY: pools stay mapped until `Process` is dropped, and whoever has a pointer has that too.
        unsafe { sys::rte_mempool_in_use_count(self.0.as_ptr()) as usize }
    }
}

/// A lock whose holder panicked protects nothing that could be half done here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static STARTED: AtomicBool = AtomicBool::new(false);

impl Eal {
    /// Starts DPDK with EAL arguments, without a program name: `["--no-huge", "-m", "512"]`.
    ///
    /// The calling thread becomes the main lcore and is bound to its CPU; threads that it starts later
    /// inherit that. EAL's log level is "warning" unless an argument says otherwise. While this
    /// runs, standard output and standard error of the whole process are caught: EAL prints its usage to
    /// the former, and what it says on the latter becomes part of the error.
    ///
    /// # Errors
    /// [`EalError`] says what is missing and what to do.
    pub fn init<I>(args: I) -> Result<Self, EalError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let args: Vec<String> = args.into_iter().map(Into::into).collect();
        let has = |wanted: &str| args.iter().any(|arg| arg == wanted);
        if has("--no-huge") && has("--in-memory") {
            return Err(EalError::NoHugeInMemory);
        }
        let own_level = args.iter().any(|arg| arg.starts_with("--log-level"));
        let mut argv = vec![CString::from(c"snipe")];
        if !own_level {
            argv.push(CString::from(c"--log-level=warning"));
        }
        for arg in &args {
            argv.push(CString::new(arg.as_str()).map_err(|_| EalError::Nul(arg.clone()))?);
        }
        // AcqRel: only the first caller goes on, and nothing else hangs on the value.
        if STARTED.swap(true, Ordering::AcqRel) {
            return Err(EalError::AlreadyStarted);
        }

        // EAL keeps pointers into its arguments: they stay for the life of the process.
        let mut pointers: Vec<*mut c_char> = argv.into_iter().map(CString::into_raw).collect();
        let count = c_int::try_from(pointers.len()).unwrap_or(c_int::MAX);
        pointers.push(std::ptr::null_mut());
        let pointers = pointers.leak();

        let caught = Caught::start();
        // SAFETY: `pointers` holds `count` strings and a null, all leaked above; STARTED lets this
        // happen once.
        let result = unsafe { sys::rte_eal_init(count, pointers.as_mut_ptr()) };
        // SAFETY: reads a variable of this thread.
        let errno = unsafe { sys::snipe_errno() };
        let said = caught.map(Caught::finish).unwrap_or_default();

        if result < 0 {
            return Err(why(errno, &args, &said));
        }
        if own_level {
            // Where standard error is gone there is nobody to tell.
            let _ = io::stderr().write_all(said.as_bytes());
        } else {
            for line in said.lines() {
                tracing::debug!(target: "eal", "{line}");
            }
        }
        Ok(Self(Arc::new(Process {
            pools: Mutex::new(Vec::new()),
            ports: Mutex::new(Vec::new()),
            launching: Mutex::new(()),
        })))
    }

    /// The release of DPDK that this was built for.
    #[must_use]
    pub const fn version() -> &'static str {
        sys::DPDK_VERSION
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let out: usize = lock(&self.pools).iter().map(|pool| pool.in_use()).sum();
        if out > 0 {
            // Ours, or those of a driver that keeps some when it is closed (net_af_xdp of 22.11 does).
            tracing::debug!(frames = out, "DPDK is not shut down: frames are still held");
            return;
        }
        // SAFETY: rings, ports, registered threads and lcores at work each hold an `Arc` of this, so there
        // are none; no mbuf is left, as just counted, and none can come into being without a pool.
        let result = unsafe { sys::rte_eal_cleanup() };
        if result != 0 {
            tracing::warn!(error = %error_text(result), "DPDK did not shut down cleanly");
        }
    }
}

/// The text of an errno value, negative or not.
pub(crate) fn error_text(errno: c_int) -> String {
    // SAFETY: DPDK gives back a string of its own or of libc, valid until this thread's next call.
    let text = unsafe { sys::rte_strerror(errno.abs()) };
    // SAFETY: as above; it is copied before anything else is called.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

/// The error of the last DPDK call of this thread.
pub(crate) fn last_errno() -> c_int {
    // SAFETY: reads a variable of this thread.
    unsafe { sys::snipe_errno() }
}

/// Whether EAL runs on hugepages.
pub(crate) fn has_hugepages() -> bool {
    // SAFETY: reads EAL's configuration; callers hold the started `Eal`.
    unsafe { sys::rte_eal_has_hugepages() != 0 }
}

/// Bytes in hugepages of all sizes that nobody uses.
pub(crate) fn free_hugepage_bytes() -> u64 {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else { return 0 };
    let bytes_of = |entry: io::Result<fs::DirEntry>| -> Option<u64> {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?;
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let free: u64 = fs::read_to_string(path.join("free_hugepages")).ok()?.trim().parse().ok()?;
        kib.checked_mul(1024)?.checked_mul(free)
    };
    sizes.filter_map(bytes_of).fold(0, u64::saturating_add)
}

/// Mount points of hugetlbfs.
fn hugetlbfs_mounts() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let path = words.next()?;
        (words.next()? == "hugetlbfs").then(|| path.to_owned())
    };
    mounts.lines().filter_map(mount).collect()
}

fn writable(path: &str) -> bool {
    let Ok(path) = CString::new(path) else { return false };
    // SAFETY: the path is a C string that lives through the call.
    unsafe { libc::access(path.as_ptr(), libc::W_OK) == 0 }
}

/// Finds out why EAL did not start. Its own error numbers say little: no hugepages, no right to use
/// them and a bad argument can all be the same one.
fn why(errno: c_int, args: &[String], said: &str) -> EalError {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let usage = lines.iter().position(|line| line.starts_with("Usage:"));
    // EAL says the end of it twice, once for the log and once for the console.
    let mut own: Vec<&str> = lines.iter().take(usage.unwrap_or(lines.len())).copied().collect();
    own.retain(|line| !line.starts_with("EAL: FATAL:"));
    let skip = own.len().saturating_sub(4);
    let mut text = own.iter().skip(skip).copied().collect::<Vec<_>>().join("; ");
    if text.is_empty() {
        "EAL printed nothing; --log-level=debug shows more".clone_into(&mut text);
    }
    if usage.is_some() || errno == libc::EINVAL {
        return EalError::Arguments { args: args.join(" "), said: text };
    }
    if text.contains("Permission denied") {
        return EalError::Permission {
            what: "a file that EAL needs cannot be opened".to_owned(),
            said: text,
        };
    }
    let huge = !args.iter().any(|arg| arg == "--no-huge");
    if huge && (errno == libc::EACCES || errno == libc::ENOMEM || text.to_lowercase().contains("hugepage")) {
        let free_bytes = free_hugepage_bytes();
        let mounts = hugetlbfs_mounts();
        let in_memory = args.iter().any(|arg| arg == "--in-memory");
        if free_bytes > 0 && !in_memory && !mounts.is_empty() && !mounts.iter().any(|path| writable(path)) {
            let what = format!("this user cannot write to {}", mounts.join(", "));
            return EalError::Permission { what, said: text };
        }
        return EalError::Hugepages { free_bytes, said: text };
    }
    let reason = error_text(errno);
    match errno {
        libc::EACCES | libc::EPERM => EalError::Permission { what: reason, said: text },
        _ => EalError::Failed { reason, said: text },
    }
}

/// Standard output and standard error, led to a file in memory for a while.
struct Caught {
    file: File,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Caught {
    /// `None` where the process has no such streams; then nothing is caught.
    fn start() -> Option<Self> {
        // SAFETY: the name is a C string constant.
        let fd = unsafe { libc::memfd_create(c"eal".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return None;
        }
        // SAFETY: the descriptor was just made and nobody else has it.
        let file = unsafe { File::from_raw_fd(fd) };
        let stdout = io::stdout().as_fd().try_clone_to_owned().ok()?;
        let stderr = io::stderr().as_fd().try_clone_to_owned().ok()?;
        let caught = Self { file, stdout, stderr };
        flush();
        point(caught.file.as_fd(), libc::STDOUT_FILENO);
        point(caught.file.as_fd(), libc::STDERR_FILENO);
        Some(caught)
    }

    /// Leads the streams back and returns what was caught.
    fn finish(mut self) -> String {
        flush();
        point(self.stdout.as_fd(), libc::STDOUT_FILENO);
        point(self.stderr.as_fd(), libc::STDERR_FILENO);
        let mut bytes = Vec::new();
        // Where the text cannot be read back, the error number still says something.
        let _ = self.file.rewind();
        let _ = self.file.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn flush() {
    // Nothing is lost where this fails: the text comes out later.
    let _ = io::stdout().flush();
    // SAFETY: null means all of C's streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

fn point(from: BorrowedFd<'_>, to: c_int) {
    // SAFETY: `from` is open, as its type says; `to` is one of the standard streams, which nobody owns.
    unsafe { libc::dup2(from.as_raw_fd(), to) };
}

/// Whether a path is there, for error messages.
pub(crate) fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
