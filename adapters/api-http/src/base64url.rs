//! Base64url without padding, as read passes travel in headers. One text for each list of bytes: what has bits to spare or
//! another alphabet is not read.

use data_encoding::BASE64URL_NOPAD;

/// The text of some bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// The bytes of a text; none if it is not the one that [`encode`] makes of them.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_come_back_and_other_texts_do_not() {
        for length in 0..40u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(151) ^ 0xa5).collect();
            let text = encode(&bytes);
            assert_eq!(decode(&text).as_ref(), Some(&bytes), "{text}");
            assert_eq!(decode(&format!("{text}=")), None);
        }
        assert_eq!(
            (encode(b"\xfb\xff"), encode(b"f"), encode(b"foobar")),
            ("-_8".into(), "Zg".into(), "Zm9vYmFy".into())
        );
        // Spare bits, another alphabet, a single letter, padding.
        for wrong in ["Zh", "Zm9", "+_8", "Z", "Zg==", "Zm9 Zm9v", "é"] {
            assert!(decode(wrong).is_none() || encode(&decode(wrong).unwrap()) == wrong, "{wrong}");
        }
        assert_eq!((decode("Zh"), decode("+_8"), decode("Z"), decode("Zg==")), (None, None, None, None));
    }
}
