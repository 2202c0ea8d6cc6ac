//! Objects are objects, and name each member once: what serde leaves open, closed for every type.
//!
//! Always: a struct is never read from an array, as serde's derived code would, and a plain variant never from an object; a
//! member that may be absent is left out and never null; the keys of a map, or of JSON that is read as any value, do not
//! repeat (a struct's own code sees to its members). Borrowed text stays borrowed. Each piece hands the
//! pieces inside it on in the same wrapping. Absent: maps whose keys are not strings.

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error, Expected, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
        value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer, StringDeserializer},
    },
};
use std::{borrow::Cow, collections::BTreeSet, fmt};

/// A strict version of whatever piece of serde's machinery it wraps.
pub(super) struct Strict<T>(pub(super) T);

/// What the type asked for.
#[derive(Clone, Copy)]
enum Shape {
    /// A struct: no array will do.
    Object,
    /// A map, or any value: its keys are watched here.
    Map,
    /// Something else.
    Other,
}

struct StrictVisitor<V> {
    visitor: V,
    shape: Shape,
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*) as $shape:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self $(, $argument: $type)*, visitor: V) -> Result<V::Value, Self::Error> {
            self.0.$method($($argument,)* StrictVisitor { visitor, shape: Shape::$shape })
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    forward! {
        deserialize_any() as Map;
        deserialize_bool() as Other;
        deserialize_i8() as Other;
        deserialize_i16() as Other;
        deserialize_i32() as Other;
        deserialize_i64() as Other;
        deserialize_i128() as Other;
        deserialize_u8() as Other;
        deserialize_u16() as Other;
        deserialize_u32() as Other;
        deserialize_u64() as Other;
        deserialize_u128() as Other;
        deserialize_f32() as Other;
        deserialize_f64() as Other;
        deserialize_char() as Other;
        deserialize_str() as Other;
        deserialize_string() as Other;
        deserialize_bytes() as Other;
        deserialize_byte_buf() as Other;
        deserialize_unit() as Other;
        deserialize_unit_struct(name: &'static str) as Other;
        deserialize_newtype_struct(name: &'static str) as Other;
        deserialize_seq() as Other;
        deserialize_tuple(length: usize) as Other;
        deserialize_tuple_struct(name: &'static str, length: usize) as Other;
        deserialize_map() as Map;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) as Object;
        deserialize_identifier() as Other;
        deserialize_ignored_any() as Other;
    }

    /// Null is not another way to leave a member out.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_any(EnumVisitor(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// Reads a variant without content from its name, and one with content from an object.
struct EnumVisitor<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for EnumVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<V::Value, E> {
        self.0.visit_enum(StrDeserializer::new(name))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Strict(MapAccessDeserializer::new(Strict(access))))
    }
}

macro_rules! visit {
    ($($method:ident($type:ty);)*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for StrictVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Strict(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Strict(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        match self.shape {
            Shape::Object => Err(A::Error::invalid_type(Unexpected::Seq, &self as &dyn Expected)),
            Shape::Map | Shape::Other => self.visitor.visit_seq(Strict(access)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        match self.shape {
            Shape::Map => self.visitor.visit_map(DistinctKeys { access, seen: BTreeSet::new() }),
            Shape::Object | Shape::Other => self.visitor.visit_map(Strict(access)),
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Strict(access))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Strict<A> {
    type Error = A::Error;
    type Variant = Strict<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        self.0.variant_seed(seed).map(|(value, variant)| (value, Strict(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Strict<A> {
    type Error = A::Error;

    /// Only met in an object, where a variant without content does not belong.
    fn unit_variant(self) -> Result<(), A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &"the name of a variant"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Strict(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(length, StrictVisitor { visitor, shape: Shape::Other })
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, StrictVisitor { visitor, shape: Shape::Object })
    }
}

/// Reads a map's keys as text first and compares each with those before it.
struct DistinctKeys<'de, A> {
    access: A,
    seen: BTreeSet<Cow<'de, str>>,
}

/// A key, borrowed where the text has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for DistinctKeys<'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Some(Key(key)) = self.access.next_key()? else { return Ok(None) };
        if !self.seen.insert(key.clone()) {
            return Err(A::Error::duplicate_field(""));
        }
        match key {
            Cow::Borrowed(text) => seed.deserialize(BorrowedStrDeserializer::new(text)),
            Cow::Owned(text) => seed.deserialize(StringDeserializer::new(text)),
        }
        .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.access.next_value_seed(Strict(seed))
    }
}

#[cfg(test)]
mod tests {
    use crate::envelope::strict_json::{JsonFault, from_str};
    use serde::Deserialize;
    use serde_json::{Value, value::RawValue};
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: u8,
        y: u8,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase", deny_unknown_fields)]
    enum Figure {
        Dot(Point),
        Line { from: Point, to: Point },
        Pair(u8, u8),
        Nothing,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
    enum Tagged {
        Dot { at: Point },
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Borrowing<'a> {
        text: &'a str,
        #[serde(borrow)]
        raw: &'a RawValue,
    }

    fn fault<'a, T: Deserialize<'a>>(text: &'a str) -> Option<JsonFault> {
        from_str::<T>(text).err().map(|error| error.fault)
    }

    #[test]
    fn a_struct_is_never_an_array() {
        assert_eq!(from_str(r#"{"x":1,"y":2}"#), Ok(Point { x: 1, y: 2 }));
        assert_eq!(fault::<Point>("[1,2]"), Some(JsonFault::InvalidValue));
        assert_eq!(fault::<Vec<Point>>(r#"[{"x":1,"y":2},[1,2]]"#), Some(JsonFault::InvalidValue));
        assert_eq!(fault::<Option<Point>>("[1,2]"), Some(JsonFault::InvalidValue));
        assert_eq!(fault::<BTreeMap<String, Point>>(r#"{"a":[1,2]}"#), Some(JsonFault::InvalidValue));
        assert_eq!(fault::<Box<(u8, Point)>>("[0,[1,2]]"), Some(JsonFault::InvalidValue));
        assert_eq!(fault::<Figure>(r#"{"dot":[1,2]}"#), Some(JsonFault::InvalidValue));
        assert_eq!(fault::<Figure>(r#"{"line":[{"x":1,"y":2},{"x":1,"y":2}]}"#), Some(JsonFault::InvalidValue));
        assert_eq!(fault::<Figure>(r#"{"line":{"from":[1,2],"to":{"x":1,"y":2}}}"#), Some(JsonFault::InvalidValue));
    }

    #[test]
    fn a_plain_variant_is_its_name_and_an_absent_member_is_left_out() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Holder {
            figure: Option<Figure>,
        }
        assert_eq!(from_str(r#"{"figure":"nothing"}"#), Ok(Holder { figure: Some(Figure::Nothing) }));
        assert_eq!(from_str("{}"), Ok(Holder { figure: None }));
        let invalid = Some(JsonFault::InvalidValue);
        for text in [r#""dot""#, r#"{"nothing":null}"#, r#""Nothing""#, r#"{"dot":null}"#, "{}", r#"["nothing"]"#, "null", "1"] {
            assert_eq!(fault::<Figure>(text), invalid, "{text}");
            assert_eq!(fault::<Holder>(&format!(r#"{{"figure":{text}}}"#)), invalid, "{text}");
        }
        assert_eq!(fault::<Figure>(r#"{"dot":{"x":1,"y":2},"pair":[1,2]}"#), Some(JsonFault::Malformed));
    }

    #[test]
    fn all_else_is_read_as_before() {
        let point = || Point { x: 1, y: 2 };
        assert_eq!(from_str(r#"{"line":{"from":{"x":1,"y":2},"to":{"y":2,"x":1}}}"#), Ok(Figure::Line { from: point(), to: point() }));
        assert_eq!(
            from_str(r#"[{"dot":{"x":1,"y":2}},{"pair":[1,2]},"nothing"]"#),
            Ok([Figure::Dot(point()), Figure::Pair(1, 2), Figure::Nothing])
        );
        assert_eq!(
            from_str::<(Option<f64>, bool, char, (), String)>(r#"[-1.5,true,"字",null,"\n"]"#),
            Ok((Some(-1.5), true, '字', (), "\n".to_owned()))
        );
        assert!(matches!(from_str(r#"{"at":{"x":1,"y":2},"kind":"dot"}"#), Ok(Tagged::Dot { at: Point { x: 1, y: 2 } })));
        let borrowing: Borrowing<'_> = from_str(r#"{"text":"a","raw": {"b" :1,"b":2} }"#).unwrap();
        assert_eq!((borrowing.text, borrowing.raw.get()), ("a", r#"{"b" :1,"b":2}"#));
        assert_eq!(from_str::<Value>(r#"{"a":[{"b":1},{"b":1}]}"#).unwrap()["a"][1]["b"], 1);
    }

    #[test]
    fn keys_of_maps_and_of_any_value_do_not_repeat() {
        assert_eq!(from_str::<BTreeMap<String, u8>>(r#"{"a":1,"b":2}"#).map(|map| map.len()), Ok(2));
        let repeated = Some(JsonFault::RepeatedMember);
        assert_eq!(fault::<BTreeMap<String, u8>>(r#"{"a":1,"b":2,"a":1}"#), repeated);
        assert_eq!(fault::<BTreeMap<String, u8>>(r#"{"a":1,"\u0061":1}"#), repeated);
        assert_eq!(fault::<Value>(r#"{"a":[{"b":1,"b":1}]}"#), repeated);
        assert_eq!(fault::<serde::de::IgnoredAny>(r#"{"a":1}"#), None);
        assert_eq!(fault::<Tagged>(r#"{"at":{"x":1,"y":2,"y":2},"kind":"dot"}"#), repeated);
        assert_eq!(fault::<Tagged>(r#"{"kind":"dot","at":{"x":1,"y":2},"kind":"dot"}"#), repeated);
        assert_eq!(fault::<Option<Point>>(r#"{"x":1,"y":2,"x":1}"#), repeated);
    }
}
