use super::*;

#[test]
fn the_checksum_is_the_common_crc_32() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926); // check value of CRC-32/ISO-HDLC
    assert_eq!(crc32([]), 0);
}

#[test]
fn a_header_says_where_it_belongs() {
    let mut sector = vec![0; 512];
    assert_eq!(
        Header::parse(&sector, 1),
        Err(GptError::Signature { lba: 1 })
    );
    sector[..8].copy_from_slice(b"XXX PART");
    assert_eq!(Header::parse(&sector, 1), Err(GptError::Interrupted));
    assert_eq!(
        Header::parse(&[], 1),
        Err(GptError::Signature { lba: 1 }),
        "no bytes at all"
    );
}
