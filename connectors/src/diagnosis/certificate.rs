//! What a certificate says of itself: as much of X.509 as it takes to read its name and its times.

use sha2::{Digest, Sha256};

/// The name of a certificate, until when it is valid, and its fingerprint.
pub(crate) fn shown(der: &[u8]) -> String {
    let fingerprint: String = Sha256::digest(der).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let said = read(der).map(|(name, until)| {
        let name = name.map(|name| format!("`{name}` ")).unwrap_or_default();
        format!("certificate {name}valid until {until}, ")
    });
    format!("{}sha256 {fingerprint}…", said.unwrap_or_else(|| "certificate ".to_owned()))
}

/// The last day of a certificate, where that is over.
pub(crate) fn ended(der: &[u8]) -> Option<String> {
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    read(der).map(|(_, until)| until).filter(|until| *until < today)
}

/// A value of DER: its tag, its contents, and what comes behind it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short if short < 0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long & 0x7f)?;
            let length = digits
                .iter()
                .try_fold(0usize, |length, digit| length.checked_mul(256).map(|length| length + usize::from(*digit)))?;
            (length, rest)
        }
    };
    let (contents, behind) = rest.split_at_checked(length)?;
    Some((*tag, contents, behind))
}

/// The common name of the subject, and the date of the end.
fn read(der: &[u8]) -> Option<(Option<String>, String)> {
    let (_, certificate, _) = value(der)?;
    let (_, mut rest, _) = value(certificate)?;
    // The version is there only where it is not the first.
    if rest.first() == Some(&0xa0) {
        rest = value(rest)?.2;
    }
    // Serial number, signature, issuer.
    for _ in 0..3 {
        rest = value(rest)?.2;
    }
    let (_, validity, rest) = value(rest)?;
    let (tag, until, _) = value(value(validity)?.2)?;
    let (_, subject, _) = value(rest)?;
    Some((common_name(subject), date(tag, std::str::from_utf8(until).ok()?)?))
}

/// `YYMMDD…` or `YYYYMMDD…` as `YYYY-MM-DD`.
fn date(tag: u8, text: &str) -> Option<String> {
    const SHORT: u8 = 0x17;
    let (year, rest) = text.split_at_checked(if tag == SHORT { 2 } else { 4 })?;
    let year = match (tag == SHORT, year.parse::<u16>().ok()?) {
        (true, year) if year < 50 => 2000 + year,
        (true, year) => 1900 + year,
        (false, year) => year,
    };
    Some(format!("{year:04}-{}-{}", rest.get(..2)?, rest.get(2..4)?))
}

fn common_name(mut names: &[u8]) -> Option<String> {
    const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
    while let Some((_, set, behind)) = value(names) {
        names = behind;
        let Some((_, pair, _)) = value(set) else { continue };
        let Some((_, kind, rest)) = value(pair) else { continue };
        if kind == COMMON_NAME {
            return value(rest).map(|(_, text, _)| String::from_utf8_lossy(text).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_its_name_and_its_end_and_nonsense_only_its_fingerprint() {
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "kafka.example");
        parameters.not_after = rcgen::date_time_ymd(2031, 5, 7);
        let der = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let said = shown(&der);
        assert!(said.starts_with("certificate `kafka.example` valid until 2031-05-07, sha256 "), "{said}");
        assert_eq!(ended(&der), None);
        parameters.not_after = rcgen::date_time_ymd(2021, 5, 7);
        let over = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        assert_eq!(ended(over.der()).as_deref(), Some("2021-05-07"));
        for end in 0..der.len() {
            assert!(shown(&der[..end]).contains("sha256"));
        }
        assert!(shown(b"nonsense").starts_with("certificate sha256 "));
    }
}
