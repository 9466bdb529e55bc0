//! The program `nofx`, run as people run it.

mod bad_input;
mod dumps;
mod help;
mod legacy;
mod program;
mod terminal;
