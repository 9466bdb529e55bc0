//! The macros that define entities, ids and words.

/// Defines a structure with a typed view of the named members of an object.
macro_rules! entity {
    (
        $(#[$doc:meta])*
        pub struct $name:ident, schema $schema:literal {
            $($(#[$field_doc:meta])* pub $field:ident: $type:ty = $member:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            object: $crate::json::Object,
        }

        /// Two are equal if they would be stored alike, even if one was changed or never stored.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                use $crate::entity::Entity as _;
                self.to_object() == other.to_object()
            }
        }

        impl $crate::entity::Entity for $name {
            const SCHEMA: u32 = $schema;
            const MEMBERS: &'static [&'static str] = &[$($member),*];

            fn from_object(object: $crate::json::Object) -> Self {
                Self { $($field: $crate::entity::Member::load(object.get($member)),)* object }
            }

            fn object(&self) -> &$crate::json::Object {
                &self.object
            }

            fn to_object(&self) -> $crate::json::Object {
                let mut object = self.object.clone();
                $($crate::entity::splice(&mut object, $member, &self.$field);)*
                object
            }
        }
    };
}

/// Defines an enumeration of known words that keeps any other word.
macro_rules! words {
    (
        $(#[$doc:meta])*
        pub enum $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$word_doc])* $word,)*
            /// A word that this version does not know, kept unchanged.
            Other($crate::json::Text),
        }

        impl $name {
            /// Returns the word as it is stored.
            pub fn as_text(&self) -> $crate::json::Text {
                match self {
                    $(Self::$word => $text.into(),)*
                    Self::Other(text) => text.clone(),
                }
            }
        }

        impl From<$crate::json::Text> for $name {
            fn from(text: $crate::json::Text) -> Self {
                match text.as_str() {
                    $(Some($text) => Self::$word,)*
                    _ => Self::Other(text),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.as_text().fmt(f)
            }
        }

        impl $crate::json::Value for $name {
            fn read(raw: &str) -> Option<Self> {
                $crate::json::Text::from_json(raw).map(Self::from)
            }

            fn write(&self) -> String {
                self.as_text().to_json()
            }
        }
    };
}
