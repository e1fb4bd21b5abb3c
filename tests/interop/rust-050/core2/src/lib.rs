//! Stands in for the crate of this name, whose every version has been withdrawn from the registry
//! and which multihash 0.16 asks for. With `std` that crate is only these two names.
pub use std::{error, io};
