//! The first phase of a connection, fixed newstyle: the client asks what there is and chooses.
//!
//! Until it has chosen, nothing is opened, started or read for it.

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;

use super::log::Ended;
use super::options::{
    self, BASE_ALLOCATION, Choice, GREETING, InfoRequest, MAX_DATA, MAX_OPTIONS, MetaRequest,
    OptionHeader, ReplyKind, client_flags, reply,
};
use super::service::Service;
use super::status::BASE_ALLOCATION_ID;
use super::stream::{Input, write_all};
use super::wire::{MAX_PAYLOAD, transmission_flags};
use crate::util::bytes::to_usize;

/// What the client and the server agreed on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Agreed {
    /// Replies to reads come in chunks.
    pub(super) structured: bool,
    /// The client may ask how ranges are stored. Never without structured replies.
    pub(super) block_status: bool,
}

/// What comes of an option.
enum Step {
    /// The client may send another one.
    Stay,
    /// The client has chosen the export.
    Go,
}

/// Talks to a client until it has chosen the export.
///
/// # Errors
///
/// How the connection ended, where it has not.
pub(super) fn negotiate(input: &mut Input<'_>, service: &Service<'_>) -> Result<Agreed, Ended> {
    let mut negotiation = Negotiation {
        input,
        service,
        agreed: Agreed::default(),
        no_zeroes: false,
    };
    negotiation.greet()?;
    for _ in 0..MAX_OPTIONS {
        if let Step::Go = negotiation.option()? {
            return Ok(negotiation.agreed);
        }
    }
    Err(Ended::HungUp("it sent more than 64 options"))
}

struct Negotiation<'a, 'b> {
    input: &'a mut Input<'b>,
    service: &'a Service<'a>,
    agreed: Agreed,
    no_zeroes: bool,
}

impl Negotiation<'_, '_> {
    fn greet(&mut self) -> Result<(), Ended> {
        self.send(GREETING)?;
        let mut flags = [0; 4];
        if !self.input.read_or_end(&mut flags).map_err(Ended::from_io)? {
            return Err(self.closed());
        }
        let flags = u32::from_be_bytes(flags);
        if flags & !(client_flags::FIXED_NEWSTYLE | client_flags::NO_ZEROES) != 0 {
            return Err(Ended::HungUp("it has unknown flags"));
        }
        self.no_zeroes = flags & client_flags::NO_ZEROES != 0;
        Ok(())
    }

    fn option(&mut self) -> Result<Step, Ended> {
        let mut bytes = [0; OptionHeader::SIZE];
        if !self.input.read_or_end(&mut bytes).map_err(Ended::from_io)? {
            return Err(self.closed());
        }
        let Some(header) = OptionHeader::parse(&bytes) else {
            return Err(Ended::HungUp("it sent something that is no option"));
        };
        if header.len > MAX_DATA {
            return Err(Ended::HungUp("it announced an option of more than 64 KiB"));
        }
        let mut data = vec![0; to_usize(header.len)];
        self.input.read_exact(&mut data).map_err(Ended::from_io)?;
        let number = header.number;
        match header.choice() {
            Choice::ExportName => return self.export_name(&data),
            Choice::Abort => {
                // Many clients close without waiting for this.
                let _ = self.send(&reply(number, ReplyKind::Ack, &[]));
                return Err(Ended::Aborted);
            }
            Choice::Info => self.info(number, &data).map(|_| ())?,
            Choice::Go => {
                if self.info(number, &data)? {
                    return Ok(Step::Go);
                }
            }
            Choice::List => self.list(number, &data)?,
            Choice::StructuredReply => self.structured_reply(number, &data)?,
            Choice::ListMeta => self.list_meta(number, &data)?,
            Choice::SetMeta => self.set_meta(number, &data)?,
            Choice::Other => self.refuse(
                number,
                ReplyKind::Unsupported,
                "this option is not supported",
            )?,
        }
        Ok(Step::Stay)
    }

