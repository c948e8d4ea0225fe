//! What the program says, as a person would say it: once, in plain words, with what can be done.

use crate::support::running::signal;
use crate::support::samples::{image, two_layers};
use crate::support::tools::tool;
use crate::support::{
    ChainBuilder, ImageBuilder, Outcome, Program, Scratch, SourceGuard, convert, field, info,
    names_in, program,
};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// How often a text is in what was said.
fn count(outcome: &Outcome, text: &str) -> usize {
    outcome.stderr.matches(text).count()
}

#[test]
fn a_path_is_named_once_and_no_error_has_a_number() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    let missing = scratch.source().join("missing");
    let missing = missing.to_str().unwrap();
    let target = scratch.target();
    let target = target.to_str().unwrap();
    for args in [
        &[missing, "-o", target][..],
        &["info", missing],
        &["check", missing],
        &["map", missing],
        &["compare", image.to_str().unwrap(), missing],
        &["compare", missing, missing],
        &["verify", missing],
        &["verify", missing, "--against", image.to_str().unwrap()],
        &["verify", image.to_str().unwrap(), "--against", missing],
        &["serve", missing, "--socket", target],
    ] {
        let outcome = Program::new(args).run().refused(1, &["No such file"]);
        assert_eq!(count(&outcome, missing), 1, "{args:?}: {}", outcome.stderr);
        assert_eq!(
            count(&outcome, "os error"),
            0,
            "{args:?}: {}",
            outcome.stderr
        );
    }
}

/// The library says what it needs, and the command line names its own option.
#[test]
fn an_option_that_the_input_cannot_follow_is_named() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    let chain = scratch.source().join("chain");
    std::fs::create_dir(&chain).unwrap();
    let chain = ChainBuilder::base(&ImageBuilder::v2().store(0)).write(&chain);
    let (image, descriptor) = (image.display(), chain.descriptor());
    for (input, options, needs) in [
        (
            chain.dir.clone(),
            &["--single-layer"][..],
            format!(
                "--single-layer needs an image file, and {} is not one",
                descriptor.display()
            ),
        ),
        (
            image.to_string().into(),
            &["--snapshot", "old"],
            format!("--snapshot needs a disk with a descriptor, and {image} is not one"),
        ),
    ] {
        for command in ["info", "check", "map"] {
            let outcome = Program::new([command, "--json", input.to_str().unwrap()])
                .args(options)
                .run();
            let line = outcome.stderr.lines().next().unwrap();
            assert!(line.ends_with(&needs), "{line}");
            let report = outcome.json();
            let message = report["message"].as_str().unwrap();
            assert!(message.ends_with(&needs), "{report}");
        }
        let outcome = convert(&input, &scratch.target()).args(options).run();
        outcome.refused(1, &[&needs]);
    }
}

/// The finding that is the reason to refuse is the error, and no warning in front of it.
#[test]
fn a_finding_is_said_once() {
    let scratch = Scratch::new();
    let path = scratch.source().join("used.hds");
    ImageBuilder::v2()
        .store(0)
        .in_use(field::DIRTY)
        .write(&path);
    let (name, target) = (path.to_str().unwrap(), scratch.target());
    let target = target.to_str().unwrap();
    for args in [
        &[name, "-o", target][..],
        &["map", name],
        &["compare", name, name],
        &["verify", name, "--against", name],
        &["serve", name, "--socket", target],
    ] {
        let outcome = Program::new(args).run().refused(4, &["marked in use"]);
        assert_eq!(
            count(&outcome, "marked in use"),
            1,
            "{args:?}: {}",
            outcome.stderr
        );
    }
    // Where it is no reason to refuse, it is a warning.
    let outcome = convert(&path, &scratch.target()).arg("--allow-dirty").run();
    let outcome = outcome.status(0).says(["in-use: ", "[in-use]"]);
    assert_eq!(count(&outcome, "marked in use"), 1, "{}", outcome.stderr);

    // Damage that nothing can be salvaged of.
    let chain = two_layers().write(&scratch.source());
    std::fs::remove_file(&chain.files[0]).unwrap();
    let missing = chain.files[0]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    for options in [&[][..], &["--salvage"]] {
        let target = scratch.out().join("other.raw");
        let outcome = convert(&chain.dir, &target).args(options).run();
        let damage = outcome
            .stderr
            .lines()
            .filter(|line| line.contains(&missing) && !line.contains("ploopconv check"));
        assert_eq!(damage.count(), 1, "{options:?}: {}", outcome.stderr);
    }
}

