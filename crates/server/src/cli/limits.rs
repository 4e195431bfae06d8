//! What the kernel lets this process have: open files, which are connections, and no picture of its memory on a disk.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard limit, which needs no right, and returns what holds now.
///
/// Never fails: a process that may not raise it runs with what it has. `None` means no limit.
pub fn raise_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current
}

/// Asks the kernel to write no core file when this process dies: it would hold every key and code of the moment. Only the
/// soft limit is lowered, so that an operator who needs one can allow it (`prlimit --core=unlimited --pid`).
pub fn write_no_core() {
    let limit = getrlimit(Resource::Core);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: limit.maximum });
}

/// The soft and the hard limit on open files; `None` means no limit.
pub fn files() -> (Option<u64>, Option<u64>) {
    let limit = getrlimit(Resource::Nofile);
    (limit.current, limit.maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_raising_the_soft_limit_is_the_hard_one() {
        let now = raise_files();
        assert_eq!((now, now), files());
    }

    #[test]
    fn no_core_is_written() {
        write_no_core();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }
}
