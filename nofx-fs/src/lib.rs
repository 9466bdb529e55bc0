//! Empty until its own work begins.
