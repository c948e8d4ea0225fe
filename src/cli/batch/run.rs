//! Looks at all disks first, then converts them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Context;
use ploopconv::host::{TargetState, is_left_alone};
use ploopconv::util::bytes::to_usize;
use ploopconv::util::size::human;
use serde_json::{Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::args::BatchArgs;
use super::child::{Outcome, Program};
use super::jobs::Job;
use super::report::{Entry, Fate, Report};
use super::show::Show;
use crate::cli::signals::is_ignored;

pub(super) struct Batch<'a> {
    args: &'a BatchArgs,
    jobs: Vec<Job>,
    problems: Vec<String>,
    program: Program,
    /// The signal that came, or 0.
    signal: Arc<AtomicUsize>,
    started: Instant,
}

/// What is to be done about a disk.
enum Wanted {
    /// Nothing more: how it ended.
    Nothing(Box<Entry>),
    /// It is there, and is compared with its image where that was asked for.
    Keep(Box<TargetState>),
    /// It is there, and nothing says what it is: it is compared with its image.
    Prove,
    /// It is made; the report of what would be.
    Convert(Value),
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        args: &'a BatchArgs,
        jobs: Vec<Job>,
        problems: Vec<String>,
    ) -> anyhow::Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM, SIGHUP]
            .into_iter()
            .filter(|one| !is_ignored(*one))
        {
            let value = to_usize(number.unsigned_abs());
            signal_hook::flag::register_usize(number, Arc::clone(&signal), value)
                .context("listening for signals")?;
        }
        Ok(Self {
            args,
            jobs,
            problems,
            program: Program::new()?,
            signal,
            started: Instant::now(),
        })
    }

    /// Does all of it. What cannot be done for one disk is part of the report.
    pub(super) fn run(&self) -> anyhow::Result<Report> {
        let wanted = self.every(&self.jobs, |job| Ok(self.look(job)))?;
        self.refuse_lack_of_room(&wanted)?;
        let weight = |wanted: &Option<Wanted>| match wanted {
            Some(Wanted::Convert(plan)) => plan["written_bytes"].as_u64().unwrap_or(0),
            _ => 0,
        };
        let weights: Vec<u64> = wanted.iter().map(weight).collect();
        let show = Show::new(self.args.progress, self.args.quiet, &weights);
        let pairs: Vec<_> = self.jobs.iter().zip(&wanted).zip(weights).collect();
        let not_started = self
            .jobs
            .iter()
            .map(|job| entry(job, Fate::NotStarted, 0, Value::Null));
        let entries = Mutex::new(not_started.collect::<Vec<_>>());
        let done = self.every(&pairs, |((job, wanted), weight)| {
            let Some(wanted) = wanted else {
                return Ok(());
            };
            let name = job.target.file_name().unwrap_or_default().to_string_lossy();
            let running = show.begin(&name, *weight);
            let done = self.one(job, wanted, |done, total| running.advance(done, total))?;
            running.end(&done);
            let at = self.jobs.iter().position(|one| one.target == job.target);
            let mut entries = entries
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(entry) = at.and_then(|at| entries.get_mut(at)) {
                *entry = done;
            }
            // What is known is kept, whatever happens to this process.
            self.keep(&self.report(entries.clone()))
        });
        show.clear();
        done?;
        let entries = entries
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let report = self.report(entries);
        self.keep(&report)?;
        if !self.args.dry_run {
            report.write(&self.args.output)?;
        }
        Ok(report)
    }

    fn report(&self, disks: Vec<Entry>) -> Report {
        let signal = self.signal.load(Ordering::SeqCst);
        let seconds = (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Report {
            output: self.args.output.display().to_string(),
            dry_run: self.args.dry_run,
            seconds,
            problems: self.problems.clone(),
            disks,
            signal: u8::try_from(signal).ok().filter(|signal| *signal != 0),
        }
    }

    fn keep(&self, report: &Report) -> anyhow::Result<()> {
        match self.args.dry_run {
            true => Ok(()),
            false => report.keep(&self.args.report_name()),
        }
    }

    /// Does something for each, as many at a time as was asked for, in their order; nothing for
    /// those that had not begun when a signal came.
    fn every<T: Sync, R: Send>(
        &self,
        all: &[T],
        work: impl Fn(&T) -> anyhow::Result<R> + Sync,
    ) -> anyhow::Result<Vec<Option<R>>> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(all.iter().map(|_| None).collect::<Vec<_>>());
        let turns = || -> anyhow::Result<()> {
            while self.signal.load(Ordering::SeqCst) == 0 {
                let at = next.fetch_add(1, Ordering::SeqCst);
                let Some(one) = all.get(at) else {
                    break;
                };
                let result = work(one)?;
                let mut results = results
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(place) = results.get_mut(at) {
                    *place = Some(result);
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.args.jobs).map(|_| scope.spawn(turns)).collect();
            let ends = threads.into_iter().map(|thread| match thread.join() {
                Ok(end) => end,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ends.collect::<anyhow::Result<Vec<()>>>()
        })?;
        Ok(results
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// What is to be done about a disk, and whether it could be.
    fn look(&self, job: &Job) -> Wanted {
        let options = self.args.convert.of_content(job.is_first);
        let is_there = std::fs::symlink_metadata(&job.target).is_ok();
        if is_there {
            match TargetState::read(&job.target) {
                Some(state) if state.fits(&job.target, &job.files, &options) => {
                    return Wanted::Keep(Box::new(state));
                }
                None if !self.args.convert.has("force") => return Wanted::Prove,
                Some(_) if !self.args.convert.has("force") => {
                    return Wanted::Nothing(Box::new(is_another(job)));
                }
                _ => {}
            }
        }
        let words = self.convert_words(job, &["--dry-run"]);
        match self.program.run(&words, &self.signal, |_, _| {}) {
            // Whether it fits beside the others is asked for all.
            Ok(Outcome { report, status }) if status == 0 || report["code"] == "no-room" => {
                Wanted::Convert(report)
            }
            Ok(outcome) => {
                let failed = self.failed_to_convert(job, &["--dry-run"], outcome);
                Wanted::Nothing(Box::new(failed))
            }
            Err(error) => Wanted::Nothing(Box::new(broken(job, &error))),
        }
    }

    fn convert_words(&self, job: &Job, more: &[&str]) -> Vec<OsString> {
        let mut words = vec![OsString::from("convert")];
        let options = self.args.convert.all(job.is_first).into_iter();
        words.extend(options.map(OsString::from));
        words.extend(self.own_words(job, more).into_iter().map(OsString::from));
        words.extend(["-o".into(), self.place(job).into()]);
        words.extend(["--".into(), job.image.clone().into()]);
        words
    }

    /// The words of a conversion that are this batch's, and that no person would type.
    fn own_words(&self, job: &Job, more: &[&str]) -> Vec<String> {
        let mut words = Vec::new();
        if !self.args.convert.has("force") && is_left_alone(&job.target) {
            words.push("--force".to_owned());
        }
        if !self.args.convert.has("checksum") {
            words.push("--checksum".to_owned());
        }
        if !self.args.convert.has("threads") {
            words.push(format!("--threads={}", self.args.threads_each()));
        }
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words.extend(["--json", "--progress=numbers"].map(str::to_owned));
        words
    }

    /// How a conversion failed, with hints as a person would type them.
    fn failed_to_convert(&self, job: &Job, more: &[&str], mut outcome: Outcome) -> Entry {
        let own = format!(" {} ", self.own_words(job, more).join(" "));
        let hints = outcome.report["hints"].as_array_mut();
        for command in hints.into_iter().flatten().map(|hint| &mut hint["command"]) {
            let typed = command.as_str().map(|text| text.replacen(&own, " ", 1));
            // A command that was put together in another way is none for people.
            *command = match typed.filter(|text| !text.contains("--progress=numbers")) {
                Some(text) => text.into(),
                None => Value::Null,
            };
        }
        failed(job, outcome)
    }

    /// The target, or for a look at what would be done, its name where there is a folder already.
    fn place(&self, job: &Job) -> PathBuf {
        let name = job.target.file_name().unwrap_or_default();
        let folder = self.args.output.ancestors().find(|folder| folder.is_dir());
        match (self.args.dry_run, folder) {
            (true, Some(folder)) => folder.join(name),
            (true, None) => name.into(),
            (false, _) => job.target.clone(),
        }
    }

    /// Refuses all of it where there is less room than all targets need at least.
    fn refuse_lack_of_room(&self, wanted: &[Option<Wanted>]) -> anyhow::Result<()> {
        let mut least = 0_u64;
        let mut free = None;
        for wanted in wanted.iter().flatten() {
            if let Wanted::Convert(plan) = wanted {
                least = least.saturating_add(plan["least_bytes"].as_u64().unwrap_or(0));
                free = plan["free_bytes"].as_u64().or(free);
            }
        }
        if let Some(free) = free.filter(|free| *free < least) {
            anyhow::bail!(
                "{} has room for {}, and all targets need at least {}: nothing was converted",
                self.args.output.display(),
                human(free),
                human(least)
            );
        }
        Ok(())
    }

    fn one(
        &self,
        job: &Job,
        wanted: &Wanted,
        progress: impl Fn(u64, u64) + Sync,
    ) -> anyhow::Result<Entry> {
        if self.args.dry_run {
            return Ok(match wanted {
                Wanted::Nothing(entry) => Entry::clone(entry),
                Wanted::Keep(state) => kept(job, state),
                Wanted::Prove => entry(job, Fate::Kept, 0, Value::Null),
                Wanted::Convert(plan) => entry(job, Fate::Planned, 0, plan.clone()),
            });
        }
        match wanted {
            Wanted::Nothing(entry) => Ok(Entry::clone(entry)),
            Wanted::Keep(state) if !self.args.convert.has("verify") => Ok(kept(job, state)),
            Wanted::Keep(state) => self.prove(job, kept(job, state), progress),
            Wanted::Prove => {
                let known = entry(job, Fate::Kept, 0, Value::Null);
                self.prove(job, known, progress)
            }
            Wanted::Convert(_) => self.convert(job, progress),
        }
    }

    /// Compares a target that is there with its image.
    fn prove(
        &self,
        job: &Job,
        known: Entry,
        progress: impl Fn(u64, u64) + Sync,
    ) -> anyhow::Result<Entry> {
        let mut words: Vec<OsString> = vec!["verify".into(), "--json".into()];
        let options = self.args.convert.of_comparison(job.is_first).into_iter();
        words.extend(options.map(OsString::from));
        let mut against = OsString::from("--against=");
        against.push(&job.image);
        words.extend([against, "--".into(), job.target.clone().into()]);
        let outcome = self.program.run(&words, &self.signal, progress)?;
        if outcome.status == 0 {
            return self.remember(job, known);
        }
        let mut entry = failed(job, outcome);
        if entry.code.as_deref() == Some("different") {
            entry = is_another(job);
        }
        Ok(entry)
    }

    /// Keeps what is known of a target that was compared with its image, with the digest that lies
    /// beside it where that is right.
    fn remember(&self, job: &Job, known: Entry) -> anyhow::Result<Entry> {
        if known.report.is_some() {
            return Ok(known);
        }
        let target = job.target.clone().into();
        let words = ["verify".into(), "--json".into(), "--".into(), target];
        let Outcome { status, report } = self.program.run(&words, &self.signal, |_, _| {})?;
        let report = match status {
            0 => json!({"digest": report["found"], "algorithm": report["algorithm"]}),
            // No digest lies there, or another one: the target is what was compared.
            _ => json!({"digest": null}),
        };
        let options = self.args.convert.of_content(job.is_first);
        let state = TargetState::of(&job.target, &job.files, options, &report);
        state.write(&job.target)?;
        Ok(entry(job, Fate::Kept, 0, report))
    }

    fn convert(&self, job: &Job, progress: impl Fn(u64, u64) + Sync) -> anyhow::Result<Entry> {
        let words = self.convert_words(job, &[]);
        let outcome = self.program.run(&words, &self.signal, progress)?;
        let Outcome { status, report } = outcome;
        if ![0, 5].contains(&status) {
            let outcome = Outcome { status, report };
            return Ok(self.failed_to_convert(job, &[], outcome));
        }
        let options = self.args.convert.of_content(job.is_first);
        let state = TargetState::of(&job.target, &job.files, options, &report);
        state.write(&job.target)?;
        Ok(entry(job, Fate::Done, status, report))
    }
}

fn entry(job: &Job, state: Fate, status: u8, report: Value) -> Entry {
    Entry {
        id: job.id.clone(),
        name: job.name.clone(),
        image: job.image.display().to_string(),
        target: job.target.display().to_string(),
        state,
        status,
        code: report["code"].as_str().map(str::to_owned),
        message: report["message"].as_str().map(str::to_owned),
        hints: json!([]),
        report: (!report.is_null()).then_some(report),
    }
}

fn kept(job: &Job, state: &TargetState) -> Entry {
    let status = state.report["status"]
        .as_u64()
        .and_then(|status| u8::try_from(status).ok());
    entry(job, Fate::Kept, status.unwrap_or(0), state.report.clone())
}

fn failed(job: &Job, outcome: Outcome) -> Entry {
    let Outcome { status, report } = outcome;
    let hints = report["hints"].clone();
    Entry {
        hints: if hints.is_null() { json!([]) } else { hints },
        report: None,
        ..entry(job, Fate::Failed, status.max(1), report)
    }
}

fn broken(job: &Job, error: &anyhow::Error) -> Entry {
    let message = format!("{error:#}");
    let report = json!({"code": "io", "message": message});
    failed(job, Outcome { status: 1, report })
}

/// A target that is there and is not what would be made.
fn is_another(job: &Job) -> Entry {
    let message = format!(
        "{} is there, and is not what the image holds now with these options; -f replaces it",
        job.target.display()
    );
    let report = json!({"code": "exists", "message": message});
    failed(job, Outcome { status: 1, report })
}
