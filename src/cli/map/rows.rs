//! Rows of extents as text and as JSON. Put together without `fmt`, which takes several times as
//! long as finding the extents, and a large disk has millions.

use ploopconv::disk::{Extent, ExtentKind, StoreId};

/// The line above the rows of text.
pub(super) const HEADING: &str =
    "OFFSET             LENGTH             LAYER  HOST OFFSET        FILE\n";

/// The same of a split disk.
pub(super) const HEADING_WITH_PARTS: &str =
    "OFFSET             LENGTH              PART LAYER  HOST OFFSET        FILE\n";

/// What the stores of a split disk are: the part and the layer of each; nothing of any other disk,
/// whose stores are its layers.
pub(super) type Parts = Vec<(usize, usize)>;

/// How an extent is shown. Names are those of the disk's stores, as they are to stand there.
pub(super) trait Row: Clone + Send {
    /// How many bytes of the first row are left out.
    const LEFT_OUT: usize = 0;

    /// Adds the row of one extent to `out`.
    fn add(&mut self, out: &mut Vec<u8>, extent: &Extent);
}

/// One line for people.
#[derive(Debug, Clone)]
pub(super) struct Text {
    parts: Parts,
    /// For each store, a row of an extent that is stored there.
    rows: Vec<Stored>,
}

/// A row of an extent that is stored, without its offsets.
#[derive(Debug, Clone)]
struct Stored {
    row: Vec<u8>,
    /// The length that the row has: most are that of a cluster.
    len: u64,
    /// Where the host offset is in the row.
    host_offset_at: usize,
}

impl Text {
    pub(super) fn new(files: Vec<String>, parts: Parts) -> Self {
        let mut text = Self {
            rows: Vec::new(),
            parts,
        };
        let rows = (0..).zip(&files);
        text.rows = rows.map(|(store, file)| text.stored(store, file)).collect();
        text
    }

    /// A row whose offsets and length are 0.
    fn stored(&self, store: usize, file: &str) -> Stored {
        let mut row = [hex(0), hex(0)].concat();
        self.place(&mut row, StoreId::at(store));
        row.extend_from_slice(b"  ");
        let host_offset_at = row.len();
        row.extend_from_slice(&hex(0));
        row.extend_from_slice(file.as_bytes());
        row.push(b'\n');
        Stored {
            row,
            len: 0,
            host_offset_at,
        }
    }

    /// The layer, and before it the part.
    fn place(&self, out: &mut Vec<u8>, store: StoreId) {
        match self.parts.get(store.index()) {
            Some(&(part, layer)) => {
                right(out, part);
                out.push(b' ');
                right(out, layer);
            }
            None => right(out, store.index()),
        }
    }
}

impl Row for Text {
    fn add(&mut self, out: &mut Vec<u8>, extent: &Extent) {
        let Extent { offset, len, kind } = *extent;
        match kind {
            ExtentKind::Data { store, host_offset }
            | ExtentKind::Compressed { store, host_offset } => {
                let stored = self.rows.get_mut(store.index());
                let Stored {
                    row,
                    len: shown,
                    host_offset_at,
                } = stored.expect("every store of the disk has a row");
                if *shown != len {
                    *shown = len;
                    put(row, FIELD, &hex(len));
                }
                let start = out.len();
                out.extend_from_slice(row);
                let row = out.get_mut(start..).unwrap_or_default();
                put(row, PREFIX, &padded(offset));
                put(row, *host_offset_at + PREFIX, &padded(host_offset));
            }
            ExtentKind::Hole => {
                out.extend_from_slice([hex(offset), hex(len)].as_flattened());
                out.extend_from_slice(b" hole\n");
            }
            ExtentKind::Lost { store } => {
                out.extend_from_slice([hex(offset), hex(len)].as_flattened());
                self.place(out, store);
                out.extend_from_slice(b"  lost\n");
            }
        }
    }
}

/// Writes over a part of a row.
fn put(row: &mut [u8], at: usize, bytes: &[u8]) {
    let place = row.get_mut(at..).and_then(|row| row.get_mut(..bytes.len()));
    place.expect("the row has the field").copy_from_slice(bytes);
}

/// The columns of a number: `0x`, the digits, and the space after them.
const FIELD: usize = PREFIX + DIGITS + 1;
const PREFIX: usize = 2;
const DIGITS: usize = 16;

/// The two digits of every byte, the second one in the lower half.
static PAIRS: [u16; 256] = {
    let digits = b"0123456789abcdef";
    let (mut pairs, mut byte) = ([0; 256], 0);
    while byte < pairs.len() {
        pairs[byte] = u16::from_be_bytes([digits[byte >> 4], digits[byte & 15]]);
        byte += 1;
    }
    pairs
};

/// Entry n is n spaces in the last places.
static SPACES: [u128; DIGITS] = {
    let (mut spaces, mut number) = ([0; DIGITS], 1);
    while number < spaces.len() {
        spaces[number] = spaces[number - 1] << 8 | b' ' as u128;
        number += 1;
    }
    spaces
};

/// The digits of half a number, a byte each.
fn digits(half: [u8; 4]) -> u64 {
    let pair = |byte| u64::from(PAIRS[usize::from(byte)]);
    half.into_iter().fold(0, |all, byte| all << 16 | pair(byte))
}

