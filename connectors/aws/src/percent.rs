//! Text in which `%41` stands for `A`: policy documents of IAM, and the keys of objects in listings of S3.

/// The text; what is not to be decoded is left as it is.
pub(crate) fn decoded(text: &str) -> String {
    let (bytes, mut found) = (text.as_bytes(), Vec::with_capacity(text.len()));
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let value = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        found.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8(found).unwrap_or_else(|_| text.to_owned())
}

/// The same of text in which `+` stands for a space.
pub(crate) fn decoded_form(text: &str) -> String {
    decoded(&text.replace('+', "%20"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_the_rest_is_left() {
        assert_eq!(decoded("%7B%22a%22%3A+%22%C3%A9%22%7D"), "{\"a\":+\"é\"}");
        assert_eq!(decoded_form("a+b%2Bc%0A"), "a b+c\n");
        for text in ["", "100%", "%zz", "%4", "é%", "%ff"] {
            assert_eq!(decoded(text), text);
        }
    }
}
