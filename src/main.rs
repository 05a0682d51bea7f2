//! The thin binary: an allocator, and the command line of the library.

use std::process::ExitCode;

/// A proxy's many short-lived buffers are where the system's allocator spends its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mainstay::cmd::main()
}
