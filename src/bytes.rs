//! Fixed-width integers out of byte slices, without panics; bytes that are all zero.

/// Reads a little-endian `u16` at `at`; zero where `bytes` ends before it does.
///
/// This and the functions below are for the parsers, whose slices have a fixed size that covers
/// every field they ask for.
pub(crate) fn le_u16(bytes: &[u8], at: usize) -> u16 {
    field(bytes, at).map_or(0, u16::from_le_bytes)
}

/// Reads a little-endian `u32` at `at`; zero where `bytes` ends before it does.
pub(crate) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    field(bytes, at).map_or(0, u32::from_le_bytes)
}

/// Reads a little-endian `u64` at `at`; zero where `bytes` ends before it does.
pub(crate) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    field(bytes, at).map_or(0, u64::from_le_bytes)
}

/// Reads a big-endian `u16` at `at`; zero where `bytes` ends before it does.
pub(crate) fn be_u16(bytes: &[u8], at: usize) -> u16 {
    field(bytes, at).map_or(0, u16::from_be_bytes)
}

/// Reads a big-endian `u32` at `at`; zero where `bytes` ends before it does.
pub(crate) fn be_u32(bytes: &[u8], at: usize) -> u32 {
    field(bytes, at).map_or(0, u32::from_be_bytes)
}

/// Reads a big-endian `u64` at `at`; zero where `bytes` ends before it does.
pub(crate) fn be_u64(bytes: &[u8], at: usize) -> u64 {
    field(bytes, at).map_or(0, u64::from_be_bytes)
}

/// Reads `N` bytes at `at`; `None` where `bytes` ends before they do.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// Whether all bytes are zero; stops at the first piece that is not.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    // Folding over pieces lets the compiler use the widest registers.
    let (pieces, rest) = bytes.as_chunks::<256>();
    pieces
        .iter()
        .all(|piece| piece.iter().fold(0, |or, byte| or | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

/// `len` zero bytes in pieces that need no memory of their own.
pub(crate) fn zero_pieces(len: u64) -> impl Iterator<Item = &'static [u8]> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let whole = len / ZEROS.len() as u64;
    let rest = usize::try_from(len % ZEROS.len() as u64).unwrap_or(0);
    let rest = ZEROS.get(..rest).filter(|rest| !rest.is_empty());
    (0..whole).map(|_| &ZEROS[..]).chain(rest)
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
