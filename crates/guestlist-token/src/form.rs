//! What is written of a value: text where people read it, and a compact form elsewhere.

use core::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<C: Serialize, S: Serializer>(
    text: &impl fmt::Display,
    compact: &C,
    to: S,
) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() {
        to.collect_str(text)
    } else {
        compact.serialize(to)
    }
}

/// Reads what [`serialize`] wrote: text by `visitor`, the compact form by `value`, which gives
/// nothing for what no value is written as.
pub(crate) fn deserialize<'de, V: Visitor<'de>, C: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
    visitor: V,
    value: impl FnOnce(C) -> Option<V::Value>,
) -> Result<V::Value, D::Error> {
    if from.is_human_readable() {
        from.deserialize_str(visitor)
    } else {
        value(C::deserialize(from)?).ok_or_else(|| D::Error::custom("nothing is written as this"))
    }
}
