//! A cursor over the bytes of one line of JSON. Strict: what it accepts, RFC 8259 accepts.

/// Why a line cannot be taken as it is. The reason for people is found afterwards, off the fast path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It is not JSON, or a value does not fit its column, or names an unknown column.
    Unfit,
    /// A name stands twice in one object.
    Repeated(String),
}

/// A number as written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number<'a> {
    /// Its text.
    pub(crate) token: &'a [u8],
    /// Its value, if it is written without fraction and exponent and fits.
    pub(crate) integer: Option<i64>,
}

pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn advance(&mut self, by: usize) {
        self.at += by;
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips the white space that JSON knows.
    #[inline]
    pub(crate) fn skip_space(&mut self) {
        if self.peek().is_some_and(|byte| byte > b' ') {
            return;
        }
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Misfit> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(Misfit::Unfit)
    }

    #[inline]
    pub(crate) fn literal(&mut self, text: &[u8]) -> Result<(), Misfit> {
        if self.rest().starts_with(text) {
            self.at += text.len();
            return Ok(());
        }
        Err(Misfit::Unfit)
    }

    /// A number token; its value where it is a whole number of 64 bits.
    pub(crate) fn number(&mut self) -> Result<Number<'a>, Misfit> {
        let rest = self.rest();
        let negative = rest.first() == Some(&b'-');
        let start = usize::from(negative);
        let (mut value, mut end, mut whole) = (0_u64, start, true);
        while let Some(digit @ b'0'..=b'9') = rest.get(end).copied() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            end += 1;
        }
        if end == start || (end > start + 1 && rest[start] == b'0') {
            return Err(Misfit::Unfit);
        }
        if rest.get(end) == Some(&b'.') {
            whole = false;
            end = digits(rest, end + 1)?;
        }
        if let Some(b'e' | b'E') = rest.get(end) {
            whole = false;
            let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            end = digits(rest, end + 1 + sign)?;
        }
        self.at += end;
        let token = &rest[..end];
        let integer = match end - start {
            _ if !whole => None,
            // 18 digits cannot have overflowed.
            0..=18 => i64::try_from(value).ok().map(|value| if negative { -value } else { value }),
            _ => std::str::from_utf8(token).ok().and_then(|text| text.parse().ok()),
        };
        Ok(Number { token, integer })
    }

    /// A string; its unescaped bytes are appended to `out`. Whether they are UTF-8 is not checked here.
    pub(crate) fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), Misfit> {
        self.expect(b'"')?;
        loop {
            self.at += copy_plain(self.rest(), out);
            let stop = self.peek();
            self.at += 1;
            match stop {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape_into(out)?,
                // A control character, or the end of the line.
                _ => return Err(Misfit::Unfit),
            }
        }
    }

    fn escape_into(&mut self, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let kind = self.peek().ok_or(Misfit::Unfit)?;
        self.at += 1;
        let byte = match kind {
            b'"' | b'\\' | b'/' => kind,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let letter = self.code_point()?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(Misfit::Unfit),
        };
        out.push(byte);
        Ok(())
    }

    fn code_point(&mut self) -> Result<char, Misfit> {
        let first = self.hex4()?;
        let code = match first {
            0xd800..=0xdbff => {
                self.literal(b"\\u")?;
                let second = self.hex4()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(Misfit::Unfit);
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            other => other,
        };
        char::from_u32(code).ok_or(Misfit::Unfit)
    }

    fn hex4(&mut self) -> Result<u32, Misfit> {
        let digits = self.rest().get(..4).ok_or(Misfit::Unfit)?;
        self.at += 4;
        digits.iter().try_fold(0, |value, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Misfit::Unfit)?;
            Ok(value * 16 + digit)
        })
    }
}

/// The end of at least one digit from `start`.
fn digits(text: &[u8], start: usize) -> Result<usize, Misfit> {
    let count = text.get(start..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { Err(Misfit::Unfit) } else { Ok(start + count) }
}

/// Copies the bytes before the first quote, backslash or control character; gives their number. Eight bytes
/// at a time, copied while they are looked at: this is where most of the bytes of an event go.
fn copy_plain(text: &[u8], out: &mut Vec<u8>) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = text.as_chunks::<8>();
    for (at, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let zero = |value: u64| value.wrapping_sub(ONES) & !value & HIGH;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        // A borrow can only mark bytes above a real hit, so the lowest mark is always a real one.
        let marks = quote | backslash | control;
        out.extend_from_slice(bytes);
        if marks != 0 {
            let plain = marks.trailing_zeros() as usize / 8;
            out.truncate(out.len() - (8 - plain));
            return at * 8 + plain;
        }
    }
    let stop = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
    let plain = rest.iter().position(stop).unwrap_or(rest.len());
    out.extend_from_slice(&rest[..plain]);
    text.len() - rest.len() + plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str) -> Result<String, Misfit> {
        let mut out = Vec::new();
        Cursor::new(text.as_bytes()).string_into(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_lone_surrogate_is_refused() {
        assert_eq!(string(r#""\ud83d\ude00""#), Ok("😀".to_owned()));
        assert_eq!(string(r#""\ud83d""#), Err(Misfit::Unfit));
        assert_eq!(string(r#""\ude00""#), Err(Misfit::Unfit));
    }

    #[test]
    fn the_integers_at_the_ends_of_64_bits_are_whole() {
        let integer = |text: &str| Cursor::new(text.as_bytes()).number().unwrap().integer;
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(integer("9223372036854775808"), None);
        assert_eq!(integer("3.0"), None);
    }

    proptest! {
        #[test]
        fn strings_read_as_serde_json_reads_them(text in any::<String>()) {
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(string(&quoted), Ok(text));
        }

        #[test]
        fn numbers_are_accepted_where_serde_json_accepts_them(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?") {
            let mut cursor = Cursor::new(text.as_bytes());
            let whole = cursor.number().is_ok() && cursor.rest().is_empty();
            prop_assert_eq!(whole, serde_json::from_str::<f64>(&text).is_ok());
        }

        #[test]
        fn the_plain_run_ends_where_a_byte_by_byte_search_ends(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = text.iter().position(|b| *b == b'"' || *b == b'\\' || *b < 0x20).unwrap_or(text.len());
            let mut out = vec![7];
            prop_assert_eq!(copy_plain(&text, &mut out), expected);
            prop_assert_eq!(&out[1..], &text[..expected]);
        }
    }
}
