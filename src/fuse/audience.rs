//! Who may see files that are mounted.

/// Who may see the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The user who mounts them sees them all, as that user can read the image; others see none.
    Owner,
    /// All users, each of them what the modes and ACLs of the files allow. Only root may ask for
    /// it.
    Everybody,
}

impl Audience {
    /// Whom this process can give the files to.
    #[must_use]
    pub fn of_this_process() -> Self {
        match nix::unistd::geteuid().is_root() {
            true => Self::Everybody,
            false => Self::Owner,
        }
    }
}
