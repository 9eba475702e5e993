//! Numbers in network byte order, and the one way to take a fixed header off a slice.

use bytemuck::{Pod, Zeroable};

macro_rules! big_endian {
    ($(#[$doc:meta])* $name:ident([u8; $len:literal]) -> $number:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Pod, Zeroable)]
        #[repr(transparent)]
        pub(crate) struct $name([u8; $len]);

        impl $name {
            #[inline(always)]
            pub(crate) const fn get(self) -> $number {
                <$number>::from_be_bytes(self.0)
            }
        }
    };
}

big_endian!(Be16([u8; 2]) -> u16);
big_endian!(Be32([u8; 4]) -> u32);
big_endian!(Be64([u8; 8]) -> u64);
big_endian!(Be128([u8; 16]) -> u128);

/// A number of three bytes, as in PFCP and GTPv2-C sequence numbers.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Be24([u8; 3]);

impl Be24 {
    #[inline(always)]
    pub(crate) const fn get(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c])
    }
}

/// Takes a header of fixed size off the front; `None` where the data ends inside it.
#[inline(always)]
pub(crate) fn split_header<T: Pod>(bytes: &[u8]) -> Option<(&T, &[u8])> {
    const { assert!(align_of::<T>() == 1, "headers stand at any address") };
    let (head, rest) = bytes.split_at_checked(size_of::<T>())?;
    Some((bytemuck::try_from_bytes(head).ok()?, rest))
}

/// The first `limit` bytes, or all where there are fewer.
#[inline(always)]
pub(crate) fn at_most(bytes: &[u8], limit: usize) -> &[u8] {
    bytes.get(..limit).unwrap_or(bytes)
}
