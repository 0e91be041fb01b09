//! Lists with a maximum length that is part of their type.

use borsh::io::{Error, ErrorKind, Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};

/// A list of at most `MAX` elements. The length is checked before the first element is read.
///
/// The length is written as one `u32`, as borsh does for `Vec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundedVec<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> BoundedVec<T, MAX> {
    /// The empty list.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// Takes a list that is short enough; `None` if it is too long.
    #[must_use]
    pub fn new(items: Vec<T>) -> Option<Self> {
        (items.len() <= MAX).then_some(Self(items))
    }

    /// The items, to be changed in place: their number stays.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }

    /// The elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The elements, taken out.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the elements.
    pub fn iter(&self) -> core::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T, const MAX: usize> Default for BoundedVec<T, MAX> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a BoundedVec<T, MAX> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: BorshSerialize, const MAX: usize> BorshSerialize for BoundedVec<T, MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.0.as_slice().serialize(writer)
    }
}

impl<T: BorshDeserialize, const MAX: usize> BorshDeserialize for BoundedVec<T, MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let encoded_length = u32::deserialize_reader(reader)?;
        let length = usize::try_from(encoded_length).unwrap_or(usize::MAX);
        if length > MAX {
            return Err(Error::new(ErrorKind::InvalidData, "list longer than its maximum"));
        }
        // Bytes are read in one piece, as borsh does for `Vec<u8>`: one by one they would dominate reading a block.
        if let Some(items) = T::vec_from_reader(encoded_length, reader)? {
            return Ok(Self(items));
        }
        let mut items = Vec::with_capacity(length.min(INITIAL_CAPACITY_MAX));
        for _ in 0..length {
            items.push(T::deserialize_reader(reader)?);
        }
        Ok(Self(items))
    }
}

/// A hostile length cannot make a decoder reserve more than this many elements ahead of the bytes that carry them.
const INITIAL_CAPACITY_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_longer_than_its_maximum_is_refused_before_its_first_element() {
        let bytes = borsh::to_vec(&vec![1u8, 2, 3]).unwrap();
        assert!(borsh::from_slice::<BoundedVec<u8, 2>>(&bytes).is_err());
        assert_eq!(borsh::from_slice::<BoundedVec<u8, 3>>(&bytes).unwrap().as_slice(), &[1, 2, 3]);
        let only_a_length = u32::MAX.to_le_bytes();
        assert!(borsh::from_slice::<BoundedVec<[u8; 1024], 3>>(&only_a_length).is_err());
    }

    /// Regression: borsh refuses to encode a `Vec` of such elements, and an envelope ended before its signature.
    #[test]
    fn a_list_of_elements_that_cannot_exist_encodes_as_its_length() {
        let none = BoundedVec::<crate::envelope::Evidence, 8>::empty();
        assert_eq!(borsh::to_vec(&none).unwrap(), [0; 4]);
        assert_eq!(borsh::from_slice::<BoundedVec<crate::envelope::Evidence, 8>>(&[0; 4]).unwrap(), none);
    }

    #[test]
    fn bytes_and_other_elements_are_read_alike() {
        let bytes: Vec<u8> = (0..=255).collect();
        let encoded = borsh::to_vec(&bytes).unwrap();
        assert_eq!(borsh::from_slice::<BoundedVec<u8, 256>>(&encoded).unwrap().as_slice(), bytes);
        assert_eq!(borsh::to_vec(&BoundedVec::<u8, 256>::new(bytes).unwrap()).unwrap(), encoded);
        for length in 0..encoded.len() {
            assert!(borsh::from_slice::<BoundedVec<u8, 256>>(&encoded[..length]).is_err());
        }
        let empty = borsh::to_vec(&BoundedVec::<u8, 0>::empty()).unwrap();
        assert_eq!(borsh::from_slice::<BoundedVec<u8, 0>>(&empty).unwrap().len(), 0);
        assert!(BoundedVec::<u8, 2>::new(vec![0; 3]).is_none());
    }
}
