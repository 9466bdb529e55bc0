//! Tests that look below the backend: power cuts, failing disks, damage.

mod closing;
mod copies;
mod cost;
mod crash;
mod damage;
mod derived;
mod failing;
mod listing;
mod lost;
mod lying;
mod repair;
mod sim;
