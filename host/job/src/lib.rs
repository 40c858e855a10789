//! Job files: HCL2 or JSON in, one complete [`Job`](model::Job) out, with errors that point into the file.

pub mod model;
