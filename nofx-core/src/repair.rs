//! What a repair of a store did, and what it left alone. Plain data, for every backend that can be repaired in
//! place.

/// What a repair did, and what it could do only at the cost of data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was done, in order. Nothing unreadable was overwritten or removed.
    pub repairs: Vec<Repair>,
    /// What was left alone, because repairing it would lose more. Empty if the repair was allowed to lose it.
    pub losses: Vec<Loss>,
}

/// One thing that a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// What was repaired: a file of the store, an object, a record.
    pub thing: String,
    /// What was wrong with it, and what was done about it.
    pub what: String,
    /// Where it, or the unreadable part of it, is kept now.
    pub aside: Option<String>,
}

/// Something that a repair would give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What is affected: a file of the store, an object, a record.
    pub thing: String,
    /// What is wrong with it, and what would be lost.
    pub what: String,
}
