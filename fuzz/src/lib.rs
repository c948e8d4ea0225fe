//! What each fuzz target does with an input. A target does not only wait for a crash: what the
//! library answers is compared with rules that have to hold whatever the bytes are.

pub mod bat;
pub mod chain;
pub mod descriptor;
pub mod ext4;
pub mod files;
pub mod image;
pub mod nbd;
pub mod partitions;
pub mod qcow2;

mod disk;
mod sparse;

/// Does the library's parallel work on the thread that fuzzes. To be called first.
fn alone() {
    static ALONE: std::sync::Once = std::sync::Once::new();
    ALONE.call_once(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
        pool.use_current_thread()
            .build_global()
            .expect("no threads exist yet");
    });
}
