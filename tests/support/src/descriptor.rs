//! `DiskDescriptor.xml` as every product writes it: a plain description that a test may bend, and
//! the text it becomes.

use std::fmt::Write as _;

/// "No parent".
pub const NO_PARENT: &str = "{00000000-0000-0000-0000-000000000000}";
/// The constant GUID of the top since 2012.
pub const TOP: &str = "{5fbaabe3-6958-40ff-92a7-860e329aab41}";

/// The GUID of the snapshot numbered so.
pub fn guid(number: usize) -> String {
    format!("{{{number:08x}-1111-4222-8333-444444444444}}")
}

#[derive(Clone, Debug)]
pub struct Image {
    pub guid: String,
    pub kind: String,
    pub file: String,
}

#[derive(Clone, Debug)]
pub struct Storage {
    pub start: u64,
    pub end: u64,
    pub blocksize: u32,
    pub images: Vec<Image>,
}

#[derive(Clone, Debug)]
pub struct Shot {
    pub guid: String,
    pub parent: String,
    /// An element such as `<Temporary/>`.
    pub mark: String,
}

#[derive(Clone, Debug)]
pub struct Descriptor {
    pub declaration: String,
    pub root: String,
    pub disk_size: u64,
    pub padding: u32,
    /// Elements added to `Disk_Parameters`.
    pub parameters: String,
    /// A `Volume` element, or nothing.
    pub volume: String,
    pub storages: Vec<Storage>,
    /// `TopGUID`'s text; `None` leaves the element out.
    pub top: Option<String>,
    pub shots: Vec<Shot>,
}

impl Descriptor {
    pub fn xml(&self) -> String {
        let mut text = String::new();
        let root = &self.root;
        let _ = writeln!(text, "{}", self.declaration);
        let _ = writeln!(text, "<{root} Version=\"1.0\">\n  <Disk_Parameters>");
        let _ = writeln!(text, "    <Disk_size>{}</Disk_size>", self.disk_size);
        let _ = writeln!(
            text,
            "    <Cylinders>0</Cylinders>\n    <Heads>16</Heads>\n    <Sectors>63</Sectors>"
        );
        let _ = writeln!(text, "    <Padding>{}</Padding>", self.padding);
        let _ = writeln!(
            text,
            "{}  </Disk_Parameters>\n  <StorageData>\n{}",
            self.parameters, self.volume
        );
        for storage in &self.storages {
            let _ = writeln!(
                text,
                "    <Storage>\n      <Start>{}</Start>",
                storage.start
            );
            let _ = writeln!(text, "      <End>{}</End>", storage.end);
            let _ = writeln!(text, "      <Blocksize>{}</Blocksize>", storage.blocksize);
            for Image { guid, kind, file } in &storage.images {
                let _ = writeln!(text, "      <Image>\n        <GUID>{guid}</GUID>");
                let _ = writeln!(
                    text,
                    "        <Type>{kind}</Type>\n        <File>{file}</File>\n      </Image>"
                );
            }
            let _ = writeln!(text, "    </Storage>");
        }
        let _ = writeln!(text, "  </StorageData>\n  <Snapshots>");
        if let Some(top) = &self.top {
            let _ = writeln!(text, "    <TopGUID>{top}</TopGUID>");
        }
        for Shot { guid, parent, mark } in &self.shots {
            let _ = writeln!(text, "    <Shot>\n      <GUID>{guid}</GUID>");
            let _ = writeln!(
                text,
                "      <ParentGUID>{parent}</ParentGUID>\n      {mark}\n    </Shot>"
            );
        }
        let _ = writeln!(text, "  </Snapshots>\n</{root}>");
        text
    }

    /// The images of the only storage.
    pub fn images(&mut self) -> &mut Vec<Image> {
        &mut self.storages[0].images
    }

    /// Spells every GUID in the descriptor in upper case, as early libploop did.
    pub fn upper_case(&mut self) {
        for image in self
            .storages
            .iter_mut()
            .flat_map(|storage| &mut storage.images)
        {
            image.guid.make_ascii_uppercase();
        }
        for shot in &mut self.shots {
            shot.guid.make_ascii_uppercase();
            shot.parent.make_ascii_uppercase();
        }
    }

    /// Gives the image and shot of `from` the GUID `to`, and its children the new parent.
    pub fn rename(&mut self, from: &str, to: &str) {
        let swap = |text: &mut String| {
            if text == from {
                to.clone_into(text);
            }
        };
        for image in self
            .storages
            .iter_mut()
            .flat_map(|storage| &mut storage.images)
        {
            swap(&mut image.guid);
        }
        for shot in &mut self.shots {
            swap(&mut shot.guid);
            swap(&mut shot.parent);
        }
        if let Some(top) = &mut self.top {
            swap(top);
        }
    }
}
