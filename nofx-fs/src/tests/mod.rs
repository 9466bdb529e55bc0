//! Tests that look below the backend: power cuts, failing disks, damage.

mod closing;
mod copies;
mod cost;
mod crash;
mod damage;
mod derived;
mod failing;
mod foreign_file;
#[cfg(unix)]
mod kept_back;
mod listing;
mod lost;
mod lying;
#[cfg(unix)]
mod proven;
mod reading;
mod repair;
mod sealed;
