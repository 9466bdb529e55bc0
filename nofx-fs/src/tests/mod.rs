//! Tests that look below the backend: power cuts, failing disks, damage.

mod cost;
mod crash;
mod damage;
mod listing;
mod lying;
mod repair;
mod sim;
