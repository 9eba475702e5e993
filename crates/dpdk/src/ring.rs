//! Rings between cores.

use std::ffi::{CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use arrayvec::ArrayVec;
use batch::BATCH;
use dpdk_sys as sys;

use crate::eal::{Process, error_text, last_errno};
use crate::{Eal, Mbuf};

/// An owned thing that is one pointer.
///
/// # Safety
/// `from_raw` of what `into_raw` gave is the thing itself, on whatever thread.
pub unsafe trait Owned: Send + Sized + 'static {
    /// Gives the thing up for its pointer.
    fn into_raw(self) -> NonNull<c_void>;

    /// The thing again.
    ///
    /// # Safety
    /// `pointer` came from `into_raw` of this type, and is used for this once.
    unsafe fn from_raw(pointer: NonNull<c_void>) -> Self;
}

// SAFETY: the pointer is the one reference that the `Mbuf` was.
unsafe impl Owned for Mbuf {
    #[inline(always)]
    fn into_raw(self) -> NonNull<c_void> {
        Self::into_raw(self).cast()
    }

    #[inline(always)]
    unsafe fn from_raw(pointer: NonNull<c_void>) -> Self {
        // SAFETY: the caller says that it came from an `Mbuf`, which was given up for it.
        unsafe { Self::from_raw(pointer.cast()) }
    }
}

// SAFETY: this is what `Box` promises of its own functions of these names.
unsafe impl<T: Send + 'static> Owned for Box<T> {
    fn into_raw(self) -> NonNull<c_void> {
        NonNull::from(Self::leak(self)).cast()
    }

    unsafe fn from_raw(pointer: NonNull<c_void>) -> Self {
        // SAFETY: the caller says that it came from a leaked box, and is used once.
        unsafe { Self::from_raw(pointer.as_ptr().cast()) }
    }
}

/// Why a ring could not be made.
#[derive(Debug, thiserror::Error)]
#[error("ring {name} with {slots} slots: {reason}")]
pub struct RingError {
    /// The ring.
    pub name: String,
    /// Slots asked for.
    pub slots: u32,
    /// The error's text.
    pub reason: String,
}

/// A lock-free queue of owned things for any number of senders and receivers. What is left in it is
/// dropped with it.
#[derive(Debug)]
pub struct Ring<T: Owned> {
    pointer: NonNull<sys::rte_ring>,
    _process: Arc<Process>,
    _things: PhantomData<fn(T) -> T>,
}

// SAFETY: things in the ring are `Send`; the ring itself belongs to no thread.
unsafe impl<T: Owned> Send for Ring<T> {}
// SAFETY: as above; its ends are for several threads at a time, except where `spsc` made it, and then
// the two halves allow one each.
unsafe impl<T: Owned> Sync for Ring<T> {}

impl<T: Owned> Ring<T> {
    /// Makes a ring with at least `slots` places, in the memory of any socket.
    ///
    /// # Errors
    /// Where the name is taken or the memory does not suffice.
    pub fn new(eal: &Eal, name: &str, slots: u32) -> Result<Self, RingError> {
        Self::with_flags(eal, name, slots, 0)
    }

    fn with_flags(eal: &Eal, name: &str, slots: u32, flags: u32) -> Result<Self, RingError> {
        let error = |reason: String| RingError { name: name.to_owned(), slots, reason };
        let c_name = CString::new(name).map_err(|_| error("the name holds a NUL byte".to_owned()))?;
        // DPDK wants a power of two, of which it uses all places but one.
        let count = slots.checked_add(1).and_then(u32::checked_next_power_of_two);
        let count = count.filter(|count| *count <= sys::RTE_RING_SZ_MASK);
        let count = count.ok_or_else(|| error("too many slots".to_owned()))?;
        let any: c_int = -1;
        // SAFETY: EAL runs, as `eal` says; the name lives through the call, which copies it.
        let pointer = unsafe { sys::rte_ring_create(c_name.as_ptr(), count, any, flags) };
        let pointer = NonNull::new(pointer).ok_or_else(|| error(error_text(last_errno())))?;
        Ok(Self { pointer, _process: Arc::clone(&eal.0), _things: PhantomData })
    }