#[test]
fn serving_says_how_it_is_ended() {
    let scratch = Scratch::new();
    let (image, _) = image(&scratch);
    let _guard = SourceGuard::new(&scratch.source());
    let start = |words: &str| {
        let mut shell = Command::new("sh");
        let line = format!("{words} exec \"$0\" serve \"$1\" --socket \"$2\"");
        shell.args(["-c", &line]).arg(program::path()).arg(&image);
        shell.arg(scratch.out().join("socket"));
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.as_mut().unwrap())
            .read_line(&mut said)
            .unwrap();
        // Once the address can be read, the signals are listened to.
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut String::new())
            .unwrap();
        (child, said)
    };
    let (mut child, said) = start("");
    let kill = format!("until Ctrl-C or kill {}\n", child.id());
    assert!(said.ends_with(&kill), "{said}");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    // As a script's background jobs are started.
    let (mut child, said) = start("trap '' INT;");
    let kill = format!("until kill {}\n", child.id());
    assert!(said.ends_with(&kill), "{said}");
    signal(&child, "INT");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_report_of_a_conversion_has_its_time_its_digest_and_its_warnings() {
    let scratch = Scratch::new();
    let chain = two_layers().write(&scratch.source());
    let target = scratch.target();
    let base = convert(&chain.files[1], &target).args(["--single-layer", "--json"]);
    for options in [&["--checksum"][..], &["--checksum", "-q", "-f"]] {
        let outcome = base.clone().args(options).run().status(0);
        let report = outcome.json();
        let seconds = report["seconds"].as_f64().unwrap();
        assert!((0.0..60.0).contains(&seconds), "{report}");
        let sum = tool("coreutils", Command::new("sha256sum").arg(&target));
        let sum = sum.split(' ').next().unwrap();
        assert_eq!(report["digest"], sum);
        assert_eq!(report["algorithm"], "sha256");
        let file = format!("{}.sha256", target.display());
        assert_eq!(report["checksum_file"], file);
        let warnings = report["warnings"].as_array().unwrap();
        let is_quiet = options.contains(&"-q");
        assert!(!warnings.is_empty(), "{report}");
        for line in warnings {
            let said = outcome.stderr.contains(line.as_str().unwrap());
            assert_eq!(said, !is_quiet, "{line}: {}", outcome.stderr);
        }
    }
    // Without a checksum, and without anything to warn of.
    std::fs::remove_file(scratch.out().join("disk.raw.sha256")).unwrap();
    let report = convert(&chain.dir, &target).args(["-f", "--json"]).run();
    let report = report.status(0).json();
    for field in ["digest", "algorithm", "checksum_file"] {
        assert!(report[field].is_null(), "{report}");
    }
    assert_eq!(report["warnings"].as_array().unwrap().len(), 0, "{report}");
    // Every image of a directory has its own.
    let container = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/101");
    let parts = scratch.out().join("parts");
    let report = convert(&container, &parts)
        .args(["--partitions", "--json", "--checksum=blkhash"])
        .run();
    let report = report.status(0).json();
    let image = &report["images"][0];
    assert_eq!(image["algorithm"], "blkhash");
    let sums = std::fs::read_to_string(parts.join("BLKHASHSUMS")).unwrap();
    assert!(
        sums.starts_with(image["digest"].as_str().unwrap()),
        "{sums}"
    );
    assert_eq!(names_in(&parts), ["BLKHASHSUMS", "p1.raw"]);
}

/// A report that was printed is the only one, whatever comes after it.
#[test]
fn a_command_with_a_report_of_its_own_prints_no_other() {
    let scratch = Scratch::new();
    let empty = scratch.source().join("images");
    std::fs::create_dir(&empty).unwrap();
    for name in ["a.hds", "b.hds"] {
        ImageBuilder::v2().store(0).write(&empty.join(name));
    }
    let report = info(&empty).run().status(1).json();
    assert!(report["found_images"].is_array(), "{report}");
    let (image, _) = image(&scratch);
    let bytes = std::fs::read(&image).unwrap();
    let cut = scratch.source().join("cut.hds");
    std::fs::write(&cut, &bytes[..bytes.len() - 700]).unwrap();
    let report = info(&cut).run().status(3).json();
    assert_eq!(report["damaged"], true);
}
