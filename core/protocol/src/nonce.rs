//! The 64-wide nonce window of a key: which nonces are used, and which can be used next.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::limits::NONCE_WINDOW;
use crate::reject::{Reject, RejectCode};

/// Used nonces of one key. Bit `k` of `used` stands for nonce `highest - k`.
///
/// A nonce is free if it is above `highest - 64`, at most `highest + 64`, at least 1, and not used before. A client
/// that loses an envelope loses nothing: later nonces do not wait for it. The bound ahead keeps a slip of the client
/// from burning the key's whole nonce space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NonceWindow {
    highest: u64,
    used: u64,
}

impl NonceWindow {
    /// Whether the nonce can be used now.
    ///
    /// # Errors
    /// `NonceUsed` for a used one, `NonceOutOfWindow` for one too far behind or ahead, or zero.
    pub fn require_free(&self, nonce: u64) -> Result<(), Reject> {
        if nonce == 0 || nonce > self.highest.saturating_add(NONCE_WINDOW) {
            return Err(self.out_of_window(nonce));
        }
        let Some(age) = self.highest.checked_sub(nonce) else {
            return Ok(());
        };
        if age >= NONCE_WINDOW {
            return Err(self.out_of_window(nonce));
        }
        if (self.used >> age) & 1 == 1 {
            return Err(Reject::of(RejectCode::NonceUsed).present(nonce));
        }
        Ok(())
    }

    /// Marks a nonce as used. A nonce outside the window leaves the window as it is.
    pub fn consume(&mut self, nonce: u64) {
        if nonce == 0 || nonce > self.highest.saturating_add(NONCE_WINDOW) {
            return;
        }
        if let Some(age) = self.highest.checked_sub(nonce) {
            if age < NONCE_WINDOW {
                self.used |= 1 << age;
            }
            return;
        }
        let advance = nonce.saturating_sub(self.highest);
        self.used = if advance >= NONCE_WINDOW { 0 } else { self.used << advance };
        self.used |= 1;
        self.highest = nonce;
    }

    /// The lowest nonce above every used one.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.highest.saturating_add(1)
    }

    fn out_of_window(&self, nonce: u64) -> Reject {
        Reject::of(RejectCode::NonceOutOfWindow).required(self.next()).present(nonce)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_starts_at_one_and_refuses_zero() {
        let window = NonceWindow::default();
        assert_eq!(window.require_free(0).unwrap_err().code(), RejectCode::NonceOutOfWindow);
        assert_eq!(window.require_free(1), Ok(()));
        assert_eq!(window.require_free(64), Ok(()));
        assert_eq!(window.require_free(65).unwrap_err().code(), RejectCode::NonceOutOfWindow);
    }

    #[test]
    fn consuming_a_nonce_that_is_not_free_changes_nothing() {
        let mut window = NonceWindow::default();
        window.consume(70);
        assert_eq!(window, NonceWindow::default(), "too far ahead");
        window.consume(0);
        assert_eq!(window, NonceWindow::default(), "zero is never a nonce");
        for nonce in [64, 128, 3] {
            window.consume(nonce);
        }
        let before = window;
        for nonce in [3, 64, 128, 193, u64::MAX] {
            window.consume(nonce);
        }
        assert_eq!(window, before);
    }

    #[test]
    fn the_window_holds_at_the_end_of_the_range() {
        let mut window = NonceWindow { highest: u64::MAX - 1, used: 1 };
        window.consume(u64::MAX);
        assert_eq!(window.next(), u64::MAX);
        assert_eq!(window.require_free(u64::MAX).unwrap_err().code(), RejectCode::NonceUsed);
        assert_eq!(window.require_free(u64::MAX - 2), Ok(()));
    }

    proptest! {
        /// A slow model (the set of all used nonces and their maximum) agrees with the window.
        #[test]
        fn prop_window_agrees_with_the_set_of_used_nonces(steps in proptest::collection::vec(0u64..300, 1..200)) {
            let (mut window, mut used, mut highest) = (NonceWindow::default(), BTreeSet::new(), 0u64);
            for nonce in steps {
                let is_free = nonce >= 1 && nonce <= highest + 64 && nonce + 64 > highest && !used.contains(&nonce);
                prop_assert_eq!(window.require_free(nonce).is_ok(), is_free);
                if is_free {
                    window.consume(nonce);
                    used.insert(nonce);
                    highest = highest.max(nonce);
                    prop_assert_eq!(window.require_free(nonce).unwrap_err().code(), RejectCode::NonceUsed);
                }
            }
        }
    }
}