    /// Puts things in from the front of `burst`, as many as there is room for, and returns how many. The
    /// rest stays in the burst.
    pub fn send<const N: usize>(&self, burst: &mut ArrayVec<T, N>) -> usize {
        let mut sent = 0;
        while !burst.is_empty() {
            let chunk = burst.len().min(BATCH);
            let raw: ArrayVec<*mut c_void, BATCH> =
                burst.drain(..chunk).map(|thing| thing.into_raw().as_ptr()).collect();
            let count = chunk as u32;
            // SAFETY: the ring lives as long as `self`; `raw` holds `count` pointers.
            let taken =
                unsafe { sys::snipe_ring_enqueue(self.pointer.as_ptr(), raw.as_ptr(), count) } as usize;
            sent += taken;
            if taken < chunk {
                let mut left: ArrayVec<T, N> = ArrayVec::new();
                for pointer in raw.into_iter().skip(taken).filter_map(NonNull::new) {
                    // SAFETY: it was made above from a `T`, and the ring did not take it.
                    left.push(unsafe { T::from_raw(pointer) });
                }
                left.extend(burst.drain(..));
                *burst = left;
                return sent;
            }
        }
        sent
    }

    /// Takes things out, as many as there are and `burst` has room for, and returns how many.
    pub fn receive<const N: usize>(&self, burst: &mut ArrayVec<T, N>) -> usize {
        let mut raw = [std::ptr::null_mut::<c_void>(); BATCH];
        let count = burst.remaining_capacity().min(BATCH) as u32;
        // SAFETY: the ring lives as long as `self`; `raw` has room for `count` pointers.
        let got = unsafe { sys::snipe_ring_dequeue(self.pointer.as_ptr(), raw.as_mut_ptr(), count) } as usize;
        for pointer in raw.into_iter().take(got).filter_map(NonNull::new) {
            // SAFETY: only `send` puts pointers in, each made from a `T`, and a ring gives each out once.
            burst.push(unsafe { T::from_raw(pointer) });
        }
        got
    }
}

impl<T: Owned> Drop for Ring<T> {
    fn drop(&mut self) {
        let mut left: ArrayVec<T, BATCH> = ArrayVec::new();
        while self.receive(&mut left) > 0 {
            left.clear();
        }
        // SAFETY: nobody else has the ring, and it is empty.
        unsafe { sys::rte_ring_free(self.pointer.as_ptr()) };
    }
}

/// The sending half of a ring with one sender.
#[derive(Debug)]
pub struct Sender<T: Owned>(Arc<Ring<T>>);

/// The receiving half of a ring with one receiver.
#[derive(Debug)]
pub struct Receiver<T: Owned>(Arc<Ring<T>>);

impl<T: Owned> Ring<T> {
    /// A ring for one sender and one receiver, which may be on different cores.
    ///
    /// # Errors
    /// Where the name is taken or the memory does not suffice.
    pub fn spsc(eal: &Eal, name: &str, slots: u32) -> Result<(Sender<T>, Receiver<T>), RingError> {
        let ring = Arc::new(Self::with_flags(eal, name, slots, sys::RING_F_SP_ENQ | sys::RING_F_SC_DEQ)?);
        Ok((Sender(Arc::clone(&ring)), Receiver(ring)))
    }
}

impl<T: Owned> Sender<T> {
    /// See [`Ring::send`].
    pub fn send<const N: usize>(&mut self, burst: &mut ArrayVec<T, N>) -> usize {
        self.0.send(burst)
    }
}

impl<T: Owned> Receiver<T> {
    /// See [`Ring::receive`].
    pub fn receive<const N: usize>(&mut self, burst: &mut ArrayVec<T, N>) -> usize {
        self.0.receive(burst)
    }
}
