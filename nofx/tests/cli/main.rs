//! The program `nofx`, run as people run it.

#[cfg(all(feature = "fs", feature = "remote"))]
mod backends;
mod bad_input;
#[cfg(all(feature = "fs", feature = "remote"))]
mod checkout;
#[cfg(feature = "fs")]
mod damage;
mod dumps;
mod help;
#[cfg(all(feature = "fs", feature = "remote"))]
mod kills;
mod legacy;
mod life;
mod looking;
#[cfg(all(feature = "fs", feature = "remote"))]
mod pairs;
mod program;
mod reading;
mod repair;
mod retire;
#[cfg(feature = "fs")]
mod safety;
#[cfg(all(unix, feature = "fs"))]
mod signals;
mod terminal;
#[cfg(all(feature = "fs", feature = "remote"))]
mod together;
#[cfg(feature = "fs")]
mod upgrade;
