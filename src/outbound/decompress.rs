//! `Content-Encoding`, undone: gzip, brotli, deflate, and never past the cap.
//!
//! Done here and not by a client library, so that both transports do the same and a bomb stops where any other body
//! does. Long bodies are decoded in pieces with a yield between them: the attempt's timer gets its say, and so does
//! other work.

use std::io;
use std::io::Read;

use bytes::Bytes;
use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_LENGTH;

use crate::base::ByteSize;
use crate::outbound::error::CallError;

/// What is asked for where the call does not say.
pub(crate) const ACCEPTED: &str = "gzip, br";

/// How much is decoded between two yields: about a millisecond's work.
const PIECE: usize = 256 * 1024;

/// Codings on top of each other. More than this is a trick, not a need.
const MAX_CODINGS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Brotli,
    Deflate,
}

/// The body as it was before it was encoded. Takes the headers that described the encoded one away.
pub(crate) async fn decoded(headers: &mut HeaderMap, body: Bytes, max: ByteSize) -> Result<Bytes, CallError> {
    // An answer to HEAD, and a 304, may name a coding and have no body.
    if !headers.contains_key(CONTENT_ENCODING) || body.is_empty() {
        return Ok(body);
    }
    let mut body = body;
    for coding in codings(headers)?.into_iter().rev() {
        body = match coding {
            Coding::Gzip => inflated(MultiGzDecoder::new(body.as_ref()), max).await?,
            Coding::Deflate => inflated(Deflated::new(&body), max).await?,
            Coding::Brotli => {
                // The "large window" extension, which the standard forbids, may ask for a gigabyte at once.
                if body.first().is_some_and(|byte| byte & 0x7f == 0x11) {
                    return Err(CallError::Corrupt);
                }
                inflated(brotli::Decompressor::new(body.as_ref(), 8 * 1024), max).await?
            }
        };
    }
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(body)
}

/// The codings in the order they were applied.
fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, CallError> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().map_err(|_| CallError::Encoding)?.split(',') {
            match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                "br" => codings.push(Coding::Brotli),
                "deflate" => codings.push(Coding::Deflate),
                _ => return Err(CallError::Encoding),
            }
        }
    }
    if codings.len() > MAX_CODINGS { Err(CallError::Encoding) } else { Ok(codings) }
}

async fn inflated(mut decoder: impl Read, max: ByteSize) -> Result<Bytes, CallError> {
    let limit = max.as_usize();
    let mut body = Vec::new();
    loop {
        // One byte past the limit tells a body that ends there from one that goes on.
        let piece = PIECE.min(limit.saturating_sub(body.len()).saturating_add(1));
        let wanted = u64::try_from(piece).unwrap_or(u64::MAX);
        let got = decoder.by_ref().take(wanted).read_to_end(&mut body).map_err(|_| CallError::Corrupt)?;
        if body.len() > limit {
            return Err(CallError::TooLarge { max });
        }
        if got < piece {
            return Ok(Bytes::from(body));
        }
        tokio::task::yield_now().await;
    }
}

/// `deflate`: zlib by the standard, raw by old custom. flate2's own readers take a stream cut short for a whole one.
struct Deflated<'a> {
    state: Decompress,
    rest: &'a [u8],
    ended: bool,
}

impl<'a> Deflated<'a> {
    fn new(body: &'a [u8]) -> Self {
        let zlib = match body {
            [first, second, ..] => {
                first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31)
            }
            [] | [_] => false,
        };
        Self { state: Decompress::new(zlib), rest: body, ended: false }
    }
}

impl Read for Deflated<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !out.is_empty() {
            let (read_before, written_before) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(self.rest, out, FlushDecompress::None)?;
            let advance = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
            let read = advance(self.state.total_in(), read_before);
            let written = advance(self.state.total_out(), written_before);
            self.rest = self.rest.get(read..).unwrap_or_default();
            self.ended = status == Status::StreamEnd;
            if written > 0 {
                return Ok(written);
            }
            if !self.ended && read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write;

