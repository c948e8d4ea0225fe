//! What the commands have in common that leave a server behind: the way into the background, what
//! it waits for, and where it speaks.

mod background;
mod events;
mod log;

pub(super) use self::background::{report, settle, start};
pub(super) use self::events::{Event, Events};
pub(super) use self::log::ServerLog;
