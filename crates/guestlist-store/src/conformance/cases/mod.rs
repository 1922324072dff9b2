//! The cases. Each one says what it proves by its name.

mod loads;

pub use loads::*;
