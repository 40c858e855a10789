//! The allocator of drivers.
//!
//! It is the standard library's, a version later: it uses the memory between the driver's own data and the end of what
//! it was given before it asks for more. An instance lives for one operation, and a memory that grows costs the host
//! two system calls each time. The linker's `--initial-heap` says how much is given.

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
