//! The shapes in which a text can stand in another: encoded, escaped, compressed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::interaction::gunzip;

/// How far compressed bytes are looked into.
const UNPACKED: usize = 64 << 20;

/// What undoes one disguise; `None` where there is none.
type Undo = fn(&[u8]) -> Option<Vec<u8>>;
const UNDO: [Undo; 5] = [percent, form, json, xml, unzipped];

/// The first answer of `look` to `bytes` or to what they are in one disguise, or in `layers` of them.
pub(super) fn search<T>(bytes: &[u8], layers: usize, look: &impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    look(bytes).or_else(|| {
        let deeper = layers.checked_sub(1)?;
        UNDO.iter().find_map(|undo| search(&undo(bytes)?, deeper, look))
    })
}

/// The letters that base64 makes of `secret` wherever it stands in what is encoded: one text for each place in a group of
/// three bytes. Letters that depend on the neighbours are left out.
pub(super) fn base64_of(secret: &[u8]) -> [Vec<u8>; 3] {
    [0usize, 1, 2].map(|before| {
        let mut whole = vec![0u8; before];
        whole.extend_from_slice(secret);
        let from = (before * 8).div_ceil(6);
        let to = whole.len() * 8 / 6;
        let text = STANDARD.encode(&whole).into_bytes();
        text.get(from..to).unwrap_or_default().to_vec()
    })
}

/// The bytes with the other alphabet of base64 made the usual one, and without blanks.
pub(super) fn as_base64(bytes: &[u8]) -> Vec<u8> {
    let letter = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).map(letter).collect()
}

/// In hexadecimal digits.
pub(super) fn hex(secret: &[u8]) -> Vec<u8> {
    secret.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

fn digit(byte: Option<&u8>) -> Option<u8> {
    byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
}

fn percent(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.contains(&b'%') {
        return None;
    }
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    Some(decoded)
}

/// As forms encode: a blank is a `+`.
fn form(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.contains(&b'+') {
        return None;
    }
    let blanks: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Some(percent(&blanks).unwrap_or(blanks))
}

fn json(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.contains(&b'\\') {
        return None;
    }
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = if *byte == b'\\' { bytes.get(at + 1) } else { None };
        let Some(escaped) = escaped else {
            decoded.push(*byte);
            at += 1;
            continue;
        };
        at += 2;
        match escaped {
            b'n' => decoded.push(b'\n'),
            b't' => decoded.push(b'\t'),
            b'r' => decoded.push(b'\r'),
            b'u' => {
                let code = bytes.get(at..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
                if let Some(letter) = code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32)
                {
                    decoded.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    at += 4;
                }
            }
            other => decoded.push(*other),
        }
    }
    Some(decoded)
}

fn xml(bytes: &[u8]) -> Option<Vec<u8>> {
    const ENTITIES: [(&[u8], u8); 5] =
        [(b"&lt;", b'<'), (b"&gt;", b'>'), (b"&quot;", b'"'), (b"&apos;", b'\''), (b"&amp;", b'&')];
    if !bytes.contains(&b'&') {
        return None;
    }
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let named = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        if let Some((entity, letter)) = named {
            decoded.push(*letter);
            at += entity.len();
        } else if let Some((letter, length)) = numbered(rest) {
            decoded.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            at += length;
        } else {
            decoded.extend(rest.first());
            at += 1;
        }
    }
    Some(decoded)
}

/// `&#39;` or `&#x27;` at the beginning: the letter, and how long its entity is.
fn numbered(bytes: &[u8]) -> Option<(char, usize)> {
    let digits = bytes.strip_prefix(b"&#")?;
    let end = digits.iter().take(9).position(|byte| *byte == b';')?;
    let text = std::str::from_utf8(digits.get(..end)?).ok()?;
    let code = match text.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some((char::from_u32(code.ok()?)?, end + 3))
}

fn unzipped(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.starts_with(&[0x1f, 0x8b]) { gunzip(bytes, UNPACKED) } else { None }
}
