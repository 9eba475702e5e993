//! m
use crate::signalling::Reading;
use types::SessionEvent;

pub(crate) fn fill(_body: &[u8], _event: &mut SessionEvent, _reading: &mut Reading) {}
