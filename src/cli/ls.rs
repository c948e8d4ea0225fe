//! `ploopconv ls`: the names of files, and what is known of them.

mod rows;

use std::ffi::OsString;
use std::io::Write;

use anyhow::Context;
use ploopconv::tree::{
    Ancestors, FileType, LastLink, Node, Resolved, Tree, resolve, sorted_entries,
};
use ploopconv::util::text::safe_bytes;

use self::rows::{Format, Row};
use super::files::{Opened, every_path, is_of_image, open};
use super::open::OpenArgs;
use super::outcome::Verdict;
use super::output::{Stdout, finish, results, safe_json};

/// List files of the container
#[derive(Debug, clap::Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Files and directories, from the root of the container's file system
    /// [default: the root]; may be patterns such as 'etc/*.conf', in quotes
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    /// Show type, mode, links, owner and group as numbers, size, time (UTC)
    #[arg(short, long)]
    long: bool,
    /// List directories in directories too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// List a directory itself, not what is in it
    #[arg(short = 'd', long)]
    itself: bool,
    /// Show hidden names too, which is done in any case
    #[arg(short, long)]
    all: bool,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// A list that is being printed.
struct Listing<'a, W> {
    args: &'a LsArgs,
    opened: &'a mut Opened,
    format: Format,
    out: W,
}

pub(crate) fn run(args: &LsArgs) -> anyhow::Result<Verdict> {
    let context = || format!("listing files of {}", args.open.name());
    let workers = args.open.workers()?;
    let mut opened = open(&args.open, &workers).with_context(context)?;
    let format = match (args.json, args.long) {
        (true, _) => Format::Json { separator: "\n" },
        (false, true) => Format::Long,
        (false, false) => Format::Names,
    };
    let mut listing = Listing {
        args,
        opened: &mut opened,
        format,
        out: results(),
    };
    listing.begin()?;
    listing.all().with_context(context)?;
    let unchanged = listing.opened.input.disk().check_unchanged();
    unchanged.with_context(context)?;
    listing.end()?;
    finish(listing.out)?;
    Ok(opened.problems.verdict())
}

