//! Numbers of a command line, and what is said where one is wrong.

/// Reads a whole number from `LEAST` to `MOST`.
pub(crate) fn number<const LEAST: u32, const MOST: u32>(text: &str) -> Result<u32, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number
        .filter(|number| (LEAST..=MOST).contains(number))
        .ok_or_else(|| match MOST {
            u32::MAX => format!("a number from {LEAST} on is needed"),
            _ => format!("a number from {LEAST} to {MOST} is needed"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_in_the_range_is_refused_in_words() {
        assert_eq!(number::<1, 128>("128"), Ok(128));
        for wrong in [
            "",
            "0",
            "129",
            "-1",
            "+1",
            "1.5",
            "abc",
            "99999999999",
            "1 ",
        ] {
            assert_eq!(
                number::<1, 128>(wrong),
                Err("a number from 1 to 128 is needed".to_owned())
            );
        }
        assert_eq!(
            number::<1, { u32::MAX }>("abc"),
            Err("a number from 1 on is needed".to_owned())
        );
    }
}
