//! What GTPv1-C messages say of sessions. TS 29.060.

use crate::{gtpc::Gtpc, signalling::Reading};
use types::SessionEvent;

pub(crate) fn fill(_gtp: &Gtpc<'_>, _event: &mut SessionEvent, _reading: &mut Reading) {}
