//! A chain of up to three layers, the base raw or not, opened and read as the program does it.

use std::fmt::Write;

use ploopconv::ploop::OpenOptions;

use crate::image::{SCRATCH, read, write};
use crate::sparse::Sparse;

/// The first byte says how many layers there are and whether the base is raw; two bytes in front
/// of every layer say how long its part of the input is.
pub fn try_input(input: &[u8]) {
    let Some((&flags, mut rest)) = input.split_first() else {
        return;
    };
    let layers = usize::from(flags & 3).max(1);
    let raw = flags & 4 != 0;
    let dir = SCRATCH.join("chain");
    std::fs::create_dir_all(&dir).expect("the directory can be written");
    let mut images = String::new();
    let mut shots = String::new();
    for number in 0..layers {
        let Some((len, after)) = rest.split_at_checked(2) else {
            return;
        };
        let len = usize::from(len[0]) | usize::from(len[1]) << 8;
        let (part, after) = after.split_at(len.min(after.len()));
        rest = after;
        let Some(file) = Sparse::of(part) else {
            return;
        };
        write(&dir.join(format!("{number}.hds")), &file);
        let guid = |number: usize| format!("{{00000000-0000-0000-0000-{number:012}}}");
        let kind = if raw { "Plain" } else { "Compressed" };
        let _ = write!(
            images,
            "<Image><GUID>{}</GUID><Type>{kind}</Type><File>{number}.hds</File></Image>",
            guid(number + 1)
        );
        // The null GUID is the parent of the base.
        let _ = write!(
            shots,
            "<Shot><GUID>{}</GUID><ParentGUID>{}</ParentGUID></Shot>",
            guid(number + 1),
            guid(number)
        );
    }
    let text = format!(
        "<Parallels_disk_image><StorageData><Storage>{images}</Storage></StorageData>\
         <Snapshots><TopGUID>{{00000000-0000-0000-0000-{layers:012}}}</TopGUID>{shots}</Snapshots>\
         </Parallels_disk_image>"
    );
    std::fs::write(dir.join("DiskDescriptor.xml"), text).expect("there is room");
    let options = OpenOptions {
        host: None,
        ..OpenOptions::default()
    };
    read(&dir, &options);
}
