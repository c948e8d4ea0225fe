use std::error::Error as _;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} is wrong")]
struct Wrong {
    at: u64,
}

impl Detail for Wrong {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Corrupt
    }
    fn code(&self) -> &'static str {
        "wrong"
    }
}

#[derive(Debug, thiserror::Error)]
#[error("another")]
struct Another;

impl Detail for Another {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Input
    }
    fn code(&self) -> &'static str {
        "another"
    }
}

#[test]
fn an_error_is_a_pointer() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
}

#[test]
fn a_detail_is_the_message_or_the_cause_of_an_error_with_a_context() {
    let bare = Error::from(Wrong { at: 7 });
    assert_eq!(bare.to_string(), "byte 7 is wrong");
    assert!(bare.source().is_none());
    assert_eq!(
        (bare.doing(), bare.path(), bare.offset()),
        (None, None, None)
    );

    let path = Path::new("root.hds");
    let told = Error::during("reading the header of", Wrong { at: 7 }).of(path);
    assert_eq!(told.to_string(), "reading the header of root.hds");
    assert_eq!(told.source().unwrap().to_string(), "byte 7 is wrong");
    assert_eq!(told.path(), Some(path));

    for error in [bare, told] {
        assert_eq!(error.detail(), Some(&Wrong { at: 7 }));
        assert!(error.detail::<Another>().is_none());
        assert!(error.io_error().is_none());
        assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "wrong"));
    }
}

#[test]
fn what_the_operating_system_said_is_the_cause() {
    let refused = |kind| Error::io_at("reading", Path::new("a"), 64, io::Error::from(kind));
    let error = refused(io::ErrorKind::UnexpectedEof);
    assert_eq!(error.to_string(), "reading a at offset 0x40");
    assert_eq!(
        error.source().unwrap().to_string(),
        "unexpected end of file"
    );
    assert_eq!((error.kind(), error.code()), (ErrorKind::Io, "io"));
    assert_eq!(error.offset(), Some(64));
    assert!(error.detail::<Wrong>().is_none() && !error.is_broken_pipe());
    for (kind, code) in [
        (io::ErrorKind::NotFound, "no-such-file"),
        (io::ErrorKind::PermissionDenied, "permission-denied"),
        (io::ErrorKind::BrokenPipe, "io"),
    ] {
        assert_eq!(refused(kind).code(), code);
        assert_eq!(refused(kind).io_error().unwrap().kind(), kind);
        assert_eq!(
            refused(kind).is_broken_pipe(),
            kind == io::ErrorKind::BrokenPipe
        );
    }
}

#[test]
fn a_caller_that_asked_to_stop_is_told_so() {
    let error = Error::stopped();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Stopped, "interrupted")
    );
    assert_eq!(error.to_string(), "stopped");
}
