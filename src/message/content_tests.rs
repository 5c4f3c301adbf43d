use super::super::spool::SpoolLimits;
use super::*;

fn memory(per_message: usize, total: u64) -> SpoolMemory {
    SpoolMemory::new(SpoolLimits {
        per_message,
        total,
        directory: std::env::temp_dir(),
    })
}

async fn written(memory: &SpoolMemory, pieces: &[&[u8]]) -> ContentWriter {
    let mut writer = memory.writer(b"Received: us\r\n");
    for piece in pieces {
        writer.write(piece).await.unwrap();
    }
    writer
}

async fn read(content: &Content) -> Vec<u8> {
    let mut reader = content.reader();
    let mut all = Vec::new();
    while let Some(piece) = reader.chunk().await.unwrap() {
        assert!(!piece.is_empty() && piece.len() <= PIECE);
        all.extend_from_slice(&piece);
    }
    all
}

#[tokio::test]
async fn small_and_large_content_come_back_as_they_went() {
    let body: Vec<u8> = (0..1_000_000u32).map(|n| (n % 101) as u8).collect();
    for (per_message, total, in_memory) in [
        (2_000_000, 4_000_000, true),
        (100_000, 4_000_000, false), // more than one message may have
        (2_000_000, 50_000, false),  // more than all may have
        (0, 0, false),
    ] {
        let memory = memory(per_message, total);
        let pieces: Vec<&[u8]> = std::iter::once(&b"A: 1\r\n\r\n"[..])
            .chain(body.chunks(9_999))
            .collect();
        let writer = written(&memory, &pieces).await;
        assert_eq!(writer.header(), b"A: 1\r\n", "{per_message} {total}");
        assert_eq!(writer.received(), 1_000_008);
        let content = writer.finish().await.unwrap();
        assert_eq!(content.size(), 14 + 1_000_008);
        assert_eq!(memory.used() > 0, in_memory, "{per_message} {total}");
        let expected = [&b"Received: us\r\nA: 1\r\n\r\n"[..], &body].concat();
        assert!(read(&content).await == expected, "{per_message} {total}");
        assert!(read(&content.clone()).await == expected, "read twice");
        drop(content);
        assert_eq!(memory.used(), 0, "given back");
    }
}

#[tokio::test]
async fn a_header_is_read_whole_wherever_it_is_spilled() {
    let memory = memory(0, 0);
    for (content, header) in [
        (
            &b"A: 1\r\nB: 2\r\n\r\nC: 3\r\n\r\n"[..],
            &b"A: 1\r\nB: 2\r\n"[..],
        ),
        (b"\r\nA: 1\r\n\r\n", b""),
        (b"A: 1\r\n", b"A: 1\r\n"),
    ] {
        for size in 1..content.len() {
            let pieces: Vec<&[u8]> = content.chunks(size).collect();
            let writer = written(&memory, &pieces).await;
            assert_eq!(writer.header(), header, "in pieces of {size}");
        }
    }
    let endless = vec![b'x'; MAX_BEGINNING];
    let writer = written(&memory, &[&endless, &endless]).await;
    assert_eq!(writer.header().len(), MAX_BEGINNING);
}

#[tokio::test]
async fn eight_bit_is_seen_in_any_piece() {
    let memory = memory(1000, 1000);
    for (pieces, expected) in [
        (&[&b"a"[..], b"b"][..], false),
        (&[b"a", b"\xc3\xa4", b"b"], true),
    ] {
        let writer = written(&memory, pieces).await;
        assert_eq!(writer.finish().await.unwrap().is_eight_bit(), expected);
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error() {
    let memory = SpoolMemory::new(SpoolLimits {
        per_message: 0,
        total: 0,
        directory: "/nonexistent".into(),
    });
    let mut writer = memory.writer(b"");
    assert!(writer.write(b"a").await.is_err());
}

#[test]
fn headers_end_at_the_empty_line() {
    for (content, expected) in [
        (&b""[..], &b""[..]),
        (b"\r\nbody", b""),
        (b"A: 1\r\n\r\nbody", b"A: 1\r\n"),
        (b"A: 1\r\n", b"A: 1\r\n"),
    ] {
        assert_eq!(header_of(content), expected);
    }
}