    use flate2::Compression;
    use http::HeaderValue;

    const MAX: ByteSize = ByteSize::kib(512);

    fn gzip(body: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zlib(body: &[u8]) -> Bytes {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap().into()
    }

    fn deflate(body: &[u8]) -> Bytes {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap().into()
    }

    fn brotli(body: &[u8]) -> Bytes {
        let mut out = Vec::new();
        brotli::BrotliCompress(&mut &body[..], &mut out, &brotli::enc::BrotliEncoderParams::default()).unwrap();
        out.into()
    }

    async fn decode(coding: &'static str, body: Bytes) -> Result<Bytes, CallError> {
        let mut headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding))]);
        let decoded = decoded(&mut headers, body, MAX).await?;
        assert!(headers.is_empty(), "what described the encoded body is gone");
        Ok(decoded)
    }

    /// Text that does not compress to nothing, longer than one piece.
    fn text() -> Vec<u8> {
        (0..60_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_string().into_bytes()).take(PIECE + 999).collect()
    }

    #[tokio::test]
    async fn every_coding_gives_the_body_back() {
        let text = text();
        for (coding, encoded) in [
            ("gzip", gzip(&text)),
            ("X-Gzip", gzip(&text)),
            ("deflate", zlib(&text)),
            ("deflate", deflate(&text)),
            ("br", brotli(&text)),
            ("br, identity, gzip", gzip(&brotli(&text))),
            ("identity", text.clone().into()),
        ] {
            assert!(decode(coding, encoded).await.unwrap() == text, "{coding}");
        }
    }

    #[tokio::test]
    async fn a_body_cut_short_or_garbled_is_corrupt() {
        let text = text();
        for (coding, encoded) in
            [("gzip", gzip(&text)), ("deflate", zlib(&text)), ("deflate", deflate(&text)), ("br", brotli(&text))]
        {
            for cut in [1, 5, encoded.len() / 2, encoded.len() - 1] {
                let cut_short = decode(coding, encoded.slice(..cut)).await;
                assert!(matches!(cut_short, Err(CallError::Corrupt)), "{coding} cut at {cut}: {cut_short:?}");
            }
        }
        for coding in ["gzip", "deflate", "br"] {
            let garbled = decode(coding, Bytes::from_static(b"<html>not what it says</html>")).await;
            assert!(matches!(garbled, Err(CallError::Corrupt)), "{coding}: {garbled:?}");
        }
    }

    #[tokio::test]
    async fn a_bomb_stops_at_the_cap() {
        let zeros = vec![0; 32 << 20];
        for (coding, bomb) in [("gzip", gzip(&zeros)), ("deflate", zlib(&zeros)), ("br", brotli(&zeros))] {
            assert!(bomb.len() < MAX.as_usize());
            let stopped = decode(coding, bomb).await;
            assert!(matches!(stopped, Err(CallError::TooLarge { max: MAX })), "{coding}: {stopped:?}");
        }
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_cap_passes_and_one_byte_more_does_not() {
        let exact = vec![7; MAX.as_usize()];
        assert_eq!(decode("gzip", gzip(&exact)).await.unwrap().len(), exact.len());
        let over = vec![7; MAX.as_usize() + 1];
        assert!(matches!(decode("gzip", gzip(&over)).await, Err(CallError::TooLarge { .. })));
    }

    #[tokio::test]
    async fn a_coding_that_was_not_asked_for_is_refused() {
        for coding in ["zstd", "gzip, zstd", "gzip, gzip, gzip"] {
            assert!(matches!(decode(coding, Bytes::from_static(b"x")).await, Err(CallError::Encoding)), "{coding}");
        }
    }

    #[tokio::test]
    async fn brotli_with_a_large_window_is_refused() {
        let refused = decode("br", Bytes::from_static(&[0x11, 0x1e, 0, 0, 0])).await;
        assert!(matches!(refused, Err(CallError::Corrupt)));
    }
}
