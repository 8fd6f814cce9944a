//! What a process that holds keys asks of the system.

/// Keys and passwords pass through this process: no core dumps, no debugger of the same user, memory that is
/// not swapped out where the limits allow it, and new files are private whatever the caller's umask was.
pub(crate) fn harden() {
    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::stat::{Mode, umask};
    umask(Mode::from_bits_truncate(0o077));
    if setrlimit(Resource::RLIMIT_CORE, 0, 0).is_err() {
        tracing::warn!("core dumps could not be switched off");
    }
    #[cfg(target_os = "linux")]
    if nix::sys::prctl::set_dumpable(false).is_err() {
        tracing::warn!("the process can be traced by others of this user");
    }
    allow_many_files();
    match lock_memory() {
        Lock::Locked => tracing::debug!("memory is locked"),
        Lock::Limited => tracing::debug!("memory is not locked: RLIMIT_MEMLOCK is not unlimited"),
        Lock::Refused(error) => tracing::warn!(%error, "memory could not be locked"),
        #[cfg(not(target_os = "linux"))]
        Lock::Unsupported => {}
    }
}

/// A connection is an open file, and many systems allow a process 1,024 of them unless it asks: fewer than the
/// connections that the server takes, so that a thousand idle ones would shut everybody else out.
fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const ENOUGH: u64 = 16_384;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let wanted = hard.min(ENOUGH);
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
        tracing::warn!(soft, "the limit of open files could not be raised");
    }
}

/// How locking the memory went.
#[derive(Debug, PartialEq, Eq)]
enum Lock {
    Locked,
    Limited,
    Refused(nix::errno::Errno),
    #[cfg(not(target_os = "linux"))]
    Unsupported,
}

/// All of it, or nothing: under a limit a later allocation would fail, and the process with it. Password
/// hashing alone takes 64 to 128 MiB.
#[cfg(target_os = "linux")]
fn lock_memory() -> Lock {
    use nix::sys::mman::{MlockAllFlags, mlockall};
    if !memory_may_be_locked() {
        return Lock::Limited;
    }
    // Pages are locked when they are used first, not when they are mapped.
    let on_fault = MlockAllFlags::from_bits_retain(nix::libc::MCL_ONFAULT);
    match mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault) {
        Ok(()) => Lock::Locked,
        Err(error) => Lock::Refused(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn lock_memory() -> Lock {
    Lock::Unsupported
}

/// Whether a process with this one's limits may lock as much as it likes.
pub(crate) fn memory_may_be_locked() -> bool {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
        getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY)
    }
    #[cfg(not(target_os = "linux"))]
    false
}
