//! Sizes as people read them.

/// A size with a unit and three digits or so, and the exact number of bytes.
#[must_use]
pub fn human(bytes: u64) -> String {
    match short(bytes) {
        short if short.ends_with(" B") => short,
        short => format!("{short} ({bytes} bytes)"),
    }
}

/// A size with a unit and three digits or so.
#[must_use]
pub fn short(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(6);
    let unit = UNITS.get(power as usize - 1).unwrap_or(&"EiB");
    // Hundredths, rounded down: a disk never looks larger than it is.
    let hundredths = (u128::from(bytes) * 100) >> (10 * power);
    let (whole, fraction) = (hundredths / 100, hundredths % 100);
    match (whole, fraction) {
        (_, 0) => format!("{whole} {unit}"),
        (100.., _) => format!("{whole} {unit}"),
        (10.., _) => format!("{whole}.{} {unit}", fraction / 10),
        _ => format!("{whole}.{fraction:02} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_never_too_large() {
        assert_eq!(short(0), "0 B");
        assert_eq!(short(1023), "1023 B");
        assert_eq!(short(5 << 30), "5 GiB");
        assert_eq!(short((5 << 30) - 1), "4.99 GiB");
        assert_eq!(short(u64::MAX), "15.9 EiB");
        assert_eq!(human(2048), "2 KiB (2048 bytes)");
    }
}
