//! Finds what could be written but not read back.
//!
//! `serde_json` writes an infinity or a not-a-number as `null`, which reads back as another value or
//! not at all. It writes what is nested to any depth, and refuses to read it; postcard reads it, and
//! the thread's stack ends before the value does. This serializer writes nothing; it fails at the first
//! such place.

use std::fmt;

use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// What `serde_json` reads at most.
const LEVELS: u8 = 127;

/// Fails if `value` is nested too deep or, with `finite`, holds a number that is not.
pub(crate) fn check<T: Serialize + ?Sized>(value: &T, finite: bool) -> Result<(), Unreadable> {
    let left = LEVELS;
    value.serialize(Check { left, finite })
}

#[derive(Debug)]
pub(crate) enum Unreadable {
    NotFinite,
    Deep,
    Custom(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite => f.write_str("JSON has no infinity and no not-a-number"),
            Self::Deep => write!(f, "nested deeper than {LEVELS} levels"),
            Self::Custom(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Unreadable {}

impl ser::Error for Unreadable {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// At some place of a value.
#[derive(Clone, Copy)]
struct Check {
    /// How many levels more there may be.
    left: u8,
    finite: bool,
}

impl Check {
    fn deeper(self, levels: u8) -> Result<Self, Unreadable> {
        let left = self.left.checked_sub(levels).ok_or(Unreadable::Deep)?;
        Ok(Self { left, ..self })
    }

    fn number(self, is_finite: bool) -> Checked {
        if is_finite || !self.finite {
            Ok(())
        } else {
            Err(Unreadable::NotFinite)
        }
    }
}

type Checked = Result<(), Unreadable>;

macro_rules! fine {
    ($($name:ident($($ty:ty),*);)*) => {
        $(fn $name(self, $(_: $ty),*) -> Checked { Ok(()) })*
    };
}

impl Serializer for Check {
    type Ok = ();
    type Error = Unreadable;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fine! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, number: f32) -> Checked {
        self.number(number.is_finite())
    }

    fn serialize_f64(self, number: f64) -> Checked {
        self.number(number.is_finite())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Checked {
        value.serialize(self.deeper(1)?)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self.deeper(1)?)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Unreadable> {
        self.deeper(1)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Unreadable> {
        self.deeper(1)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Unreadable> {
        self.deeper(1)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unreadable> {
        self.deeper(2)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Unreadable> {
        self.deeper(1)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unreadable> {
        self.deeper(1)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unreadable> {
        self.deeper(2)
    }
}

macro_rules! compound {
    ($($trait:ident::$method:ident($($name:ident: $key:ty)?);)*) => {
        $(impl $trait for Check {
            type Ok = ();
            type Error = Unreadable;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: $key,)? value: &T) -> Checked {
                value.serialize(*self)
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

compound! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(_name: &'static str);
    SerializeStructVariant::serialize_field(_name: &'static str);
}

impl SerializeMap for Check {
    type Ok = ();
    type Error = Unreadable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Checked {
        key.serialize(*self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        value.serialize(*self)
    }

    fn end(self) -> Checked {
        Ok(())
    }
}
