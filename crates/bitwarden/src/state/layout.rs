//! Where each value of the data file stands in its text, and each item inside the map of items: found in one pass,
//! because reading over megabytes a second time is what a look-up of one item would mostly consist of.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::keys;
use crate::items::{Members, Text};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A value nobody has looked into.
    Value(Range<usize>),
    /// The map of items, with its members.
    Items(Range<usize>, Vec<Member>),
}

/// One member of a map: its name without the quotes, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Place {
    /// The whole value.
    pub(super) fn range(&self) -> Range<usize> {
        match self {
            Self::Value(range) | Self::Items(range, _) => range.clone(),
        }
    }
}

/// The members of the file's one object, in order. `None` when it is no JSON object.
pub(super) fn read(text: &str) -> Option<Vec<(String, Place)>> {
    // A file whose items are something odd is still a file.
    with_items(text).or_else(|| plain(text))
}

fn with_items(text: &str) -> Option<Vec<(String, Place)>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let entries = File(text).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(entries)
}

fn plain(text: &str) -> Option<Vec<(String, Place)>> {
    let members: Members<String, &RawValue> = serde_json::from_str(text).ok()?;
    Some(members.0.into_iter().map(|(key, raw)| (key, Place::Value(File(text).range(raw.get())))).collect())
}

struct File<'t>(&'t str);

impl File<'_> {
    /// Where a part of the text stands in it.
    fn range(&self, part: &str) -> Range<usize> {
        let from = part.as_ptr().addr() - self.0.as_ptr().addr();
        from..from + part.len()
    }

    /// Where the value of this member begins: behind the closing quote, a colon and blanks.
    fn value_of(&self, name: &str) -> Option<usize> {
        let behind = self.range(name).end + 1;
        let rest = self.0.get(behind..)?;
        Some(behind + rest.find(|c: char| c != ':' && !c.is_ascii_whitespace())?)
    }

    fn items(&self, name: &str, members: Option<&Members<Text<'_>, &RawValue>>) -> Option<Place> {
        let from = self.value_of(name)?;
        let Some(members) = members else { return Some(Place::Value(from..from + "null".len())) };
        let last = members.0.last().map_or(from + 1, |(_, raw)| self.range(raw.get()).end);
        let end = last + self.0.get(last..)?.find('}')? + 1;
        let member = |(id, raw): &(Text<'_>, &RawValue)| match &id.0 {
            Cow::Borrowed(id) => Some(Member { id: self.range(id), value: self.range(raw.get()) }),
            Cow::Owned(_) => None,
        };
        Some(match members.0.iter().map(member).collect() {
            Some(members) => Place::Items(from..end, members),
            None => Place::Value(from..end),
        })
    }
}

impl<'de> DeserializeSeed<'de> for File<'de> {
    type Value = Vec<(String, Place)>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for File<'de> {
    type Value = Vec<(String, Place)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let place = match &key.0 {
                Cow::Borrowed(name) if name.ends_with(keys::CIPHERS) => {
                    let members: Option<Members<Text<'de>, &'de RawValue>> = map.next_value()?;
                    self.items(name, members.as_ref()).ok_or_else(|| A::Error::custom("no map"))?
                }
                _ => Place::Value(self.range(map.next_value::<&'de RawValue>()?.get())),
            };
            entries.push((key.0.into_owned(), place));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a-z\"\\\\{}:, \u{e4}\n]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\}]{0,4}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever the file holds, in whatever layout, the one pass finds the same as a reader that looks at nothing.
        #[test]
        fn one_pass_finds_what_two_would(before in any_value(), items in any_value(), after in any_value(), pretty: bool) {
            let all = json!({"a": before, "user_1_ciphers_ciphers": items, "z\n": after, "user_2_ciphers_ciphers": {}});
            let text = if pretty { serde_json::to_string_pretty(&all) } else { serde_json::to_string(&all) }.unwrap();
            let found = read(&text).unwrap();
            let expected = plain(&text).unwrap();
            prop_assert_eq!(found.len(), expected.len());
            for ((key, place), (expected_key, expected)) in found.iter().zip(&expected) {
                prop_assert_eq!(key, expected_key);
                prop_assert_eq!(place.range(), expected.range());
                if let Place::Items(range, members) = place {
                    let plain: Members<String, &RawValue> = serde_json::from_str(&text[range.clone()]).unwrap();
                    let members: Vec<_> =
                        members.iter().map(|m| (text[m.id.clone()].to_owned(), &text[m.value.clone()])).collect();
                    let plain: Vec<_> = plain.0.iter().map(|(k, v)| (k.clone(), v.get())).collect();
                    prop_assert_eq!(members, plain);
                }
            }
        }

        #[test]
        fn what_is_no_object_is_none(text in "[\\[\\]{}\":,a1 ]{0,12}") {
            prop_assert_eq!(read(&text).is_some(), serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok());
        }
    }

    #[test]
    fn the_usual_file_has_its_items_found() {
        let text = "{\n  \"user_1_ciphers_ciphers\": {\n    \"i\": {\"id\": \"i\"}\n  } ,\n  \"x\": 1}";
        let found = read(text).unwrap();
        let Place::Items(range, members) = &found[0].1 else { panic!("{found:?}") };
        assert_eq!(&text[range.clone()], "{\n    \"i\": {\"id\": \"i\"}\n  }");
        assert_eq!((&text[members[0].id.clone()], &text[members[0].value.clone()]), ("i", "{\"id\": \"i\"}"));
    }
}
