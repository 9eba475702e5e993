//! What a client sends to the control socket, in pieces of a size that the first byte says.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, request)) = bytes.split_first() else { return };
    let answer = control::converse(request, usize::from(piece));
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."));
});