/// The digits of a number, filled up with spaces. Two digits at a time: most of a row is this.
fn padded(number: u64) -> [u8; DIGITS] {
    let [a, b, c, d, lower @ ..] = number.to_be_bytes();
    let all = u128::from(digits([a, b, c, d])) << 64 | u128::from(digits(lower));
    // Leading zeros go out at the front, and spaces come in at the end.
    let unused = (number | 1).leading_zeros() / 4;
    (all << (unused * 8) | SPACES[unused as usize]).to_be_bytes()
}

/// `0x` and the digits, filled up to 18 columns, and a space.
fn hex(number: u64) -> [u8; FIELD] {
    let mut field = *b"0x                 ";
    put(&mut field, PREFIX, &padded(number));
    field
}

/// A number at the right of 5 columns.
fn right(out: &mut Vec<u8>, number: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    out.extend(std::iter::repeat_n(
        b' ',
        5usize.saturating_sub(digits.len()),
    ));
    out.extend_from_slice(digits.as_bytes());
}

/// One object of an array, and what is between it and the one before.
#[derive(Debug, Clone)]
pub(super) struct Json {
    /// Already quoted.
    pub(super) files: Vec<String>,
    pub(super) parts: Parts,
}

impl Row for Json {
    /// The comma.
    const LEFT_OUT: usize = 1;

    fn add(&mut self, out: &mut Vec<u8>, extent: &Extent) {
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        let mut buffer = itoa::Buffer::new();
        let place = |put: &mut dyn FnMut(&str), store: StoreId| {
            let mut buffer = itoa::Buffer::new();
            let mut layer = store.index();
            if let Some(&(part, in_part)) = self.parts.get(layer) {
                put(", \"part\": ");
                put(buffer.format(part));
                layer = in_part;
            }
            put(", \"layer\": ");
            put(buffer.format(layer));
        };
        put(",\n    {\"offset\": ");
        put(buffer.format(extent.offset));
        put(", \"length\": ");
        put(buffer.format(extent.len));
        match extent.kind {
            ExtentKind::Data { store, host_offset }
            | ExtentKind::Compressed { store, host_offset } => {
                put(", \"kind\": \"data\"");
                place(&mut put, store);
                put(", \"file\": ");
                put(self.files.get(store.index()).map_or("null", String::as_str));
                put(", \"host_offset\": ");
                put(buffer.format(host_offset));
            }
            ExtentKind::Hole => put(", \"kind\": \"hole\""),
            ExtentKind::Lost { store } => {
                put(", \"kind\": \"lost\"");
                place(&mut put, store);
            }
        }
        put("}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents() -> [Extent; 5] {
        let data = |layer, host_offset| ExtentKind::Data {
            store: StoreId::at(layer),
            host_offset,
        };
        let lost = |layer| ExtentKind::Lost {
            store: StoreId::at(layer),
        };
        let extent = |offset, len, kind| Extent { offset, len, kind };
        [
            extent(0, 1 << 20, data(0, 0x10_0000)),
            extent(1 << 20, 5, ExtentKind::Hole),
            extent(u64::MAX - 1, 1, data(12, u64::MAX)),
            extent(0xabc, 0x90, lost(255)),
            extent(1, 1, data(19, 1)),
        ]
    }

    #[test]
    fn rows_are_what_fmt_would_make_of_them() {
        let files: Vec<String> = (0..20).map(|layer| format!("file {layer}")).collect();
        let (mut found, mut expected) = (Vec::new(), String::new());
        let mut text = Text::new(files.clone(), Vec::new());
        for extent in extents() {
            text.add(&mut found, &extent);
            let Extent { offset, len, kind } = extent;
            let start = format!("{offset:<#18x} {len:<#18x} ");
            expected += &match kind {
                ExtentKind::Data { store, host_offset } => {
                    let layer = store.index();
                    let file = files.get(layer).map_or("", String::as_str);
                    format!("{start}{layer:>5}  {host_offset:<#18x} {file}\n")
                }
                ExtentKind::Lost { store } => format!("{start}{:>5}  lost\n", store.index()),
                _ => format!("{start} hole\n"),
            };
        }
        assert_eq!(String::from_utf8(found).unwrap(), expected);
        let heading = format!(
            "{:<18} {:<18} {:>5}  {:<18} FILE\n",
            "OFFSET", "LENGTH", "LAYER", "HOST OFFSET"
        );
        assert_eq!(HEADING, heading);
    }

    #[test]
    fn numbers_of_every_length_are_shown_as_by_fmt() {
        for shift in 0..64 {
            let one = 1u64 << shift;
            for number in [
                one,
                one - 1,
                u64::MAX >> shift,
                0xfedc_ba98_7654_3210 >> shift,
            ] {
                let shown = String::from_utf8(hex(number).to_vec()).unwrap();
                assert_eq!(shown, format!("{number:<#18x} "));
            }
        }
    }

    #[test]
    fn objects_are_json_with_a_comma_between() {
        let mut json = Json {
            files: vec!["\"a\"".to_owned()],
            parts: Vec::new(),
        };
        let mut found = Vec::new();
        for extent in extents() {
            json.add(&mut found, &extent);
        }
        let found = found.split_off(Json::LEFT_OUT);
        let found = format!("[{}]", String::from_utf8(found).unwrap());
        let value: serde_json::Value = serde_json::from_str(&found).unwrap();
        assert_eq!(value[0]["file"], "a");
        assert_eq!(value[1]["kind"], "hole");
        assert_eq!(value[2]["offset"], u64::MAX - 1);
        assert_eq!(value[2]["file"], serde_json::Value::Null);
        assert_eq!(value[3]["layer"], 255);
        assert_eq!(value.as_array().unwrap().len(), 5);
    }
}
