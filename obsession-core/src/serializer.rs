//! Values as bytes.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::Error;
use crate::error::Source;
use crate::readable;
use crate::scratch;

/// How values are written.
///
/// A value that could not be read back is refused when it is set, as an
/// [`Error::Encode`](crate::Error::Encode): one that is nested deeper than 127 levels (of sequences,
/// maps, structs, enums and `Some`) is in both. To find that out, a value is walked over once before it
/// is written.
///
/// It is a choice per manager and may change at any time: every stored value names its format, so
/// values of either kind are read whatever is chosen, and nobody is logged out by a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Serializer {
    /// JSON: readable in the database, for values of every shape. Numbers that JSON does not have
    /// (infinities, not-a-number) are refused instead of becoming `null`.
    #[default]
    Json,
    /// postcard: compact and fast. Values must say their own type, so `serde_json::Value` and
    /// untagged enums can be written but not read.
    Postcard,
}

impl Serializer {
    pub(crate) fn encode<T: Serialize + ?Sized>(
        self,
        name: &str,
        value: &T,
    ) -> Result<Value, Error> {
        let bytes = readable::check(value, self == Self::Json)
            .map_err(Into::into)
            .and_then(|()| self.write(value));
        let bytes = bytes.map_err(|source| Error::Encode {
            name: name.into(),
            source,
        })?;
        Ok(Value::new(self, bytes))
    }

    fn write<T: Serialize + ?Sized>(self, value: &T) -> Result<Arc<[u8]>, Source> {
        let mut bytes = scratch::take(0);
        let bytes = match self {
            Self::Json => {
                serde_json::to_writer(&mut bytes, value)?;
                bytes
            }
            Self::Postcard => postcard::to_extend(value, bytes)?,
        };
        let shared = Arc::from(&bytes[..]);
        scratch::give_back(bytes);
        Ok(shared)
    }
}

/// One encoded value: a part of shared bytes, so that cloning one costs no copy.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    format: Serializer,
    whole: Arc<[u8]>,
    range: Range<usize>,
}

/// The same, borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) format: Serializer,
    pub(crate) bytes: &'a [u8],
}

impl Value {
    pub(crate) fn raw(&self) -> Raw<'_> {
        let (format, bytes) = (self.format, self.bytes());
        Raw { format, bytes }
    }

    fn new(format: Serializer, whole: Arc<[u8]>) -> Self {
        Self {
            format,
            range: 0..whole.len(),
            whole,
        }
    }

    pub(crate) fn part(format: Serializer, whole: &Arc<[u8]>, range: Range<usize>) -> Self {
        Self {
            format,
            whole: Arc::clone(whole),
            range,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.whole.get(self.range.clone()).unwrap_or_default()
    }

    pub(crate) fn decode<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        match self.format {
            Serializer::Json => serde_json::from_slice(self.bytes())
                .map_err(|error| JsonMismatch::from(&error).into()),
            Serializer::Postcard => match postcard::take_from_bytes(self.bytes()) {
                Ok((value, [])) => Ok(value),
                Ok(_) => Err("bytes are left over".into()),
                Err(error) => Err(error.into()),
            },
        }
        .map_err(|source| Error::Decode {
            name: name.into(),
            source,
        })
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

/// Why stored JSON is not of the type that was asked for, without the value, which `serde_json`'s
/// own message shows.
#[derive(Debug)]
struct JsonMismatch {
    category: Category,
    line: usize,
    column: usize,
}

impl From<&serde_json::Error> for JsonMismatch {
    fn from(error: &serde_json::Error) -> Self {
        Self {
            category: error.classify(),
            line: error.line(),
            column: error.column(),
        }
    }
}

impl fmt::Display for JsonMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.category {
            Category::Data => "JSON of another shape",
            Category::Eof => "JSON that ends early",
            Category::Syntax | Category::Io => "no JSON",
        };
        write!(f, "{what}, at line {} column {}", self.line, self.column)
    }
}

impl std::error::Error for JsonMismatch {}
