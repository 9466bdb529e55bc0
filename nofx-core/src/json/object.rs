//! An object as a list of its members, each kept as written.

use super::text::is_named;
use super::{SyntaxError, Text, members, quote, wrong};

/// A JSON object whose members are replaced one by one; all others keep their bytes, order and duplicates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    // Name literal and compact value, as written.
    members: Vec<(Box<str>, Box<str>)>,
}

impl Object {
    /// Parses an object.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut found = members(text);
        let mut parsed = Vec::new();
        let mut compact = String::new();
        while let Some(member) = found.next_shown(|token| compact.push_str(token)) {
            let (name, _) = member?;
            // After the name and the colon.
            let value = compact.get(name.len() + 1..).unwrap_or_default();
            parsed.push((name.into(), value.into()));
            compact.clear();
        }
        let end = found.end().unwrap_or_default();
        match text.get(end..).map(str::trim_ascii) {
            Some("") => Ok(Self { members: parsed }),
            _ => wrong(end, "unexpected text after the value"),
        }
    }

    /// Returns the value of a member as written; of several with the same name the last, as in JavaScript.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.members.iter().rfind(|(literal, _)| is_named(literal, name)).map(|(_, value)| &**value)
    }

    /// Returns a member as a `T`, or `None` if it is missing or is something else.
    pub fn read<T: Value>(&self, name: &str) -> Option<T> {
        T::read(self.get(name)?)
    }

    /// Replaces the value that [`get`](Self::get) returns, or adds the member at the end.
    ///
    /// `value` must be compact JSON.
    pub fn set(&mut self, name: &str, value: impl Into<Box<str>>) {
        match self.members.iter_mut().rfind(|(literal, _)| is_named(literal, name)) {
            Some((_, old)) => *old = value.into(),
            None => self.members.push((quote(name).into(), value.into())),
        }
    }

    /// Adds a member at the end, even if there is one with that name.
    pub fn push(&mut self, name: &Text, value: impl Into<Box<str>>) {
        self.members.push((name.to_json().into(), value.into()));
    }

    /// Removes every member with that name and returns the last one's value.
    pub fn remove(&mut self, name: &str) -> Option<Box<str>> {
        let mut removed = None;
        self.members.retain_mut(|(literal, value)| {
            let keep = !is_named(literal, name);
            if !keep {
                removed = Some(std::mem::take(value));
            }
            keep
        });
        removed
    }

    /// Returns the name and value of each member, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Text, &str)> {
        self.members.iter().map(|(literal, value)| (Text::from_json(literal).unwrap_or_default(), &**value))
    }

    /// Returns how many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Writes the compact form.
    pub fn to_json(&self) -> String {
        let size: usize = self.members.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut json = String::with_capacity(size + 2);
        json.push('{');
        for (at, (name, value)) in self.members.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            json.push_str(name);
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
        json
    }
}

/// A type that can be read from one JSON value.
pub trait Value: Sized {
    /// Parses compact JSON; `None` if it is something else.
    fn read(raw: &str) -> Option<Self>;
    /// Writes compact JSON.
    fn write(&self) -> String;
}

impl Value for bool {
    fn read(raw: &str) -> Option<Self> {
        raw.parse().ok()
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

macro_rules! integer {
    ($($type:ty)*) => {$(
        /// Reads only numbers written as plain integers in range; others stay text.
        impl Value for $type {
            fn read(raw: &str) -> Option<Self> {
                // `+1` is not JSON, but Rust would parse it; a member is already known to be JSON.
                raw.parse().ok()
            }

            fn write(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

integer!(u32 u64 i64);

/// A string that is a time.
impl Value for crate::Timestamp {
    fn read(raw: &str) -> Option<Self> {
        Self::parse(Text::from_json(raw)?.as_str()?)
    }

    fn write(&self) -> String {
        quote(&self.to_string())
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(raw: &str) -> Option<Self> {
        super::items(raw).map(|item| T::read(item.ok()?)).collect()
    }

    fn write(&self) -> String {
        let items: Vec<String> = self.iter().map(Value::write).collect();
        format!("[{}]", items.join(","))
    }
}

impl Value for Object {
    fn read(raw: &str) -> Option<Self> {
        Self::parse(raw).ok()
    }

    fn write(&self) -> String {
        self.to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = r#"{"a":1.10,"x":1,"\u0061b":1e400,"x":[2],"s":"\ud83d","__proto__":{},"":null}"#;

    #[test]
    fn an_untouched_object_is_written_byte_for_byte() {
        assert_eq!(Object::parse(ODD).unwrap().to_json(), ODD);
    }

    #[test]
    fn setting_a_member_changes_only_the_one_that_is_read() {
        let mut object = Object::parse(ODD).unwrap();
        assert_eq!(object.get("x"), Some("[2]"));
        assert_eq!(object.get("ab"), Some("1e400"));
        object.set("x", "3");
        object.set("new", "true");
        assert_eq!(object.to_json(), ODD.replace("[2]", "3").replace("null}", "null,\"new\":true}"));
    }

    #[test]
    fn removing_takes_all_of_a_name() {
        let mut object = Object::parse(ODD).unwrap();
        assert_eq!(object.remove("x").as_deref(), Some("[2]"));
        assert_eq!(object.get("x"), None);
        assert_eq!(object.remove("x"), None);
    }

    #[test]
    fn values_that_do_not_fit_are_none() {
        let object = Object::parse(r#"{"n":1.0,"big":18446744073709551616,"t":"2025-01-01T00:00:00.000Z"}"#).unwrap();
        assert_eq!(object.read::<u64>("n"), None);
        assert_eq!(object.read::<u64>("big"), None);
        assert_eq!(object.read::<crate::Timestamp>("t").unwrap().as_millis(), 1_735_689_600_000);
        assert_eq!(object.read::<Text>("t").unwrap(), "2025-01-01T00:00:00.000Z");
    }
}
