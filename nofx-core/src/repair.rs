//! What a repair of a store did, and what it left. Plain data, for every backend that can be repaired in place.

/// What a repair did, and what it could only do by giving something up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was done, in order. Nothing that cannot be read was overwritten or removed.
    pub repairs: Vec<Repair>,
    /// What was left as it is, because more would be lost. Empty if the repair was told to give it up.
    pub losses: Vec<Loss>,
}

/// Something that a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The thing: a file of the store, an object, a record.
    pub thing: String,
    /// What was wrong with it, and what was done about it.
    pub what: String,
    /// Where it, or what could not be read of it, is kept now.
    pub aside: Option<String>,
}

/// Something that a repair would give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The thing: a file of the store, an object, a record.
    pub thing: String,
    /// What is wrong with it, and what would be lost.
    pub what: String,
}
