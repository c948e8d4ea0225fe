//! Integers without panics: out of byte slices, and from one width to another; bytes that are all
//! zero.

// What `to_usize` rests on. Offsets in a memory of 32 bits would need an error for each conversion.
const _: () = assert!(usize::BITS == 64, "ploopconv needs a machine of 64 bits");

/// `n` as a size in memory, which loses nothing: `usize` has 64 bits, as asserted above.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the assertion above: usize has 64 bits"
)]
#[inline]
#[must_use]
pub fn to_usize(n: impl Into<u64>) -> usize {
    n.into() as usize
}

/// A size in memory as an offset or a length in bytes, which loses nothing.
#[inline]
#[must_use]
pub fn to_u64(n: usize) -> u64 {
    n as u64
}

/// `n`, or the largest `u16` where `n` is larger.
#[allow(clippy::cast_possible_truncation, reason = "the bound in front of it")]
#[inline]
#[must_use]
pub fn saturating_u16(n: u64) -> u16 {
    n.min(u64::from(u16::MAX)) as u16
}

/// `n`, or the largest `u32` where `n` is larger.
#[allow(clippy::cast_possible_truncation, reason = "the bound in front of it")]
#[inline]
#[must_use]
pub const fn saturating_u32(n: u64) -> u32 {
    if n > u32::MAX as u64 {
        u32::MAX
    } else {
        n as u32
    }
}

/// `n`, or the largest `u64` where `n` is larger.
#[allow(clippy::cast_possible_truncation, reason = "the bound in front of it")]
#[inline]
#[must_use]
pub fn saturating_u64(n: u128) -> u64 {
    n.min(u128::from(u64::MAX)) as u64
}

/// `n`, or the largest `i64` where `n` is larger.
#[inline]
#[must_use]
pub fn saturating_i64(n: u64) -> i64 {
    n.min(i64::MAX.unsigned_abs()).cast_signed()
}

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
    let rest = to_usize(len % ZEROS.len() as u64);
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

    #[test]
    fn a_number_too_large_for_its_new_width_is_the_largest_there() {
        assert_eq!(to_usize(u64::MAX), usize::MAX);
        assert_eq!((saturating_u16(7), saturating_u16(1 << 16)), (7, u16::MAX));
        assert_eq!((saturating_u32(7), saturating_u32(1 << 32)), (7, u32::MAX));
        assert_eq!((saturating_u64(7), saturating_u64(1 << 64)), (7, u64::MAX));
        assert_eq!((saturating_i64(7), saturating_i64(1 << 63)), (7, i64::MAX));
    }
}
