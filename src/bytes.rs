//! Fixed-width little-endian integers out of byte slices, without panics.

/// Reads a `u32` at `at`; zero where `bytes` ends before it does.
///
/// For the parsers, whose slices have a fixed size that covers every field they ask for.
pub(crate) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    field(bytes, at).map_or(0, u32::from_le_bytes)
}

/// Reads a `u64` at `at`; zero where `bytes` ends before it does.
pub(crate) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    field(bytes, at).map_or(0, u64::from_le_bytes)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_past_the_end_is_zero_and_does_not_panic() {
        assert_eq!(le_u32(&[1, 0, 0, 0], 0), 1);
        assert_eq!(le_u32(&[1, 0, 0, 0], 1), 0);
        assert_eq!(le_u64(&[1; 8], usize::MAX), 0);
    }
}
