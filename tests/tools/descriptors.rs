//! `DiskDescriptor.xml`: every way products write it, and every way it can be wrong.

use crate::support::samples::two_layers;
use crate::support::{ChainBuilder, ImageBuilder, Scratch, SourceGuard};

#[test]
fn the_descriptor_is_opened_once_a_run() {
    let one = ChainBuilder::base(&ImageBuilder::v2().store_all([0, 1]));
    for (chain, of_file, options) in [
        (two_layers(), false, &[][..]),
        (two_layers(), true, &["--single-layer"]),
        (two_layers(), false, &["--layers", "root.hds"]),
        (one, true, &[]),
    ] {
        let scratch = Scratch::new();
        let chain = chain.write(&scratch.source());
        let _guard = SourceGuard::new(&scratch.source());
        let image = if of_file { &chain.files[0] } else { &chain.dir };
        let log = scratch.path().join("strace");
        let mut strace = std::process::Command::new("strace");
        strace.args(["-f", "-y", "-e", "trace=openat,openat2,open", "-o"]);
        strace.arg(&log).arg(crate::support::program::path());
        strace
            .arg(image)
            .arg("-o")
            .arg(scratch.target())
            .args(options);
        crate::tools::tool("strace", &mut strace);
        let log = std::fs::read_to_string(&log).unwrap();
        let opened = log
            .lines()
            .filter(|line| line.contains("DiskDescriptor.xml\"") && !line.contains("O_DIRECTORY"));
        let opened: Vec<_> = opened.filter(|line| !line.contains(" = -1")).collect();
        assert_eq!(opened.len(), 1, "{options:?}: {opened:#?}");
    }
}
