//! Shows that fuzzing itself works: the target can be built, its coverage counts, and inputs grow.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let characters: Vec<char> = text.chars().collect();
        assert_eq!(characters.iter().collect::<String>(), text);
    }
});
