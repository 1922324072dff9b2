//! The cases. Each one says what it proves by its name.

pub mod commits;
pub mod conflicts;
pub mod consumers;
pub mod counters;
pub mod durability;
pub mod erasures;
pub mod events;
pub mod lists;
pub mod loads;
pub mod races;
pub mod values;
