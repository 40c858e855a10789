//! The agent on a machine in memory: whole lives of jobs, crashes at every step, drivers that break.

mod added_ports;
mod crashes;
mod driver;
mod faults;
mod lives;
mod networks;
mod spares;
mod updates;
mod world;
