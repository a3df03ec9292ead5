//! Zstandard inputs of any number of frames, with their checksums.

use ruzstd::decoding::errors::{FrameDecoderError, FrameHeaderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, Read};

/// Decompresses all frames of an input (RFC 8878, 3.1). The decoder of the crate `ruzstd` does one frame, and leaves
/// the comparison of the checksum to its user.
pub(super) struct Decoder<R> {
    input: R,
    frame: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(input: R, max_window_kib: u32) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(u64::from(max_window_kib) << 10);
        Self { input, frame, in_frame: false }
    }

    /// Begins the next frame, or skips one that holds no data. Returns false at the end of the input.
    fn begin_frame(&mut self) -> io::Result<bool> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.frame.init(&mut self.input) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => self.skip(length.into())?,
            Err(error) => return Err(refusal(error)),
        }
        Ok(true)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.input.by_ref().take(bytes), &mut io::sink())?;
        if skipped < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Decodes until there are bytes to deliver or the frame has ended.
    fn decode(&mut self) -> io::Result<()> {
        while self.frame.can_collect() == 0 && !self.frame.is_finished() {
            let step = BlockDecodingStrategy::UptoBlocks(1);
            self.frame.decode_blocks(&mut self.input, step).map_err(invalid)?;
        }
        Ok(())
    }

    /// Ends a frame all bytes of which were delivered.
    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stored = self.frame.get_checksum_from_data();
        match stored.filter(|_| stored != self.frame.get_calculated_checksum()) {
            None => Ok(()),
            Some(_) => Err(invalid("the checksum of a zstd frame differs from its contents")),
        }
    }
}

/// Makes the error of a frame that cannot be begun. Its kind tells damage from what the decoder does not do.
fn refusal(error: FrameDecoderError) -> io::Error {
    let kind = match error {
        FrameDecoderError::WindowSizeTooBig { .. }
        | FrameDecoderError::FrameHeaderError(FrameHeaderError::WindowTooBig { .. }) => {
            io::ErrorKind::OutOfMemory
        }
        FrameDecoderError::DictNotProvided { .. } => io::ErrorKind::Unsupported,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.begin_frame()? {
                return Ok(0);
            }
            if self.in_frame {
                self.decode()?;
                match self.frame.read(buffer)? {
                    0 => self.end_frame()?,
                    bytes => return Ok(bytes),
                }
            }
        }
    }
}