impl<W: Write> Listing<'_, W> {
    /// A report begins.
    fn begin(&mut self) -> anyhow::Result<()> {
        if !self.args.json {
            return Ok(());
        }
        let image = serde_json::to_string(&self.args.open.name().to_string())?;
        let image = safe_json(&image);
        let partition = self.opened.input.partition();
        let partition = partition.map_or("null".to_owned(), |number| number.to_string());
        write!(
            self.out,
            "{{\n  \"image\": {image},\n  \"partition\": {partition},\n  \"entries\": ["
        )
        .context(Stdout)
    }

    /// A report ends with what is known only then.
    fn end(&mut self) -> anyhow::Result<()> {
        if !self.args.json {
            return Ok(());
        }
        let problems = &self.opened.problems;
        let list = serde_json::to_string_pretty(&problems.list)?;
        let list = safe_json(&list.replace('\n', "\n  "));
        let ending = serde_json::to_string_pretty(&problems.ending())?;
        let ending = safe_json(ending.trim_start_matches('{'));
        writeln!(self.out, "\n  ],\n  \"problems\": {list},{ending}").context(Stdout)
    }

    fn problem(&mut self, path: &[u8], error: ploopconv::Error) -> anyhow::Result<()> {
        if is_of_image(&error) {
            return Err(error.into());
        }
        let args = &self.args.open;
        self.opened.problems.add("listing", path, error, args);
        Ok(())
    }

    /// Lists every PATH: files first, then what is in directories.
    fn all(&mut self) -> anyhow::Result<()> {
        let root = [OsString::from("/")];
        let paths = match &self.args.paths[..] {
            [] => &root,
            paths => paths,
        };
        let mut found = Vec::new();
        every_path(&self.opened.files, paths, |path, expanded| {
            found.push((path.to_vec(), expanded));
            Ok(())
        })?;
        let is_alone = found.len() == 1;
        let (mut directories, mut is_first) = (Vec::new(), true);
        for (typed, path) in found {
            match path.and_then(|path| self.directory_or_file(&path)) {
                Ok((file, true)) => directories.push((typed, file)),
                Ok((file, false)) => {
                    let path = file.path.clone();
                    self.row(&typed, &path, file.inode, None)?;
                    is_first = false;
                }
                Err(error) => self.problem(&typed, error)?,
            }
        }
        for (typed, directory) in directories {
            let has_heading = !is_alone || self.args.recursive;
            self.directory(&typed, &directory, has_heading, &mut is_first)?;
        }
        Ok(())
    }

    /// What a path leads to, and whether that is a directory whose entries are listed.
    fn directory_or_file(&self, path: &[u8]) -> ploopconv::Result<(Resolved, bool)> {
        let tree = &self.opened.files;
        let shows_link = self.args.long || self.args.itself;
        let itself = resolve(tree, path, LastLink::Keep)?;
        if self.args.itself {
            return Ok((itself, false));
        }
        let target = match shows_link {
            true => None,
            false => resolve(tree, path, LastLink::Follow).ok(),
        };
        let target = target.unwrap_or_else(|| itself.clone());
        let is_directory = |file: &Resolved| -> ploopconv::Result<bool> {
            Ok(tree.node(file.inode)?.metadata().file_type == FileType::Directory)
        };
        match is_directory(&target) {
            Ok(true) => Ok((target, true)),
            // A link to a file is listed by its own name; so is what cannot be read.
            _ => Ok((itself, false)),
        }
    }

    /// Lists a directory, and those in it where that was asked for.
    fn directory(
        &mut self,
        typed: &[u8],
        directory: &Resolved,
        has_heading: bool,
        is_first: &mut bool,
    ) -> anyhow::Result<()> {
        let mut seen = Ancestors::default();
        let mut todo = vec![(typed.to_vec(), directory.path.clone(), directory.inode)];
        while let Some((shown, path, inode)) = todo.pop() {
            if has_heading && !self.args.json {
                let gap = if std::mem::take(is_first) { "" } else { "\n" };
                writeln!(self.out, "{gap}{}:", safe_bytes(&shown)).context(Stdout)?;
            }
            let (entries, problem) = {
                let entered = seen.enter(inode);
                let read = entered.and_then(|()| self.opened.files.node(inode));
                match read {
                    Ok(node) => sorted_entries(&*node),
                    Err(error) => (Vec::new(), Some(error)),
                }
            };
            let mut below = Vec::new();
            for entry in entries {
                let path = join(&path, &entry.name);
                self.row(&entry.name, &path, entry.inode, entry.file_type)?;
                if self.args.recursive && self.is_directory(entry.inode, entry.file_type) {
                    below.push((join(&shown, &entry.name), path, entry.inode));
                }
            }
            if let Some(problem) = problem {
                self.problem(&shown, problem)?;
            }
            todo.extend(below.into_iter().rev());
        }
        Ok(())
    }

    fn is_directory(&self, inode: u64, file_type: Option<FileType>) -> bool {
        let read = || Some(self.opened.files.node(inode).ok()?.metadata().file_type);
        file_type.or_else(read) == Some(FileType::Directory)
    }

    /// Prints a file. One that cannot be read has a name all the same.
    fn row(
        &mut self,
        name: &[u8],
        path: &[u8],
        inode: u64,
        file_type: Option<FileType>,
    ) -> anyhow::Result<()> {
        let mut problem = None;
        let mut row = Row::new(name, path, inode, file_type);
        if !matches!(self.format, Format::Names) {
            let wants_acl = matches!(self.format, Format::Long);
            match self.opened.files.node(inode) {
                Ok(node) => problem = row.read(&*node, wants_acl).err(),
                Err(error) => problem = Some(error),
            }
        }
        self.format.write(&row, &mut self.out)?;
        match problem {
            Some(error) => self.problem(path, error),
            None => Ok(()),
        }
    }
}

impl Row<'_> {
    /// Adds what is known of the file.
    fn read(&mut self, node: &dyn Node, wants_acl: bool) -> ploopconv::Result<()> {
        self.metadata = Some(node.metadata().clone());
        if node.metadata().file_type == FileType::Symlink {
            self.target = Some(node.link_target()?);
        } else if wants_acl {
            let attributes = node.attributes()?;
            let mut names = attributes.iter().map(|attribute| &*attribute.name);
            self.has_acl = names.any(|name| name.starts_with(b"system.posix_acl_"));
        }
        Ok(())
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = match folder {
        b"" => b"",
        folder if folder.ends_with(b"/") => b"",
        _ => b"/",
    };
    [folder, slash, name].concat()
}