    /// The oldest way to choose: nothing can be refused but by hanging up.
    fn export_name(&mut self, name: &[u8]) -> Result<Step, Ended> {
        if !options::text(name).is_ok_and(|name| self.is_ours(name)) {
            return Err(Ended::HungUp("it asked for an export that is not there"));
        }
        if !self.is_fit() {
            return Err(Ended::HungUp("the image changed"));
        }
        let mut bytes = self.service.export.disk.size().to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.flags().to_be_bytes());
        if !self.no_zeroes {
            bytes.extend_from_slice(&[0; 124]);
        }
        self.send(&bytes)?;
        Ok(Step::Go)
    }

    /// Answers `INFO` and `GO`; says whether the export is there.
    fn info(&mut self, number: u32, data: &[u8]) -> Result<bool, Ended> {
        let Ok(request) = InfoRequest::parse(data) else {
            self.invalid(number)?;
            return Ok(false);
        };
        if !self.is_ours(request.export) {
            self.unknown(number)?;
            return Ok(false);
        }
        if !self.is_fit() {
            let why = "the image changed while it was served";
            self.refuse(number, ReplyKind::Policy, why)?;
            return Ok(false);
        }
        let export = self.service.export;
        let mut replies = options::export_reply(number, export.disk.size(), self.flags());
        if request.wants_name {
            replies.extend(options::name_reply(number, &export.name));
        }
        if request.wants_description {
            replies.extend(options::description_reply(number, &export.description));
        }
        if request.wants_block_size {
            let sizes = [export.minimum_block, export.preferred_block, MAX_PAYLOAD];
            replies.extend(options::block_size_reply(number, sizes));
        }
        replies.extend(reply(number, ReplyKind::Ack, &[]));
        self.send(&replies)?;
        Ok(true)
    }

    fn list(&mut self, number: u32, data: &[u8]) -> Result<(), Ended> {
        if !data.is_empty() {
            return self.invalid(number);
        }
        let export = self.service.export;
        let mut replies = options::server_reply(number, &export.name, &export.description);
        replies.extend(reply(number, ReplyKind::Ack, &[]));
        self.send(&replies)
    }

    fn structured_reply(&mut self, number: u32, data: &[u8]) -> Result<(), Ended> {
        if !data.is_empty() {
            return self.invalid(number);
        }
        self.agreed.structured = true;
        self.send(&reply(number, ReplyKind::Ack, &[]))
    }

    fn list_meta(&mut self, number: u32, data: &[u8]) -> Result<(), Ended> {
        let Some(request) = self.meta_request(number, data)? else {
            return Ok(());
        };
        let mut replies = Vec::new();
        if request.is_empty || request.asks_allocation || request.asks_base {
            // Numbers mean something only where a context is chosen.
            replies = options::context_reply(number, 0, BASE_ALLOCATION);
        }
        replies.extend(reply(number, ReplyKind::Ack, &[]));
        self.send(&replies)
    }

    fn set_meta(&mut self, number: u32, data: &[u8]) -> Result<(), Ended> {
        // What was chosen before is forgotten, also where this fails.
        self.agreed.block_status = false;
        let Some(request) = self.meta_request(number, data)? else {
            return Ok(());
        };
        let mut replies = Vec::new();
        if request.asks_allocation {
            self.agreed.block_status = true;
            replies = options::context_reply(number, BASE_ALLOCATION_ID, BASE_ALLOCATION);
        }
        replies.extend(reply(number, ReplyKind::Ack, &[]));
        self.send(&replies)
    }

    /// The part that both options about contexts have in common; `None` where it was refused.
    fn meta_request<'d>(
        &mut self,
        number: u32,
        data: &'d [u8],
    ) -> Result<Option<MetaRequest<'d>>, Ended> {
        if !self.agreed.structured {
            let why = "structured replies come first";
            self.refuse(number, ReplyKind::Invalid, why)?;
            return Ok(None);
        }
        match MetaRequest::parse(data) {
            Err(_) => self.invalid(number)?,
            Ok(request) if !self.is_ours(request.export) => self.unknown(number)?,
            Ok(request) => return Ok(Some(request)),
        }
        Ok(None)
    }

    fn is_ours(&self, name: &str) -> bool {
        name.is_empty() || name == self.service.export.name
    }

    fn is_fit(&self) -> bool {
        self.service.export.is_fit(self.service.log)
    }

    fn flags(&self) -> u16 {
        let whole_reads = if self.agreed.structured {
            transmission_flags::SEND_DF
        } else {
            0
        };
        self.service.export.flags() | whole_reads
    }

    fn invalid(&mut self, number: u32) -> Result<(), Ended> {
        self.refuse(
            number,
            ReplyKind::Invalid,
            "the option's data make no sense",
        )
    }

    fn unknown(&mut self, number: u32) -> Result<(), Ended> {
        self.refuse(
            number,
            ReplyKind::Unknown,
            "there is no export of this name",
        )
    }

    fn refuse(&mut self, number: u32, kind: ReplyKind, why: &str) -> Result<(), Ended> {
        self.send(&reply(number, kind, &[why.as_bytes()]))
    }

    fn closed(&self) -> Ended {
        if self.service.stop.load(Ordering::Relaxed) {
            Ended::Stopped
        } else {
            Ended::Closed
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let sent: io::Result<()> = write_all(self.input.stream(), &mut [IoSlice::new(bytes)]);
        sent.map_err(Ended::from_io)
    }
}
