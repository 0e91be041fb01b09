//! Base64url without padding, as read passes travel in headers. One text for each list of bytes: what has bits to spare or
//! another alphabet is not read.

/// The text of some bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        let letter = |shift: u32| ALPHABET.get(usize::try_from((bits >> shift) & 0x3f).unwrap_or(0)).copied();
        let letters = [18, 12, 6, 0].into_iter().take(group.len() + 1);
        text.extend(letters.filter_map(letter).map(char::from));
    }
    text
}

/// The bytes of a text; none if it is not the one that [`encode`] makes of them.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for (place, letter) in group.iter().enumerate() {
            let value = ALPHABET.iter().position(|known| known == letter)?;
            bits |= u32::try_from(value).ok()? << (18 - 6 * place);
        }
        let [_, first, second, third] = bits.to_be_bytes();
        let (whole, rest) = match group.len() {
            4 => (3, 0),
            3 => (2, bits & 0xff),
            2 => (1, bits & 0xffff),
            _ => return None,
        };
        if rest != 0 {
            return None;
        }
        bytes.extend([first, second, third].into_iter().take(whole));
    }
    Some(bytes)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

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
