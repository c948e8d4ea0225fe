//! Numbers in the fields of a header.

/// Puts `number` into a field as octal digits with a NUL after them; says whether it fits.
pub(super) fn octal(field: &mut [u8], number: u64) -> bool {
    let Some((end, digits)) = field.split_last_mut() else {
        return false;
    };
    *end = 0;
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest & 7).to_le_bytes()[0];
        rest >>= 3;
    }
    rest == 0
}

/// Puts `number` into a field as octal digits, or as GNU's base-256 where those do not hold it:
/// the highest bit is set, and the number follows in big-endian bytes.
pub(super) fn octal_or_binary(field: &mut [u8], number: u64) {
    if octal(field, number) {
        return;
    }
    field.fill(0);
    let bytes = number.to_be_bytes();
    let fields = field.iter_mut().rev();
    fields
        .zip(bytes.iter().rev())
        .for_each(|(to, from)| *to = *from);
    if let Some(first) = field.first_mut() {
        *first |= 0x80;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_while_they_fit() {
        let mut field = [b'x'; 8];
        assert!(octal(&mut field, 0o644));
        assert_eq!(&field, b"0000644\0");
        assert!(octal(&mut field, 0o7_777_777));
        assert!(!octal(&mut field, 0o10_000_000));
        octal_or_binary(&mut field, 1_048_575);
        assert_eq!(&field, b"3777777\0");
        octal_or_binary(&mut field, 0xdead_beef);
        assert_eq!(field, [0x80, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef]);
    }
}
