//! `stagedoor`: arguments, and off.

use std::process::ExitCode;

// Thousands of viewers are thousands of small allocations that come and go; the system's allocator keeps what they
// leave. Without huge pages (`no_thp`): one allocation that stays would keep two mebibytes, and half of the memory was
// such leftovers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    stagedoor_server::cli::main()
}
