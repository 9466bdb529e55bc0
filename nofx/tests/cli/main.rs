//! The program `nofx`, run as users run it.

/// Defines a test of each function for a store of one backend, in the folder `HERE/store`.
macro_rules! on {
    (redb: $($name:ident)*) => {
        mod on_redb {
            $(#[test] fn $name() { super::$name("redb:HERE/store/x.redb"); })*
        }
    };
    (journal: $($name:ident)*) => {
        mod on_redb_with_a_journal {
            $(#[test] fn $name() { super::$name("redb:HERE/store/with-journal.redb"); })*
        }
    };
    (fs: $($name:ident)*) => {
        #[cfg(feature = "fs")]
        mod on_fs {
            $(#[test] fn $name() { super::$name("fs:HERE/store"); })*
        }
    };
    (objects: $($name:ident)*) => {
        #[cfg(feature = "remote")]
        mod on_objects {
            $(#[test] fn $name() { super::$name("file://HERE/store"); })*
        }
    };
}

/// Defines a test of each function for a store of each backend.
macro_rules! on_each_backend {
    ($($name:ident)*) => {
        on! { redb: $($name)* }
        on! { journal: $($name)* }
        on! { fs: $($name)* }
        on! { objects: $($name)* }
    };
}

#[cfg(all(feature = "fs", feature = "remote"))]
mod backends;
mod bad_input;
#[cfg(all(feature = "fs", feature = "remote"))]
mod checkout;
#[cfg(feature = "fs")]
mod damage;
mod dumps;
mod help;
mod host;
#[cfg(all(feature = "fs", feature = "remote"))]
mod journaled;
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
mod replaced;
mod retire;
#[cfg(feature = "fs")]
mod safety;
#[cfg(all(unix, feature = "fs"))]
mod signals;
mod terminal;
#[cfg(all(feature = "fs", feature = "remote"))]
mod together;
mod torn;
#[cfg(feature = "fs")]
mod upgrade;
