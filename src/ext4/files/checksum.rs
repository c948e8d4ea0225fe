//! The checksums that ext4 and its journal keep. None has its last bits flipped, so one goes on
//! where the one before it ended.

use crc::{Algorithm, Crc, Table};

/// CRC-32C as it is kept: the register, not its complement.
const CRC32C: Algorithm<u32> = Algorithm {
    xorout: 0,
    ..crc::CRC_32_ISCSI
};
static CRC32C_TABLE: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC32C);
static CRC16_TABLE: Crc<u16, Table<1>> = Crc::<u16, Table<1>>::new(&crc::CRC_16_MODBUS);
static CRC32_TABLE: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&crc::CRC_32_MPEG_2);

/// What a checksum begins with.
pub(super) const START: u32 = !0;

/// CRC-32C of `bytes`, going on from `sum`: of metadata, and of a journal from version 2.
pub(super) fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    // The crate takes the start as the polynomial has it, from the other end.
    let mut digest = CRC32C_TABLE.digest_with_initial(sum.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// CRC-16 of pieces: of a group descriptor without `metadata_csum`.
pub(super) fn crc16(pieces: &[&[u8]]) -> u16 {
    let mut digest = CRC16_TABLE.digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

/// CRC-32 with the highest bit first, going on from `sum`: of a transaction in a journal of
/// version 1.
pub(super) fn crc32_be(sum: u32, bytes: &[u8]) -> u32 {
    let mut digest = CRC32_TABLE.digest_with_initial(sum);
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_catalogue_and_go_on_from_one_another() {
        // The check values of "123456789", with CRC-32C's last bits flipped back.
        assert_eq!(!crc32c(START, b"123456789"), 0xe306_9283);
        assert_eq!(!crc32c(crc32c(START, b"1234"), b"56789"), 0xe306_9283);
        assert_eq!(crc16(&[b"1234", b"56789"]), 0x4b37);
        assert_eq!(crc32_be(START, b"123456789"), 0x0376_e6e7);
        assert_eq!(crc32_be(crc32_be(START, b"123"), b"456789"), 0x0376_e6e7);
    }
}
