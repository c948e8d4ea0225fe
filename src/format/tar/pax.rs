//! The records of a PAX header (POSIX.1-2001, pax, "pax Extended Header").

use std::io::Write as _;

use crate::tree::Moment;

/// Records about one member, one after the other.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<u8>);

impl Records {
    /// Adds `LENGTH KEY=VALUE\n`, where the length counts itself.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + b" =\n".len();
        let mut len = rest + digits(rest);
        len = rest + digits(len);
        // Writing to a vector does not fail.
        let _ = write!(self.0, "{len} ");
        self.0.extend(key);
        self.0.push(b'=');
        self.0.extend(value);
        self.0.push(b'\n');
    }

    pub(super) fn number(&mut self, key: &[u8], number: u64) {
        self.add(key, number.to_string().as_bytes());
    }

    /// A time in seconds, with as many decimals as it has: before 1970 the whole of it is negative.
    pub(super) fn moment(&mut self, key: &[u8], moment: Moment) {
        self.add(key, seconds(moment).as_bytes());
    }

    /// Adds the attribute `name`, whose `=` would end the key.
    pub(super) fn attribute(&mut self, name: &[u8], value: &[u8]) {
        let mut key = b"SCHILY.xattr.".to_vec();
        for &byte in name {
            match byte {
                b'=' => key.extend(b"%3D"),
                b'%' => key.extend(b"%25"),
                other => key.push(other),
            }
        }
        self.add(&key, value);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn seconds(moment: Moment) -> String {
    const NANOSECONDS: i128 = 1_000_000_000;
    let all = i128::from(moment.seconds) * NANOSECONDS + i128::from(moment.nanoseconds);
    let sign = if all < 0 { "-" } else { "" };
    let (whole, part) = (
        all.unsigned_abs() / NANOSECONDS.unsigned_abs(),
        all.unsigned_abs() % NANOSECONDS.unsigned_abs(),
    );
    let text = format!("{sign}{whole}.{part:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_counts_its_own_digits() {
        for len in 0..1200 {
            let mut records = Records::default();
            records.add(b"k", &vec![b'v'; len]);
            let text = String::from_utf8(records.0.clone()).unwrap();
            let (stated, _) = text.split_once(' ').unwrap();
            assert_eq!(stated.parse(), Ok(text.len()));
        }
        let mut records = Records::default();
        records.add(b"path", b"x");
        assert_eq!(records.bytes(), b"9 path=x\n");
    }

    #[test]
    fn times_are_decimal_numbers_of_seconds() {
        let of = |seconds_of, nanoseconds| {
            seconds(Moment {
                seconds: seconds_of,
                nanoseconds,
            })
        };
        assert_eq!(of(0, 0), "0");
        assert_eq!(of(10, 0), "10");
        assert_eq!(of(1, 1), "1.000000001");
        assert_eq!(of(-2, 750_000_000), "-1.25");
        assert_eq!(of(-1, 999_999_999), "-0.000000001");
        assert_eq!(of(-10, 0), "-10");
        assert_eq!(of(15_032_385_535, 999_999_999), "15032385535.999999999");
    }

    #[test]
    fn what_ends_a_key_is_escaped_in_the_name_of_an_attribute() {
        let mut records = Records::default();
        records.attribute(b"user.a=b%\nc", b"=\0\n");
        assert_eq!(records.bytes(), b"36 SCHILY.xattr.user.a%3Db%25\nc==\0\n\n");
    }
}
