//! What a container becomes, as a conversion or an update says it.

use ploopconv::convert::{PlannedArchive, PlannedGuest};
use ploopconv::guest::{Change, Hint};

use super::guest::{self, GuestReport, JsonHint};
use super::machine::{self, MachineReport};
use super::reporter::Reporter;
use crate::cli::guest::Container;
use crate::cli::output::write_message;

/// What a container becomes, for a report.
pub(super) struct Becoming {
    pub(super) container: Option<GuestReport>,
    pub(super) machine: Option<MachineReport>,
    pub(super) next: Vec<JsonHint>,
}

/// `archive` is that of the container's files, where the target is to be one.
impl Reporter<'_> {
    /// For a report.
    pub(super) fn becoming(&self, archive: Option<&PlannedArchive>) -> Becoming {
        let guest = self.guest_of(archive);
        Becoming {
            container: guest.map(|(container, guest)| container.report(guest)),
            machine: self.machine.as_ref().map(MachineReport::of),
            next: self.next(archive).into_iter().map(JsonHint::of).collect(),
        }
    }

    /// For people, before anything is done: what starts it, every change, what is left out, and
    /// what to type next. Each line with its name.
    pub(super) fn plan_lines(
        &self,
        archive: Option<&PlannedArchive>,
    ) -> anyhow::Result<Vec<(&'static str, String)>> {
        let boot = self.machine.iter().flat_map(machine::lines);
        let mut lines: Vec<_> = boot.map(|line| ("boot:", line)).collect();
        if let Some((_, guest)) = self.guest_of(archive) {
            for change in &guest.changes {
                lines.push(("change:", guest::shown(change)));
                lines.extend(self.diff(guest, change)?.into_iter().map(|line| ("", line)));
            }
        }
        let left = self.container.iter().flat_map(Container::left_out);
        lines.extend(left.map(|line| ("left:", line)));
        let next = guest::lines(&self.next(archive)).into_iter();
        lines.extend(next.map(|line| ("next:", line)));
        Ok(lines)
    }

    /// Says what was left out of the configuration, what to know, and what to type next.
    pub(super) fn say_next(&self, archive: Option<&PlannedArchive>) {
        let machine = self.machine.iter();
        for note in machine.flat_map(|machine| &machine.notes) {
            write_message(&format!("note: {note}"));
        }
        let Some(container) = self.container.as_ref() else {
            return;
        };
        let left = container.left_out();
        if self.args.verbose {
            left.iter().for_each(|line| write_message(line));
        } else if !left.is_empty() {
            let settings = match left.len() {
                1 => "1 setting of the container is".to_owned(),
                many => format!("{many} settings of the container are"),
            };
            write_message(&format!(
                "{settings} not carried over (-v says which, and why)"
            ));
        }
        for line in guest::lines(&self.next(archive)) {
            write_message(&format!("next: {line}"));
        }
    }

    /// A change as a diff, for those who asked for more.
    fn diff(&self, guest: &PlannedGuest, change: &Change) -> anyhow::Result<Vec<String>> {
        match self.args.verbose {
            true => Ok(guest::diff(guest, change)?),
            false => Ok(Vec::new()),
        }
    }

    /// What is known of the container, and what is changed in its files.
    fn guest_of<'p>(
        &'p self,
        archive: Option<&'p PlannedArchive>,
    ) -> Option<(&'p Container, &'p PlannedGuest)> {
        let of_archive = archive.and_then(|archive| archive.guest.as_ref());
        let of_machine = self
            .machine
            .as_ref()
            .and_then(|machine| machine.guest.as_ref());
        self.container.as_ref().zip(of_archive.or(of_machine))
    }

    /// What to type next; nothing where the target is a stream.
    fn next(&self, archive: Option<&PlannedArchive>) -> Vec<Hint> {
        let target = &self.args.output;
        if target.as_os_str() == "-" {
            return Vec::new();
        }
        if let (Some(container), Some(machine)) = (&self.container, &self.machine) {
            let (format, network) = (self.args.format().name, self.args.guest.network());
            return container.next_of_machine(machine, target, format, &network);
        }
        let archive = archive.zip(self.guest_of(archive));
        archive.map_or_else(Vec::new, |(archive, (container, guest))| {
            container.next(guest, target, archive.plan.options())
        })
    }
}
